package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAHostThatMoves: what its files said of a host holds on another machine, but for where its files lay there; the environment of this
// machine is not that host's.
func TestAHostThatMoves(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const node = "name: kt02\nexternal_address: kt02.example.com\npg_rootdir: /data/db\nuser: other\nport: 443\nbackup_keep_weekly: 52\nbackup_targets: [sftp://kt@store/kt]\npeer:\n  name: kt01\n"
	write(".keytrustee/keytrustee.yaml", "cluster_id: c1\ncluster_port: 4711\n")
	write("node/node.yaml", node)
	t.Setenv("KEYTRUSTEE_EXTERNAL_ADDRESS", "elsewhere.example.com")
	t.Setenv("KEYTRUSTEE_CLUSTER_PORT", "1")
	if address, port, err := ReachedAt(home); err != nil || address != "kt02.example.com" || port != 4711 {
		t.Errorf("reached at %q, %d: %v", address, port, err)
	}

	c := &Config{Confdir: filepath.Join(t.TempDir(), ".keytrustee")}
	if err := os.Mkdir(c.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.TakeNode([]byte(node)); err != nil {
		t.Fatal(err)
	}
	os.Unsetenv("KEYTRUSTEE_EXTERNAL_ADDRESS")
	read, err := Read(c.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	if read.Name != "kt02" || read.ExternalAddress != "kt02.example.com" || read.Port != 443 || read.BackupKeepWeekly != 52 || read.Peer.Name != "kt01" || !slices.Equal(read.BackupTargets, []string{"sftp://kt@store/kt"}) ||
		read.User != "keytrustee" || read.PGRootDir != filepath.Join(read.Home(), "db") {
		t.Errorf("read %+v", read)
	}
	if err := c.TakeNode([]byte("name: kt03\n")); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(c.NodeFile()); err != nil || !strings.Contains(string(text), "kt02") {
		t.Errorf("what was there is now %s, %v", text, err)
	}
	if err := os.Remove(filepath.Join(home, "node/node.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReachedAt(home); err == nil {
		t.Error("a host without a node.yaml is reached")
	}
}
