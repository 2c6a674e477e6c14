package pairtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
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
	p := pairtest.NewHosts(t, pairtest.Options{})
	a, b := p.Active, p.Passive
	identity := takesBackups(t, p)
	keys := map[string]string{}
	for range 5 {
		for _, n := range p.Nodes {
			name, material := n.MustCreate(t)
			keys[name] = material
		}
	}
	stdout, _ := ktadmin(t, b, 0, "backup", "create", "-o", "json")
	var receipt struct{ Name string }
	if err := json.Unmarshal([]byte(stdout), &receipt); err != nil {
		t.Fatal(err)
	}
	later, _ := b.MustCreate(t)
	away := t.TempDir()
	carry(t, filepath.Join(b.Home, "backups", receipt.Name+".ktb"), filepath.Join(away, "backup"))
	carry(t, root(a, "recovery.key"), filepath.Join(away, "recovery"))
	was := stateOn(t, a)
	for _, n := range p.Nodes {
		n.Kill(t)
		n.Destroy(t)
		upgraded(t, n, newer)
	}
	carry(t, filepath.Join(away, "backup"), root(b, "backup.ktb"))
	carry(t, filepath.Join(away, "recovery"), root(b, "recovery.txt"))
	if err := os.WriteFile(root(b, "identity.txt"), []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	const reason = "PostgreSQL 15's data can not be started by 17"
	secrets := []string{"--identity", "/root/identity.txt", "--recovery-key", "/root/recovery.txt"}
	stdout, _ = ktadmin(t, b, 0, append([]string{"backup", "restore-test", "/root/backup.ktb", "-o", "json"}, secrets...)...)
	var tested struct {
		DumpAlone  string `json:"dump_alone"`
		PostgreSQL string `json:"postgresql_version"`
		Rows       struct{ Keys int }
	}
	if err := json.Unmarshal([]byte(stdout), &tested); err != nil || tested.DumpAlone != reason || !strings.HasPrefix(tested.PostgreSQL, "17.") || tested.Rows.Keys != len(keys) {
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
	if stdout != "" && (!strings.Contains(stdout, "the logical dump in a backup of "+b.Name) || !strings.Contains(stdout, "10 versions of 10 keys, with the new root key")) {
		t.Errorf("restored:\n%s", stdout)
	}
	b.Start(t)
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads known keys are served")
	for name, material := range keys {
		b.AwaitServed(t, name, material)
	}
	b.MustNotServe(t, later)
	b.MustRefuse(t, "no_passive")
	if now := stateOn(t, b); now.SystemID == was.SystemID || now.Epoch.Number <= was.Epoch.Number {
		t.Errorf("it was %+v and is %+v", was, now)
	}

	ktadmin(t, b, 0, "join-token", "--out", "/root/token")
	carry(t, root(b, "token"), root(a, "token"))
	ktadmin(t, a, 0, "init-slave", "--token-file", "/root/token")
	a.Start(t)
	pairtest.Await(t, pgtest.Patience, "writes are open", func() bool { return b.Writable(t) })
	for _, n := range p.Nodes {
		name, material := n.MustCreate(t)
		keys[name] = material
	}
	everyKey(t, a, keys)
	everyKey(t, b, keys)
	p.Roles(t)
	p.SameContents(t)
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
