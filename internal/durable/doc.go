// Package durable changes files in ways that survive power loss: when a call returns nil the change is on the disk, and
// when it returns an error, or the machine stops in its middle, what was there before is unchanged.
package durable
