package pairtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// types is a line of the page as ktadmin is given it: words in capitals stand for what is named.
func (p *page) types(line string, words map[string]string) []string {
	p.t.Helper()
	return p.Args(p.t, line, words)[1:]
}

// root is where the test finds a file of root's on the node's host.
func root(n *pairtest.Node, name string) string {
	return strings.TrimSuffix(n.Home, "/var/lib/keytrustee") + "/root/" + name
}

func carry(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shell runs a line on the node's host, as root.
func shell(t *testing.T, n *pairtest.Node, line string) {
	t.Helper()
	if out, errs, status := n.Run(t, "/bin/sh", "-c", line); status != 0 {
		t.Fatalf("%s on %s: %d\n%s%s", line, n.Name, status, out, errs)
	}
}

// TestDisasterBothLost: both hosts are destroyed, and what is left is a backup of the passive, an identity and the recovery key. The page's
// commands make the pair again on two bare hosts: every key of the backup is there, those that were made later are not, and what the lost
// disks have, put back, changes nothing.
func TestDisasterBothLost(t *testing.T) {
	p, page := pairtest.NewHosts(t, pairtest.Options{}), openPage(t, "both-lost.md")
	a, b := p.Active, p.Passive
	identity := takesBackups(t, p)
	keys, later := map[string]string{}, []string{}
	for range 5 {
		for _, n := range p.Nodes {
			name, material := n.MustCreate(t)
			keys[name] = material
		}
	}
	stdout, _ := ktadmin(t, b, 0, "backup", "create", "-o", "json")
	var receipt struct {
		Name     string
		Manifest struct{ Started string }
	}
	if err := json.Unmarshal([]byte(stdout), &receipt); err != nil {
		t.Fatal(err)
	}
	name, _ := b.MustCreate(t)
	later = append(later, name)
	away := t.TempDir()
	carry(t, filepath.Join(b.Home, "backups", receipt.Name+".ktb"), filepath.Join(away, "backup"))
	carry(t, root(a, "recovery.key"), filepath.Join(away, "recovery"))

	// Somebody who believes the hosts lost is told when one lives.
	bring := func(n *pairtest.Node) {
		t.Helper()
		carry(t, filepath.Join(away, "backup"), root(n, "backup.ktb"))
		carry(t, filepath.Join(away, "recovery"), root(n, "recovery.txt"))
		if err := os.WriteFile(root(n, "identity.txt"), []byte(identity.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	words := map[string]string{"BACKUP": "/root/backup.ktb", "IDENTITY": "/root/identity.txt", "RECOVERY": "/root/recovery.txt", "NAME": a.Name, "FILE": "/root/token"}
	const look = "ktadmin restore --from-backup BACKUP --identity IDENTITY --recovery-key RECOVERY"
	b.Kill(t)
	keep(t, b)
	b.Destroy(t)
	bring(b)
	_, stderr := ktadmin(t, b, 3, page.types(look, words)...)
	if !strings.Contains(stderr, a.Name+" answers at ") || !strings.Contains(stderr, "--from-survivor "+a.Address) {
		t.Errorf("beside a host that lives: %s", stderr)
	}

	a.Kill(t)
	keep(t, a)
	a.Destroy(t)
	begun := time.Now()
	stdout, _ = ktadmin(t, b, 0, page.types(look, words)...)
	if !strings.Contains(stdout, "everything that was acknowledged after ") || !strings.Contains(stdout, `--i-confirm "`+a.Name+` is powered off"`) || b.Duty(t) != "" {
		t.Errorf("the dry run left %q and said %s", b.Duty(t), stdout)
	}
	ktadmin(t, b, 3, append(page.types(look, words), "--i-confirm", b.Name+" is powered off")...)
	do := page.types(look+` --i-confirm "NAME is powered off"`, words)
	stdout = killedThenDone(t, b, do)
	if stdout != "" && !strings.Contains(stdout, "10 versions of 10 keys, with the new root key") {
		t.Errorf("it opened: %s", stdout)
	}
	ktadmin(t, b, 3, page.types("ktadmin restore --abort", words)...) // it has ended
	b.Start(t)
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads known keys are served")
	for name, material := range keys {
		b.AwaitServed(t, name, material)
	}
	b.MustRefuse(t, "no_passive")
	ktadmin(t, b, 0, page.types("ktadmin join-token --out FILE", words)...)
	carry(t, root(b, "token"), root(a, "token"))
	ktadmin(t, a, 0, page.types("ktadmin init-slave --token-file FILE", words)...)
	a.Start(t)
	open := func() {
		t.Helper()
		pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return b.Writable(t) })
		for _, n := range p.Nodes {
			name, material := n.MustCreate(t)
			keys[name] = material
		}
		everyKey(t, a, keys)
		everyKey(t, b, keys)
	}
	open()
	t.Logf("evidence: the pair is there again %v after both hosts were lost", time.Since(begun).Round(time.Millisecond))
	for _, name := range later {
		for _, n := range p.Nodes {
			if r, _ := n.Version(t, name, 0); r.Status != http.StatusOK && r.Status != http.StatusNotFound {
				t.Errorf("%s, made after the backup, at %s: %v", name, n.Name, r)
			}
			n.MustNotServe(t, name)
		}
	}
	p.Roles(t)
	p.SameContents(t)
	if b != p.Active || stateOn(t, b).Former != nil {
		t.Errorf("the active is %s: %+v", p.Active.Name, stateOn(t, b))
	}
	ktadmin(t, a, 0, "backup", "create") // its recipients came back

	for _, n := range []*pairtest.Node{a, b} {
		before := stateOn(t, n.Other())
		n.Stop(t)
		shell(t, n, "mkdir /root/now && mv /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* /root/now/ && cp -a /root/old/. /var/lib/keytrustee/")
		n.Start(t)
		n.Says(t, 0, "writes CLOSED")
		for _, at := range p.Nodes {
			if r := at.Create(t, pairtest.NewKey()); r.Status == http.StatusCreated || r.Status == 0 {
				t.Errorf("beside the lost disk of %s, a create at %s: %v", n.Name, at.Name, r)
			} else {
				t.Logf("evidence: beside the lost disk of %s, a create at %s: %v", n.Name, at.Name, r)
			}
		}
		if now := stateOn(t, n.Other()); now.Epoch != before.Epoch || now.Incarnation != before.Incarnation || now.Fenced != nil {
			t.Errorf("beside the lost disk of %s, %s was %+v and is %+v", n.Name, n.Other().Name, before, now)
		}
		n.Stop(t)
		shell(t, n, "rm -r /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* && cp -a /root/now/. /var/lib/keytrustee/ && rm -r /root/now")
		n.Start(t)
		open()
	}
	page.AllTyped(t)
}

// killedThenDone runs the command again and again, each time for longer until it is killed, and at last to its end. It returns what the run
// has said that ended.
func killedThenDone(t *testing.T, n *pairtest.Node, args []string) (stdout string) {
	t.Helper()
	for _, after := range []string{"0.3", "1", "2", "60"} {
		begun := time.Now()
		stdout, stderr, status := n.Run(t, append([]string{"timeout", "-s", "KILL", after, "/usr/bin/ktadmin"}, args...)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		t.Logf("evidence: restore for %ss: %d after %v, at %q", after, status, time.Since(begun).Round(time.Millisecond), lines[len(lines)-1])
		switch status {
		case 0:
			return stdout
		case -1: // timeout ends itself as it has ended the command, by SIGKILL
		case 3:
			if n.Duty(t) == "active" && strings.Contains(stderr, "no bare one") { // it was killed when it had just ended
				return ""
			}
			fallthrough
		default:
			t.Fatalf("ended with %d: %s%s", status, stdout, stderr)
		}
	}
	t.Fatal("it did not end")
	return ""
}

// takesBackups lets the pair make backups, and returns the identity of one of the recipients.
func takesBackups(t *testing.T, p *pairtest.Pair) (identity *age.X25519Identity) {
	t.Helper()
	text := "backup_recipients:\n"
	for range 2 {
		var err error
		if identity, err = age.GenerateX25519Identity(); err != nil {
			t.Fatal(err)
		}
		text += "  - " + identity.Recipient().String() + "\n"
	}
	for _, n := range p.Nodes {
		shell(t, n, "printf '%s' '"+text+"' >>/var/lib/keytrustee/.keytrustee/keytrustee.yaml")
	}
	return identity
}

// keep copies what is on the node's disk to a place that outlives it.
func keep(t *testing.T, n *pairtest.Node) {
	t.Helper()
	shell(t, n, "cp -a /var/lib/keytrustee /root/old")
}
