package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestRestoreFromBackup: a host that is destroyed is made again out of its backup, with an identity of a recipient and the recovery key and
// nothing else; with anything that is not what it should be nothing is made.
func TestRestoreFromBackup(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	if err := pgstore.Migrate(pgtest.Context(t), b.server.ConnString(host.Database)); err != nil {
		t.Fatal(err)
	}
	b.key("payroll", "0123456789abcdefghijklmnopqrstuv")
	b.key("ledger", "0123456789abcdefghijklmnopqrstuv")
	var receipt backup.Receipt
	decode(t, b.must("backup", "create", "-o", "json"), &receipt)
	home, dir := b.Home(), filepath.Dir(b.Home())
	file, identity, recovery := filepath.Join(dir, "lost.ktb"), filepath.Join(dir, "identity"), filepath.Join(dir, "recovery.key")
	put := func(path string, text []byte) string {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole, err := os.ReadFile(backup.File(b.BackupDirectory, receipt.Name))
	if err != nil {
		t.Fatal(err)
	}
	put(file, whole)
	put(identity, []byte("# one of the recipients\n"+b.identity.String()+"\n"))
	if _, stderr, status := b.ktadmin("restore", "--from-backup", file, "--identity", identity, "--recovery-key", recovery); status != exitRefused || !strings.Contains(stderr, "this host is no bare one") {
		t.Errorf("on a host of a cluster: %d, %s", status, stderr)
	}
	b.key("later", "0123456789abcdefghijklmnopqrstuv")
	old, err := seal.LoadRoot(seal.RootPath(b.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.server.Stop(pgtest.Context(t), postgres.Immediate), os.RemoveAll(home)); err != nil {
		t.Fatal(err)
	}

	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	another, _, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, whole...)
	flipped[len(flipped)/2] ^= 1
	for _, tt := range []struct {
		name                     string
		file, identity, recovery string
		status                   int
		says                     string
	}{
		{"another's identity", file, put(identity+".other", []byte(other.String())), recovery, exitFailed, "no identity that was given opens it"},
		{"another recovery key", file, identity, put(recovery+".other", []byte(another)), exitRefused, "and the backup's is"},
		{"a file that was cut", put(file+".cut", whole[:len(whole)-1]), identity, recovery, exitFailed, "is of no use"},
		{"a flipped bit", put(file+".flipped", flipped), identity, recovery, exitFailed, "is of no use"},
	} {
		_, stderr, status := b.ktadmin("restore", "--from-backup", tt.file, "--identity", tt.identity, "--recovery-key", tt.recovery, "--i-confirm", "kt01 is lost")
		if status != tt.status || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "\nhint: ") || strings.Contains(stderr, other.String()) || strings.Contains(stderr, another) {
			t.Errorf("%s: %d, %s", tt.name, status, stderr)
		}
		b.bare(home)
	}

	command := []string{"restore", "--from-backup", file, "--identity", identity, "--recovery-key", recovery}
	var looked replication.Operated
	decode(t, b.must(append(command, "-o", "json")...), &looked)
	if len(looked.Plan) == 0 || !strings.Contains(looked.Plan[0], "everything that was acknowledged after "+stamp(receipt.Manifest.Started)+" is lost") {
		t.Errorf("would be done: %+v", looked)
	}
	b.bare(home)
	if _, stderr, status := b.ktadmin(append(command, "--i-confirm", "it is lost")...); status != exitRefused || !strings.Contains(stderr, `say --i-confirm "kt01 is lost"`) {
		t.Errorf("with other words: %d, %s", status, stderr)
	}
	b.bare(home)
	stdout := b.must(append(command, "--i-confirm", "kt01 is lost")...)
	if !strings.Contains(stdout, "opened         2 versions of 2 keys, with the new root key") {
		t.Errorf("restored:\n%s", stdout)
	}

	if b.Config, err = config.Load(b.Confdir); err != nil {
		t.Fatal(err)
	}
	b.host = hostOf(b.Config)
	root, err := seal.LoadRoot(seal.RootPath(b.Confdir))
	if err != nil || root.Public().Fingerprint() == old.Public().Fingerprint() {
		t.Errorf("the root key is the lost one: %v", err)
	}
	if b.server, err = b.host.Server(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.host.RunDB(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, b.server)
	var again backup.Receipt
	decode(t, b.must("backup", "create", "-o", "json"), &again)
	if again.Rows != receipt.Rows || again.Manifest.Epoch <= receipt.Manifest.Epoch || again.Manifest.SystemID != receipt.Manifest.SystemID || again.Start.LSN <= receipt.End.LSN {
		t.Errorf("what was backed up as\n%+v\nis, restored,\n%+v", receipt, again)
	}

	if err := errors.Join(b.server.Stop(pgtest.Context(t), postgres.Immediate), os.RemoveAll(home)); err != nil {
		t.Fatal(err)
	}
	command = append(command, "--from-dump")
	if stdout := b.must(command...); !strings.Contains(stdout, "it was asked for: the keys come from the logical dump") {
		t.Errorf("from the dump would be done:\n%s", stdout)
	}
	b.bare(home)
	var restored struct {
		FromDump bool `json:"from_dump"`
		State    replication.State
		Rows     backup.Count
	}
	decode(t, b.must(append(command, "--i-confirm", "kt01 is lost", "-o", "json")...), &restored)
	if !restored.FromDump || restored.Rows != receipt.Rows || restored.State.SystemID == receipt.Manifest.SystemID {
		t.Errorf("from the dump: %+v", restored)
	}
}

// bare checks that nothing was made below the home but directories and locks.
func (b *backupHost) bare(home string) {
	b.Helper()
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Name() != "lock" && filepath.Ext(path) != ".lock" {
			b.Errorf("%s was made", path)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Join(home, "db")); !errors.Is(err, fs.ErrNotExist) {
		b.Errorf("the data directory has %v: %v", entries, err)
	}
}
