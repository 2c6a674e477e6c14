// Package bench measures what backups cost, side by side with what anybody would do by hand, in one run: all of it is in tests, for it
// needs a pair. docs/performance.md says how to run it, what each row means, and what it came to last.
package bench
