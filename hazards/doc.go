// Package hazards shows, on a real pair, that none of the known ways by which synchronous replication loses an acknowledged write, or shows an
// unreplicated one, is open here. It holds tests only. docs/hazards.md is the index: each hazard, what plain PostgreSQL does, what is promised
// instead, and the test that holds it, here or in the package where the matter lies.
//
// The tests hurt one pair in turn. Each begins with it confirmed, and ends with it confirmed again.
package hazards
