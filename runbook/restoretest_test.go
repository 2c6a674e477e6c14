package runbook_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// restoreTestFails: the drill with the wrong identity, the wrong key, another cluster's and a damaged file. What it says stands on the page.
func restoreTestFails(t *testing.T, n *night, page *pairtest.Page) {
	said := saidOn(t, "restore-test-fails.md")
	maker := n.Passive
	put(t, maker, "/root/identity", recipients(t, n))
	put(t, maker, "/root/recovery", read(t, n.Nodes[0], "/root/recovery.key"))
	page.Type(t, maker, 0, "ktadmin backup create", nil)
	name := newest(t, maker)
	backup := "/var/lib/keytrustee/backups/" + name + ".ktb"
	test := func(status int, file, with, recovery string, more ...string) {
		t.Helper()
		const drill = "ktadmin backup restore-test BACKUP --identity IDENTITY --recovery-key RECOVERY"
		words := map[string]string{"BACKUP": file, "IDENTITY": with, "RECOVERY": recovery}
		var errs string
		if len(more) == 0 {
			_, errs = page.Type(t, maker, status, drill, words)
		} else {
			var got int
			if _, errs, got = maker.Ktadmin(t, append(page.Ktadmin(t, drill, words), more...)...); got != status {
				t.Fatalf("%v: %d: %s", more, got, errs)
			}
		}
		if status != 0 && !said(errs) {
			t.Errorf("the page does not know what is said of it: %s", errs)
		}
	}
	test(0, backup, "/root/identity", "/root/recovery")

	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	put(t, maker, "/root/stranger", stranger.String())
	other, _, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	put(t, maker, "/root/other", other)
	test(1, backup, "/root/stranger", "/root/recovery")
	test(3, backup, "/root/identity", "/root/other")
	test(3, backup, "/root/recovery", "/root/recovery")
	test(2, backup, "/root/identity", "/root/identity")
	test(1, backup, "/root/identity", "/root/recovery", "--sha256", strings.Repeat("0", 64))
	whole := read(t, maker, backup)
	put(t, maker, "/root/cut.ktb", whole[:len(whole)-100])
	test(1, "/root/cut.ktb", "/root/identity", "/root/recovery")

	words := map[string]string{"NAME": name, "BACKUP": backup}
	sum := func(file string) string {
		t.Helper()
		out, _ := page.Type(t, maker, 0, "sha256sum BACKUP", map[string]string{"BACKUP": file})
		return strings.Fields(out)[0]
	}
	page.Type(t, maker, 0, "ktadmin backup verify NAME", words)
	if out, _ := page.Type(t, maker, 0, "ktadmin backup show NAME", words); !strings.Contains(out, sum(backup)) || strings.Contains(out, sum("/root/cut.ktb")) {
		t.Errorf("the sum is %s, and it says %s", sum(backup), out)
	}
	page.Type(t, maker, 0, "ktadmin db check", nil)
}

// saidOn reports whether one of the texts in the first column of the page's table is in what was said.
func saidOn(t *testing.T, page string) func(string) bool {
	t.Helper()
	text, err := os.ReadFile("../docs/runbook/" + page)
	if err != nil {
		t.Fatal(err)
	}
	var known []*regexp.Regexp
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if first == line {
			continue
		}
		for i, said := range strings.Split(first, "`") {
			if i%2 == 1 {
				known = append(known, regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(said), "…", ".*")))
			}
		}
	}
	if len(known) < 5 {
		t.Fatalf("%s has %d rows", page, len(known))
	}
	return func(said string) bool {
		for _, k := range known {
			if k.MatchString(said) {
				return true
			}
		}
		return false
	}
}

// recipients lets both hosts make backups for new identities, and returns one of these.
func recipients(t *testing.T, n *night) (identity string) {
	t.Helper()
	text := "backup_recipients:\n"
	for range 2 {
		i, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		identity = i.String()
		text += "  - " + i.Recipient().String() + "\n"
	}
	for _, at := range n.Nodes {
		file := confdir + "keytrustee.yaml"
		before, _, _ := strings.Cut(read(t, at, file), "backup_recipients:\n")
		put(t, at, file, before+text)
	}
	return identity
}

// newest is the name of the newest backup on the host.
func newest(t *testing.T, at *pairtest.Node) string {
	t.Helper()
	out, errs, _ := at.Ktadmin(t, "backup", "list", "-o", "json")
	var list struct {
		Backups []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Backups) == 0 {
		t.Fatalf("%v: %s%s", err, out, errs)
	}
	return list.Backups[0].Name
}
