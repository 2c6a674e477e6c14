package disasters

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"keytrustee/postgres/pgtest"
	"keytrustee/replication/pairtest"
)

// upgraded has the node's host have that PostgreSQL and no other.
func upgraded(t *testing.T, n *pairtest.Node, from string) {
	t.Helper()
	shell(t, n, "rm -r /usr/lib/postgresql/*")
	if err := os.CopyFS(n.File("/usr/lib/postgresql/other"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestDisasterAnotherMajor: both hosts are lost, and the bare ones have PostgreSQL of a later major version. A backup stands its test there, by
// its dump, and the pair is made again out of that: every key of the backup is there with its material, on both hosts, and new ones are made.
func TestDisasterAnotherMajor(t *testing.T) {
	newer := pgtest.Newer(t)
	c, p := begin(t)
	e, a, b := c.escrow, p.Active, p.Passive
	t.Cleanup(func() { // no other test wants a pair of that version
		if !t.Failed() {
			c.life.End()
			shared = nil
		}
	})
	e.takeBackup(t, b)
	later := c.createsLater(1)
	was := stateOn(t, a)
	for _, n := range p.Nodes {
		n.Kill(t)
		n.Destroy(t)
		upgraded(t, n, newer)
	}
	e.bring(t, b)

	const reason = "PostgreSQL 15's data can not be started by 17"
	secrets := []string{"--identity", "/root/identity.txt", "--recovery-key", "/root/recovery.txt"}
	stdout, _ := ktadmin(t, b, 0, append([]string{"backup", "restore-test", "/root/backup.ktb", "-o", "json"}, secrets...)...)
	var tested struct {
		DumpAlone  string `json:"dump_alone"`
		PostgreSQL string `json:"postgresql_version"`
		Rows       struct{ Keys int }
	}
	if err := json.Unmarshal([]byte(stdout), &tested); err != nil || tested.DumpAlone != reason || !strings.HasPrefix(tested.PostgreSQL, "17.") || tested.Rows.Keys != len(c.keys) {
		t.Errorf("tested was %s, %v", stdout, err)
	}
	stdout, _ = ktadmin(t, b, 0, append([]string{"backup", "restore-test", "/root/backup.ktb"}, secrets...)...)
	if !strings.Contains(stdout, "the logical dump alone: "+reason) {
		t.Errorf("tested was\n%s", stdout)
	}

	restore := append([]string{"restore", "--from-backup", "/root/backup.ktb"}, secrets...)
	stdout, _ = ktadmin(t, b, 0, restore...)
	if !strings.Contains(stdout, reason+": the keys come from the logical dump") || b.Duty(t) != "" {
		t.Errorf("the dry run left %q and said %s", b.Duty(t), stdout)
	}
	stdout = killedThenDone(t, b, append(restore, "--i-confirm", a.Name+" is powered off"))
	if stdout != "" && (!strings.Contains(stdout, "the logical dump in a backup of "+b.Name) || !strings.Contains(stdout, fmt.Sprintf("%d versions of %[1]d keys, with the new root key", len(c.keys)))) {
		t.Errorf("restored:\n%s", stdout)
	}
	b.Start(t)
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads known keys are served")
	c.awaitsAt(b)
	c.reads(b)
	b.MustRefuse(t, "no_passive")
	if now := stateOn(t, b); now.SystemID == was.SystemID || now.Epoch.Number <= was.Epoch.Number {
		t.Errorf("it was %+v and is %+v", was, now)
	}

	ktadmin(t, b, 0, "join-token", "--out", "/root/token")
	carry(t, root(b, "token"), root(a, "token"))
	ktadmin(t, a, 0, "init-slave", "--token-file", "/root/token")
	a.Start(t)
	p.Roles(t)
	c.isWhole()
	c.lacks(later)
	for _, n := range p.Nodes {
		var version string
		if err := n.SQL(t).QueryRow(t.Context(), "show server_version").Scan(&version); err != nil || !strings.HasPrefix(version, "17.") {
			t.Errorf("%s has PostgreSQL %s, %v", n.Name, version, err)
		}
	}
	stdout, _ = ktadmin(t, a, 0, "backup", "create", "-o", "json") // of 17, by 17, proven by its base backup
	if !strings.Contains(stdout, `"postgresql_version": "17.`) {
		t.Errorf("the next backup is %s", stdout)
	}
}
