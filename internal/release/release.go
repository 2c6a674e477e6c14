// Package release names what is running.
package release

// Version is the release that this source is, or becomes next.
const Version = "0.1.0"
