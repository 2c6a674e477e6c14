package pairtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// slow are the reasons for which a busy machine alone shuts the gate for a moment, whoever makes a backup.
var slow = []string{"passive_unreachable", "passive_daemon_down", "passive_stale", "passive_not_streaming", "busy", "outcome_unknown"}

// TestBackupOfEachHost: a backup of the passive and one of the active are made while the pair takes writes, each with every key
// that was acknowledged before, and nothing of a backup is a reason to shut the gate.
func TestBackupOfEachHost(t *testing.T) {
	p := pairtest.New(t)
	t.Setenv("KEYTRUSTEE_BACKUP_RECIPIENTS", strings.Join(recipients(t), ","))
	made, unsure := 0, 0
	for _, n := range []*pairtest.Node{p.Passive, p.Active} {
		p.Active.MustCreate(t)
		made++
		writing, ended := make(chan struct{}), make(chan int)
		go func() {
			wrote := 0
			defer func() { ended <- wrote }()
			for {
				select {
				case <-writing:
					return
				default:
				}
				switch a := p.Active.Create(t, pairtest.NewKey()); {
				case a.Status == http.StatusCreated:
					wrote++
				case slices.Contains(slow, a.Reason):
					unsure++
					t.Logf("while %s is backed up: %v", n.Name, a)
				default:
					t.Errorf("while %s is backed up: %v", n.Name, a)
					return
				}
			}
		}()
		stdout, stderr, status := n.Ktadmin(t, "backup", "create", "-o", "json")
		close(writing)
		wrote := <-ended
		if status != 0 {
			t.Fatalf("%s: %d, %s", n.Name, status, stderr)
		}
		var receipt struct {
			Rows     struct{ Keys, Versions int }
			Manifest struct{ Host, Duty string }
		}
		if err := json.Unmarshal([]byte(stdout), &receipt); err != nil {
			t.Fatal(err)
		}
		if keys := receipt.Rows.Keys; keys < made || keys > made+wrote+unsure || receipt.Rows.Versions != keys || receipt.Manifest.Duty != n.Name {
			t.Errorf("%s: %d keys before and %d meanwhile, the receipt is %s", n.Name, made, wrote, stdout)
		}
		if wrote == 0 {
			t.Errorf("nothing was written while %s was backed up", n.Name)
		}
		made += wrote
		pairtest.Await(t, 30*time.Second, "writes are open after the backup of "+n.Name, func() bool { return p.Active.Writable(t) })
	}
}

// recipients are two, whose identities nobody keeps.
func recipients(t *testing.T) (texts []string) {
	t.Helper()
	for range 2 {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, identity.Recipient().String())
	}
	return texts
}

// settle adds settings to those of a host.
func settle(t *testing.T, n *pairtest.Node, settings string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(n.Home, "node", "node.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(settings); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// awaitBackup gives both hosts of a pair recipients, without a restart, and waits until it has a backup: the passive's daemon makes it, the
// active's does not, and each knows of it.
func awaitBackup(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	common := "backup_recipients: [" + strings.Join(recipients(t), ", ") + "]\n"
	for _, n := range p.Nodes {
		settle(t, n, common)
	}
	type schedule struct {
		Newest time.Time
		Other  time.Time `json:"other_newest"`
		Mine   bool
		Part   string
	}
	var seen [2]schedule
	pairtest.Await(t, 2*time.Minute, "a backup by the passive's daemon, which the active knows of", func() bool {
		for i, n := range []*pairtest.Node{p.Active, p.Passive} {
			out, _, _ := n.Ktadmin(t, "backup", "schedule", "-o", "json")
			seen[i] = schedule{}
			if json.Unmarshal([]byte(out), &seen[i]) != nil {
				return false
			}
		}
		a, b := seen[0], seen[1]
		return !b.Newest.IsZero() && b.Mine && !a.Mine && a.Other.Equal(b.Newest)
	})
	if a := seen[0]; !a.Newest.IsZero() {
		t.Errorf("the active has made one too: %+v", a)
	}
	text, err := os.ReadFile(filepath.Join(p.Passive.Home, "log", "kms-audit.log"))
	if err != nil || !strings.Contains(string(text), "NOTICE[kind=backup, state=made, backup=kt-"+p.Passive.Name+"-") {
		t.Errorf("the passive's audit log does not have it, %v:\n%s", err, text)
	}
	for _, n := range p.Nodes {
		if out, _, _ := n.Ktadmin(t, "status"); !strings.Contains(out, "the newest was begun at ") || strings.Contains(out, "NOT IN ORDER") {
			t.Errorf("the status of %s:\n%s", n.Name, out)
		}
	}
}

// shell runs a line on the node's host, as root.
func shell(t testing.TB, n *pairtest.Node, line string) {
	t.Helper()
	if stdout, stderr, status := n.Run(t, "/bin/sh", "-c", line); status != 0 {
		t.Fatalf("%s on %s: %d\n%s%s", line, n.Name, status, stdout, stderr)
	}
}

// takesBackups lets the pair make backups for two recipients, of whom one's identity is returned.
func takesBackups(t testing.TB, p *pairtest.Pair) (identity *age.X25519Identity) {
	t.Helper()
	text := "backup_recipients:\\n"
	for range 2 {
		var err error
		if identity, err = age.GenerateX25519Identity(); err != nil {
			t.Fatal(err)
		}
		text += "  - " + identity.Recipient().String() + "\\n"
	}
	for _, n := range p.Nodes {
		shell(t, n, "printf '"+text+"' >>/var/lib/keytrustee/.keytrustee/keytrustee.yaml")
	}
	return identity
}

// TestKtbackupFromCron: the original's line, as root's cron runs it, leaves a backup of the host where it says, of which the path is all that
// is said.
func TestKtbackupFromCron(t *testing.T) {
	p := pairtest.NewHosts(t, pairtest.Options{})
	a := p.Active
	reader := takesBackups(t, p).Recipient().String()
	a.MustCreate(t)
	script, err := os.ReadFile("../../packaging/ktbackup.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.File("/usr/bin/ktbackup.sh"), script, 0o755); err != nil {
		t.Fatal(err)
	}
	cron := func() (stdout, stderr string, status int) {
		line := "/usr/bin/ktbackup.sh --gpg-recipient=" + reader + " --quiet --output=/tmp/backups --roll=1"
		stdout, stderr, status = a.Run(t, "env", "-i", "PATH=/usr/bin:/bin", "SHELL=/bin/sh", "HOME=/root", "LOGNAME=root", "/bin/sh", "-c", line)
		t.Logf("evidence: %s on %s: %d\n%s%s", line, a.Name, status, stdout, stderr)
		return stdout, stderr, status
	}
	if stdout, stderr, status := cron(); status != 3 || stdout != "" || !strings.Contains(stderr, "its directory is not there") {
		t.Errorf("without the directory: %d, %q, %q", status, stdout, stderr)
	}
	shell(t, a, "install -d -m 0700 -o root /tmp/backups")
	if stdout, stderr, status := cron(); status != 3 || stdout != "" || !strings.Contains(stderr, "let the service's user read and write /tmp/backups") {
		t.Errorf("in root's directory: %d, %q, %q", status, stdout, stderr)
	}
	shell(t, a, "chown keytrustee /tmp/backups")
	for range 2 {
		stdout, stderr, status := cron()
		made, err := filepath.Glob(a.File("/tmp/backups/*.ktb"))
		if status != 0 || stderr != "" || err != nil || len(made) != 1 || stdout != "/tmp/backups/"+filepath.Base(made[0])+"\n" {
			t.Errorf("%d, %q, %q; there are %q, %v", status, stdout, stderr, made, err)
		}
	}
}
