package runbook_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestInstallation types what the README says on two hosts that have Debian's PostgreSQL and nothing else, until there is a pair in order that
// has a backup, and whose clients are told the right address.
func TestInstallation(t *testing.T) {
	p, page := pairtest.NewHosts(t, pairtest.Options{Bare: true}), pairtest.OpenSection(t, "README.md", "A pair on two hosts")
	n := &night{p, map[string]string{}}
	a, b := p.Nodes[0], p.Nodes[1]
	page.Args(t, "make build", nil)
	build := exec.Command("make", "build")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, at := range p.Nodes {
		for _, dir := range []string{"bin", "packaging"} {
			if err := os.CopyFS(at.File("/root/"+dir), os.DirFS("../"+dir)); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{
			"useradd --system --user-group --home-dir /var/lib/keytrustee --shell /usr/sbin/nologin keytrustee",
			"install -m 0755 bin/keytrusteed packaging/ktbackup.sh bin/ktadmin /usr/bin",
			"install -m 0644 packaging/systemd/*.service packaging/systemd/*.timer /etc/systemd/system",
			"systemctl daemon-reload",
		} {
			page.TypeIn(t, "/root", at, 0, line, nil)
		}
	}

	const enable = "systemctl enable --now keytrustee-db keytrusteed"
	page.Type(t, a, 0, "ktadmin init --external-address kt01.example.com --recovery-key-out /root/recovery.key", nil)
	page.Type(t, a, 0, "ktadmin db --bootstrap --slave kt02.example.com", nil)
	page.Type(t, a, 0, enable, nil)
	page.Type(t, a, 0, "ktadmin join-token --out /root/join.token", nil)
	put(t, b, "/root/join.token", read(t, a, "/root/join.token"))
	page.Type(t, b, 0, "ktadmin init-slave --external-address kt02.example.com --token-file /root/join.token", nil)
	page.Type(t, b, 0, enable, nil)
	page.Type(t, a, 0, "ktadmin root-key confirm-recovery --key-file /root/recovery.key", nil)
	synchronous := page.Ktadmin(t, "ktadmin enable-synchronous-replication", nil)
	pairtest.Await(t, 30*time.Second, "replication can be made synchronous", func() bool {
		_, _, status := a.Ktadmin(t, synchronous...)
		return status == 0
	})
	if err := os.WriteFile(p.CAFile, []byte(read(t, a, confdir+authority)), 0o644); err != nil {
		t.Fatal(err)
	}
	pairtest.Await(t, time.Minute, "writes are open", func() bool { return a.Writable(t) })
	n.creates(t)
	page.Type(t, a, 0, "rm /root/recovery.key", nil)

	withKeygen(t, p)
	words := map[string]string{"ALICE": identity(t, page, b, "/root/alice.txt"), "BOB": identity(t, page, b, "/root/bob.txt")}
	for _, at := range p.Nodes {
		page.Type(t, at, 0, `printf 'backup_recipients:\n  - %s\n  - %s\n' ALICE BOB >>/var/lib/keytrustee/.keytrustee/keytrustee.yaml`, words)
	}
	page.Type(t, b, 0, "ktadmin backup create --wait", nil)
	pairtest.Await(t, time.Minute, "the pair is in order", func() bool {
		out, _, status := b.Ktadmin(t, page.Ktadmin(t, summary, nil)...)
		return status == 0 && strings.HasPrefix(out, "WRITES open at kt01 ") && !strings.Contains(out, "BAD")
	})
	page.Type(t, a, 0, summary, nil)
	for _, line := range []string{
		"curl --cacert /var/lib/keytrustee/.keytrustee/ca.pem https://kt01.example.com:11371/v1/sys/health",
		"curl --cacert /var/lib/keytrustee/.keytrustee/ca.pem 'https://kt02.example.com:11371/v1/sys/health?standbyok=true'",
	} {
		if out, _ := page.Type(t, b, 0, line, nil); !strings.Contains(out, `"writes":{"open":true`) {
			t.Errorf("%s: %s", line, out)
		}
	}
	for _, at := range p.Nodes {
		n.reads(t, at)
		if r := at.Create(t, pairtest.NewKey()); r.Status != http.StatusCreated {
			t.Errorf("a create at %s: %v", at.Name, r)
		}
		if info, err := os.Stat(filepath.Dir(at.Confdir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the home on %s: %v, %v", at.Name, info, err)
		}
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "<value>"+p.KMSURI+"</value>") {
		t.Errorf("clients are not told %s", p.KMSURI)
	}
	page.AllTyped(t)
}
