package runbook_test

import (
	"os"
	"strings"
	"testing"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// rootKeyLost: both hosts have lost their root keys, and their daemons do not start any more; the recovery key makes new ones. Then both are
// lost once more, while the daemons run: the passive is cloned anew without the recovery key, and the active gets its own while it serves.
func rootKeyLost(t *testing.T, n *night, page *pairtest.Page) {
	const look, start = "ls -l /var/lib/keytrustee/.keytrustee", "systemctl start keytrusteed"
	recovery, lost := read(t, n.Nodes[0], "/root/recovery.key"), map[*pairtest.Node]string{}
	for _, at := range n.Nodes {
		at.Stop(t, pairtest.Keytrusteed)
		lost[at] = read(t, at, confdir+"root.key")
		if err := os.Remove(seal.RootPath(at.Confdir)); err != nil {
			t.Fatal(err)
		}
		if out, _, status := at.Run(t, "systemctl", "start", "keytrusteed"); status == 0 {
			t.Errorf("%s started without a root key: %s", at.Name, out)
		}
		at.Logged(t, "ktadmin root-key recover --recovery-key FILE (docs/runbook/root-key-lost.md)")
		says(t, at, "init", "is incomplete: it has no root.key", "ktadmin root-key recover")
	}
	for _, at := range n.Nodes {
		if out, _ := page.Type(t, at, 0, look, nil); strings.Contains(out, "root.key") {
			t.Errorf("%s: %s", at.Name, out)
		}
		put(t, at, "/root/recovery", recovery)
		words := map[string]string{"RECOVERY": "/root/recovery"}
		page.Type(t, at, 0, "ktadmin root-key recover --recovery-key RECOVERY", words)
		page.Type(t, at, 3, "ktadmin root-key recover --recovery-key RECOVERY", words) // it is there
		page.Type(t, at, 0, start, nil)
	}
	n.whole(t)
	for _, at := range n.Nodes {
		says(t, at, "status", "unfinished init", "ktadmin init completes it")
		if out, errs, status := at.Ktadmin(t, "init"); status != 0 {
			t.Error(out, errs)
		}
	}
	for _, at := range n.Nodes {
		if read(t, at, confdir+"root.key") == lost[at] {
			t.Errorf("%s has its old root key", at.Name)
		}
	}

	// Both are gone again. The active's daemon has its keys in memory, and lets the passive in, which it knows by its certificate.
	for _, at := range n.Nodes {
		if err := os.Remove(seal.RootPath(at.Confdir)); err != nil {
			t.Fatal(err)
		}
	}
	page.Type(t, n.Passive, 0, "systemctl stop keytrusteed keytrustee-db", nil)
	page.Type(t, n.Passive, 0, "ktadmin init-slave --reclone", nil)
	page.Type(t, n.Passive, 0, startEither, nil)
	says(t, n.Active, "status", "root_key_mismatch", n.Active.Name+": root key: open", "see docs/runbook/root-key-lost.md")
	for _, at := range n.Nodes {
		n.reads(t, at)
	}
	page.Type(t, n.Active, 0, "ktadmin root-key recover --recovery-key RECOVERY", map[string]string{"RECOVERY": "/root/recovery"})
	n.whole(t) // a daemon that runs takes the new key when it next looks
	n.Active.Says(t, 0, "writes open since ")
}
