// Package interop runs the stock Hadoop client, unmodified, as a program of its own: the command line (KeyShell) and the Java API,
// through a small driver. Its test walks them through a real pair; `make demo` shows them to a newcomer.
//
// It is also a Maven module: pom.xml names the one library, src holds the driver.
package interop
