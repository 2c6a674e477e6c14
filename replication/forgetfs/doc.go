// Package forgetfs is a file system for tests that forgets, on command, what a power loss would have taken: data of files
// since the last fsync, fdatasync, or write through O_SYNC or O_DSYNC, of that file, and names (create, link, rename,
// unlink) since the last fsync of the directory. Everything else it passes through to a directory.
//
// It forgets all that it may, as a disk does at its worst moment, but no more than the file systems of Linux do:
//
//   - The first fsync of a new file or directory makes the name durable under which it was made, and so do its parents'.
//     PostgreSQL relies on that for its tables. A rename or a link waits for the directory.
//   - A rename between two directories happened, or did not happen: it is durable when both have been synced.
//   - A name's history has no holes: what came before a durable change of the same name is durable too.
//   - Permissions, owners and times are never forgotten. A sync makes the whole file durable.
//
// Nothing is synced for real, which makes it faster than a disk. Reads and writes go past the kernel's cache of files: with
// it a reader on Linux 6.18 was shown a page as it had been before a write that had returned, so that PostgreSQL's walsender
// sent zeros where its log had records.
//
//	forgetfs.go  Mount, Forget, Unmount
//	node.go      files and directories as the kernel asks for them
//	change.go    create, link, rename, unlink
//	file.go      open files
//	names.go     the changes of names that are not durable yet, and how they are undone
//	content.go   the data that was overwritten and is not durable yet
//
// Who mounts serves: his process must not start a program whose file or working directory lies on the mount.
package forgetfs
