package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/backup"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// forger has of a cluster what is no secret: the recipients, and the public half of the recovery key.
type forger struct {
	*backupHost
	witness string // a file that is made when somebody's PostgreSQL restores what the forger has made up
}

// newForger has a cluster of its own, whose keys the recovery key of the other one opens, and whose database runs a command of the
// forger's choice when its dump is restored.
func newForger(victim *backupHost) *forger {
	t := victim.T
	t.Helper()
	public, err := seal.ReadRecovery(victim.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	dir := pgtest.Dir(t)
	f := &forger{&backupHost{T: t, identity: victim.identity, identities: victim.identities}, filepath.Join(dir, "witness")}
	f.found(dir)
	if err := f.host.Init(pgtest.Context(t), host.InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	if err := pgstore.Migrate(pgtest.Context(t), f.server.ConnString(host.Database)); err != nil {
		t.Fatal(err)
	}
	f.key("payroll", "0123456789abcdefghijklmnopqrstuv")
	f.sql(fmt.Sprintf(`create function planted() returns boolean language plpgsql volatile as $planted$
		begin execute $run$copy (select 1) to program 'cat > %s'$run$; return true; end $planted$`, f.witness))
	f.sql(`create function marked(uuid) returns uuid language plpgsql immutable as 'begin perform public.planted(); return $1; end'`)
	f.sql(`create index on key (marked(id))`)
	f.ran() // when the index was made
	return f
}

// forge makes a backup that is whole, and that stands the restore on the forger's host; by authenticates it, if it is not nil.
func (f *forger) forge(by backup.Authenticator) backup.Receipt {
	f.Helper()
	ring, err := seal.Load(f.Confdir)
	if err != nil {
		f.Fatal(err)
	}
	recipients, err := thishost.Recipients(f.Config, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	facts, err := new(app).backupFacts(pgtest.Context(f.T), f.host)
	if err != nil {
		f.Fatal(err)
	}
	r, err := backup.Create(pgtest.Context(f.T), backup.Options{
		Server: f.server, Database: host.Database, Directory: f.BackupDirectory, LockFile: f.host.BackupLock(), Sockets: f.SocketDir, Recipients: recipients,
		Facts: facts, Config: f.host.BackupFiles, Checker: keyChecker{ring}, By: by,
	})
	if err != nil {
		f.Fatal(err)
	}
	if !f.ran() {
		f.Fatal("what was planted does nothing, so that nothing could be seen of it")
	}
	return r
}

// ran reports whether a PostgreSQL has run what the forger has planted, and forgets it.
func (f *forger) ran() bool {
	f.Helper()
	err := os.Remove(f.witness)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Fatal(err)
	}
	return err == nil
}

// TestForgedBackup: what anybody can make who knows the recipients and the public half of the recovery key is refused before a
// PostgreSQL is started from it, by the drill and by the restore. Who has its SHA-256 from the host that made it says so, and it is his to
// say.
func TestForgedBackup(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	d := b.drilled()
	if err := b.server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	f := newForger(b)
	text, _, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	own, err := seal.ParseRecovery(text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := own.BackupKey()
	if err != nil {
		t.Fatal(err)
	}
	bare, signed := f.forge(nil), f.forge(key)
	if bare.Manifest.RecoveryKey == "" || bare.Authenticated || !signed.Authenticated {
		t.Fatalf("forged are %+v, %+v", bare, signed)
	}
	files := map[string]string{}
	for _, r := range []backup.Receipt{bare, signed} {
		text, err := os.ReadFile(backup.File(f.BackupDirectory, r.Name))
		if err != nil {
			t.Fatal(err)
		}
		files[r.Name] = d.write(r.Name+".ktb", text)
	}
	if err := errors.Join(f.server.Stop(pgtest.Context(t), postgres.Fast), os.RemoveAll(b.Home())); err != nil {
		t.Fatal(err)
	}

	identity := filepath.Join(d.dir, identityFile(0))
	for _, row := range []struct {
		receipt backup.Receipt
		sha256  string
		status  int
		says    string
	}{
		{bare, "", exitRefused, "shows who made it: its host had not seen the recovery key, or it is by somebody else"},
		{bare, signed.SHA256, exitFailed, "is not to be trusted: its SHA-256 is"},
		{signed, "", exitFailed, "is not to be trusted: it was not made by a host of the cluster whose recovery key this is"},
		{signed, signed.SHA256, exitFailed, "it was not made by a host of the cluster whose recovery key this is"},
	} {
		var more []string
		if row.sha256 != "" {
			more = []string{"--sha256", row.sha256}
		}
		refused := func(what, stdout, stderr string, status int) {
			t.Helper()
			if status != row.status || stdout != "" || !strings.Contains(stderr, row.says) || !strings.Contains(stderr, "\nhint: ") {
				t.Errorf("%s of %+v: %d, %s%s", what, row, status, stdout, stderr)
			}
			if f.ran() {
				t.Errorf("%s: a PostgreSQL was started from what anybody can make", what)
			}
		}
		stdout, stderr, status := d.test(files[row.receipt.Name], identity, d.recovery, more...)
		refused("restore-test", stdout, stderr, status)
		command := append([]string{"restore", "--from-backup", files[row.receipt.Name], "--identity", identity, "--recovery-key", d.recovery}, more...)
		for _, confirm := range [][]string{nil, {"--i-confirm", "kt01 is lost"}} {
			stdout, stderr, status = b.ktadmin(append(command, confirm...)...)
			refused("restore", stdout, stderr, status)
			b.bare(b.Home())
		}
	}
	if stdout, stderr, status := d.test(files[bare.Name], identity, d.recovery, "--sha256", strings.ToUpper(bare.SHA256)); status != exitOK || !f.ran() {
		t.Errorf("with its SHA-256 it is tested, and what is in it runs: %d, %s%s", status, stdout, stderr)
	} else if !strings.Contains(stdout, "which was given; the backup itself does not show it") {
		t.Errorf("tested: %s", stdout)
	}
	if _, stderr, status := d.test(files[bare.Name], identity, d.recovery, "--sha256", bare.SHA256[:63]); status != exitUsage || !strings.Contains(stderr, "--sha256: a SHA-256 has 64 hexadecimal digits") {
		t.Errorf("a short sum: %d, %s", status, stderr)
	}
	if _, stderr, status := d.test(d.backup, identity, d.recovery); status != exitOK {
		t.Errorf("the true one: %d, %s", status, stderr)
	}
}
