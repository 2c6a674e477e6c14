package disasters

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// ktadmin runs a command that must end with that status, and returns what it says.
func ktadmin(t *testing.T, n *pairtest.Node, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := n.Ktadmin(t, args...)
	if got != status {
		t.Fatalf("ktadmin %s on %s: status %d, want %d\n%s%s", strings.Join(args, " "), n.Name, got, status, stdout, stderr)
	}
	t.Logf("evidence: ktadmin %s on %s: %d\n%s%s", strings.Join(args, " "), n.Name, got, stdout, stderr)
	return stdout, stderr
}

// shell runs a line on the node's host, as root.
func shell(t testing.TB, n *pairtest.Node, line string) {
	t.Helper()
	if out, errs, status := n.Run(t, "/bin/sh", "-c", line); status != 0 {
		t.Fatalf("%s on %s: %d\n%s%s", line, n.Name, status, out, errs)
	}
}

// root is where the test finds a file of root's on the node's host.
func root(n *pairtest.Node, name string) string {
	return strings.TrimSuffix(n.Home, "/var/lib/keytrustee") + "/root/" + name
}

func carry(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hostState is what the test looks at of a host's state file.
type hostState struct {
	Epoch          struct{ Number int }
	Incarnation    string
	SystemID       string `json:"system_id"` // text, for it is wider than a number of JSON
	Former, Fenced *struct{}
}

func stateOn(t *testing.T, n *pairtest.Node) (s hostState) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Home, "node", "state.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// escrow is what is kept away from the hosts: identities, the recovery key, and a backup.
type escrow struct {
	identity *age.X25519Identity
	dir      string
	backup   receipt
}

// receipt is what the test looks at of a backup.
type receipt struct {
	Name     string
	Manifest struct{ Started time.Time }
	Rows     struct{ Keys, Versions int }
}

// takesBackups lets the pair make backups.
func takesBackups(t testing.TB, p *pairtest.Pair) *escrow {
	t.Helper()
	e := &escrow{dir: t.TempDir()}
	text := "backup_schedule: off\nbackup_recipients:\n"
	for range 2 {
		var err error
		if e.identity, err = age.GenerateX25519Identity(); err != nil {
			t.Fatal(err)
		}
		text += "  - " + e.identity.Recipient().String() + "\n"
	}
	for _, n := range p.Nodes {
		shell(t, n, "printf '%s' '"+text+"' >>/var/lib/keytrustee/.keytrustee/keytrustee.yaml")
	}
	carry(t, root(p.Active, "recovery.key"), filepath.Join(e.dir, "recovery.txt"))
	if err := os.WriteFile(filepath.Join(e.dir, "identity.txt"), []byte(e.identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// takeBackup makes a backup of the node, and keeps it.
func (e *escrow) takeBackup(t *testing.T, n *pairtest.Node) {
	t.Helper()
	stdout, _ := ktadmin(t, n, 0, "backup", "create", "-o", "json")
	e.backup = receipt{}
	if err := json.Unmarshal([]byte(stdout), &e.backup); err != nil {
		t.Fatal(err)
	}
	carry(t, filepath.Join(n.Home, "backups", e.backup.Name+".ktb"), filepath.Join(e.dir, "backup.ktb"))
}

// bring takes all of it to the node.
func (e *escrow) bring(t *testing.T, n *pairtest.Node) {
	t.Helper()
	for _, name := range []string{"backup.ktb", "recovery.txt", "identity.txt"} {
		carry(t, filepath.Join(e.dir, name), root(n, name))
	}
}

// words are what stands for the capitals of a page.
func words(more ...string) map[string]string {
	w := map[string]string{"BACKUP": "/root/backup.ktb", "IDENTITY": "/root/identity.txt", "RECOVERY": "/root/recovery.txt", "FILE": "/root/token"}
	for i := 0; i < len(more); i += 2 {
		w[more[i]] = more[i+1]
	}
	return w
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

// keep copies what is on the node's disk to a place that outlives it.
func keep(t *testing.T, n *pairtest.Node) {
	t.Helper()
	shell(t, n, "cp -a /var/lib/keytrustee /root/old")
}
