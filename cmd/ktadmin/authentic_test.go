package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/backup"
	"keytrustee/postgres/pgtest"
)

// TestBackupBeforeTheRecoveryKeyWasSeen: a host of an earlier release makes backups that show not who made them, and says so everywhere,
// with what to do; when that was done they show it. The earlier ones want their SHA-256, which the host shows.
func TestBackupBeforeTheRecoveryKeyWasSeen(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	if err := os.Remove(filepath.Join(b.Confdir, "sealed", "backup.box")); err != nil {
		t.Fatal(err)
	}
	b.forgetBackupKey()
	stdout, stderr, status := b.ktadmin("backup", "create", "-o", "json")
	if status != exitOK || !strings.Contains(stderr, "note: nothing in this backup shows who made it") || !strings.Contains(stderr, "ktadmin root-key confirm-recovery\n") {
		t.Fatalf("create: %d, %s", status, stderr)
	}
	var early, later backup.Receipt
	decode(t, stdout, &early)
	if stdout, stderr, _ := b.ktadmin("backup", "list"); early.Authenticated || !strings.Contains(stdout, " no ") || !strings.Contains(stderr, "1 show not themselves who made them") || !strings.Contains(stderr, "root-key confirm-recovery") {
		t.Errorf("list: %s%s", stdout, stderr)
	}
	if out := b.must("backup", "show", early.Name); !strings.Contains(out, "authentic      NO: ") || !strings.Contains(out, early.SHA256) {
		t.Errorf("show: %s", out)
	}
	const unseen = "its backups show not who made them: ktadmin root-key confirm-recovery"
	if out, _, _ := b.ktadmin("status"); !strings.Contains(out, unseen) {
		t.Errorf("status: %s", out)
	}
	d := &drill{backupHost: b, dir: pgtest.Dir(t), recovery: b.recovery}
	identity := d.write(identityFile(0), []byte(b.identities[0].String()))
	file := d.carry(early.Name)
	if _, stderr, status := d.test(file, identity, b.recovery); status != exitRefused || !strings.Contains(stderr, "hint: give its SHA-256 with --sha256") || strings.Contains(stderr, early.SHA256) {
		t.Errorf("without its sum: %d, %s", status, stderr)
	}
	if _, stderr, status := d.test(file, identity, b.recovery, "--sha256", early.SHA256); status != exitOK {
		t.Errorf("with its sum: %d, %s", status, stderr)
	}

	if out := b.must("root-key", "confirm-recovery", "--key-file", b.recovery); !strings.Contains(out, "those of both hosts show from now on who made them") {
		t.Errorf("confirm-recovery: %s", out)
	}
	if out, _, _ := b.ktadmin("status"); strings.Contains(out, unseen) {
		t.Errorf("status: %s", out)
	}
	if err := os.Remove(filepath.Join(b.Confdir, "sealed", "backup.box")); err != nil { // as on a passive, which has it in its database
		t.Fatal(err)
	}
	stdout, stderr, status = b.ktadmin("backup", "create", "-o", "json")
	if decode(t, stdout, &later); status != exitOK || !later.Authenticated || strings.Contains(stderr, "shows who made it") {
		t.Errorf("create: %d, %s%s", status, stdout, stderr)
	}
	if stdout, stderr, _ := b.ktadmin("backup", "list"); !strings.Contains(stdout, " yes ") || strings.Contains(stderr, "show not themselves") {
		t.Errorf("list: %s%s", stdout, stderr)
	}
	if _, stderr, status := d.test(d.carry(later.Name), identity, b.recovery); status != exitOK {
		t.Errorf("the later one: %d, %s", status, stderr)
	}
	plain := b.opened(backup.File(b.BackupDirectory, later.Name))
	if box := streamOf(t, plain, "config.tar")[".keytrustee/sealed/backup.box"]; len(box) == 0 {
		t.Error("the box is not in the backup")
	}
	b.forgetBackupKey() // and init, repeated with the key, gives it again
	if err := os.Remove(filepath.Join(b.Confdir, "sealed", "backup.box")); err != nil {
		t.Fatal(err)
	}
	b.must("init", "--recovery-key-out", b.recovery)
	if _, err := os.Stat(filepath.Join(b.Confdir, "sealed", "backup.box")); err != nil {
		t.Error(err)
	}
}

// forgetBackupKey removes it from the database.
func (b *backupHost) forgetBackupKey() {
	b.Helper()
	ctx := pgtest.Context(b.T)
	conn, err := pgx.Connect(ctx, b.server.ConnString("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{"set synchronous_commit = local", "delete from control.boxes where name = 'backup'"} {
		if tag, err := conn.Exec(ctx, sql); err != nil || sql[0] == 'd' && tag.RowsAffected() != 1 {
			b.Fatal(tag, errors.Join(err))
		}
	}
}
