// Package seam is where a test takes hold of a program that is built with the tag faults: its clock can be wrong, and it stands still at a
// point that the test names, for whatever is to befall it there. The product is built without that tag, and has no such thing.
//
//	seam.go    in the product: the time, and nothing
//	faults.go  with the tag
package seam
