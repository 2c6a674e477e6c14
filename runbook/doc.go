// Package runbook types the commands of docs/runbook, page by page, on a real pair that has just lost what the page is about: as somebody does
// who was woken by it, with the page and nothing else. A command that no longer does what its page says fails a test, and so does one that
// nobody types.
//
//	runbook_test.go       the pair, and what has to hold after each page; every page is held by a test
//	certificates_test.go  certificate-expired.md
//	rootkey_test.go       root-key-lost.md
//	backups_test.go       backup-identity-lost.md
//	disk_test.go          disk-full.md
//	lost_test.go          passive-lost.md, active-lost.md
//	operations_test.go    switchover.md, cold-start.md, upgrade.md
//	deleted_test.go       key-deleted.md
//	stolen_test.go        host-stolen.md
//	restoretest_test.go   restore-test-fails.md
//	install_test.go       the README's way to a pair
//
// both-lost.md and data-damaged.md are held by interop/disasters, restore-from-passive.md by replication/pairtest. Only root can
// make such hosts, so the tests are skipped for everybody else.
package runbook
