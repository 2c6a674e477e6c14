// Command demo shows a newcomer what Keytrustee promises: it starts a real pair on this machine and walks through the promises with the
// stock Hadoop client. It looks at what the client printed; anything but what was promised ends it with status 1.
package main
