// Package progress tells an operator how far a long task is: on a terminal in one line that is rewritten, elsewhere in lines of which
// there are few.
//
//	display.go  Display: what is shown, and when
//	line.go     what a line says, and how much of it has room
//	rate.go     how fast it goes, and how long it will take
package progress
