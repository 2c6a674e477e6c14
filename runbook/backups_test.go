package runbook_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/replication/pairtest"
)

// identityLost: of two identities one is lost. Somebody else makes another, and the next backup opens with it, and not with the lost one.
func identityLost(t *testing.T, n *night, page *pairtest.Page) {
	withKeygen(t, n.Pair)
	maker := n.Passive
	lost, kept := identity(t, page, maker, "/root/lost.txt"), identity(t, page, maker, "/root/kept.txt")
	for _, at := range n.Nodes {
		file := confdir + "keytrustee.yaml"
		put(t, at, file, read(t, at, file)+"backup_recipients:\n  - "+lost+"\n  - "+kept+"\n")
	}
	create := func() string {
		t.Helper()
		page.Type(t, maker, 0, "ktadmin backup create", nil)
		return newest(t, maker)
	}
	first := create()
	page.Type(t, maker, 0, "ktadmin backup list", nil)
	if out, _ := page.Type(t, maker, 0, "ktadmin backup show NAME", map[string]string{"NAME": first}); !strings.Contains(out, lost) || !strings.Contains(out, kept) {
		t.Errorf("it does not say whom the backup is for: %s", out)
	}
	put(t, maker, "/root/recovery", read(t, n.Nodes[0], "/root/recovery.key"))
	test := func(status int, backup, with string) (errs string) {
		t.Helper()
		_, errs = page.Type(t, maker, status, "ktadmin backup restore-test BACKUP --identity IDENTITY --recovery-key RECOVERY",
			map[string]string{"BACKUP": "/var/lib/keytrustee/backups/" + backup + ".ktb", "IDENTITY": with, "RECOVERY": "/root/recovery"})
		return errs
	}
	test(0, first, "/root/kept.txt") // with the lost one gone it opens with the other
	next := identity(t, page, maker, "/root/next.txt")
	for _, at := range n.Nodes {
		page.Type(t, at, 0, "sed -i s/OLD/NEW/ /var/lib/keytrustee/.keytrustee/keytrustee.yaml", map[string]string{"OLD": lost, "NEW": next})
		page.Type(t, at, 0, "ktadmin backup schedule", nil)
	}
	second := create()
	if second == first {
		t.Fatal("there is no new backup")
	}
	test(0, second, "/root/next.txt")
	if errs := test(1, second, "/root/lost.txt"); !strings.Contains(errs, "no identity that was given opens it") {
		t.Errorf("with the lost identity it says %s", errs)
	}
}

// identity types the page's command for a new identity, and returns its recipient.
func identity(t *testing.T, page *pairtest.Page, at *pairtest.Node, file string) (recipient string) {
	t.Helper()
	page.Type(t, at, 0, "age-keygen -o IDENTITY", map[string]string{"IDENTITY": file})
	out, errs, status := at.Run(t, "age-keygen", "-y", file)
	if status != 0 {
		t.Fatal(errs)
	}
	return strings.TrimSpace(out)
}

// withKeygen puts age-keygen on the hosts, of the library's own module.
func withKeygen(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "age-keygen")
	cmd := exec.Command("go", "build", "-o", path, "filippo.io/age/cmd/age-keygen")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(path)
	for _, at := range p.Nodes {
		if err == nil {
			err = os.WriteFile(at.File("/usr/bin/age-keygen"), text, 0o755)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
