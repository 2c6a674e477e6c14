package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/gpgtest"
	"keytrustee/kms/pgstore"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestOpenPGP: a host whose recipients are OpenPGP keys makes no backup while one has expired, and says so; with the same key that lives longer
// it does, and says until when. What gpg has exported, its passphrase in a file or typed, proves the backup, and so does what gpg says where the
// secret key stays with it; a lost host comes back with it.
func TestOpenPGP(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	g := gpgtest.New(t)
	alice := g.Make("Alice", gpgtest.RSA)
	bob := g.Make("Bob", gpgtest.Curve+"Passphrase: correct horse\nExpire-Date: 1y\n", "--faked-system-time", "20200101T000000!")
	keys := filepath.Join(pgtest.Dir(t), "keys.gpg")
	export := func() {
		t.Helper()
		if err := os.WriteFile(keys, g.Public(alice, bob), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	export()
	t.Setenv("KEYTRUSTEE_BACKUP_RECIPIENTS", "openpgp:"+alice+",openpgp:"+bob)
	t.Setenv("KEYTRUSTEE_BACKUP_OPENPGP_KEYS", keys)
	expired := fmt.Sprintf(`backup_recipients: value 2 of 2 (openpgp:%s, "Bob") has expired; let it live longer: `, bob)
	_, stderr, status := b.ktadmin("backup", "create")
	_, remedy, found := strings.Cut(stderr, expired)
	if status != exitUsage || !found {
		t.Fatalf("for an expired key: %d, %s", status, stderr)
	}
	if stdout, _, _ := b.ktadmin("status"); !strings.Contains(stdout, "NOT IN ORDER: there is no verified backup") || !strings.Contains(stdout, expired) {
		t.Errorf("status: %s", stdout)
	}
	for command := range strings.SplitSeq(strings.Split(remedy, "; ")[0], " && ") { // as the error says, but for less long
		g.Run(nil, append([]string{"--passphrase", "correct horse"}, strings.Fields(strings.Replace(command, " 2y", " 20d", 1))[1:]...)...)
	}
	export()
	if err := pgstore.Migrate(pgtest.Context(t), b.server.ConnString(host.Database)); err != nil {
		t.Fatal(err)
	}
	b.key("payroll", "0123456789abcdefghijklmnopqrstuv")
	var r backup.Receipt
	decode(t, b.must("backup", "create", "-o", "json"), &r)
	if stdout := b.must("backup", "show", r.Name); !strings.Contains(stdout, "openpgp:"+alice) || !strings.Contains(stdout, "openpgp:"+bob) {
		t.Errorf("shown: %s", stdout)
	}
	if stdout, _, _ := b.ktadmin("status"); !strings.Contains(stdout, "openpgp:"+bob+" of backup_recipients expires in ") || strings.Contains(stdout, "NOT IN ORDER") {
		t.Errorf("status: %s", stdout)
	}

	text, err := os.ReadFile(b.recovery)
	if err != nil {
		t.Fatal(err)
	}
	d := &drill{backupHost: b, dir: pgtest.Dir(t)}
	d.backup, d.recovery, d.secrets = d.carry(r.Name), d.write("recovery.key", text), []string{strings.TrimSpace(string(text))}
	locked, open := d.write("bob.asc", g.Secret(bob, "--passphrase", "correct horse")), d.write("alice.asc", g.Secret(alice))
	if tested := d.passes(d.backup, open); tested.Recipient != "openpgp:"+alice || tested.SHA256 != r.SHA256 {
		t.Errorf("%+v", tested)
	}
	right, wrong := d.write("passphrase", []byte("correct horse\n")), d.write("wrong", []byte("correct\n"))
	stdout, stderr, status := d.test(d.backup, locked, d.recovery, "--identity-passphrase-file", right)
	if status != exitOK || !strings.Contains(stdout, "openpgp:"+bob) {
		t.Errorf("with a passphrase: %d, %s", status, stderr)
	}
	for _, row := range []struct {
		identity, passphrase string
		status               int
		want                 string
	}{
		{locked, wrong, exitRefused, "the passphrase of the identity is wrong"},
		{locked, "", exitUsage, "--identity-passphrase-file: the identity has a passphrase, and there is no terminal to ask for it"},
		{locked, right + ".none", exitUsage, "--identity-passphrase-file: the file is not there"},
		{open, right, exitUsage, "--identity-passphrase-file: the identity has no passphrase"},
		{d.write("mallory.asc", g.Secret(g.Make("Mallory", gpgtest.Curve))), "", exitFailed, "it is an OpenPGP message to the keys 0x"},
		{d.write("public.gpg", g.Public(alice)), "", exitRefused, "is the public half of an OpenPGP key"},
	} {
		var more []string
		if row.passphrase != "" {
			more = []string{"--identity-passphrase-file", row.passphrase}
		}
		if _, stderr, status := d.test(d.backup, row.identity, d.recovery, more...); status != row.status || !strings.Contains(stderr, row.want) || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%s with %q: %d, %s", row.identity, row.passphrase, status, stderr)
		}
	}
	said := d.typed("correct\ncorrect horse\n", "backup", "restore-test", d.backup, "--identity", locked, "--recovery-key", d.recovery,
		"--directory", filepath.Join(d.dir, "work"), "--confdir", filepath.Join(d.dir, "none"))
	if strings.Count(said, "Passphrase of the OpenPGP key: ") != 2 || strings.Count(said, "That is not it.") != 1 || !strings.Contains(said, "openpgp:"+bob) || strings.Contains(said, "correct horse") {
		t.Errorf("typed: %s", said)
	}
	session := d.write("session", g.Run(nil, "--status-fd", "1", "--show-session-key", "--output", os.DevNull, "--decrypt", d.backup))
	if tested := d.passes(d.backup, session); tested.Recipient != "openpgp:session-key" {
		t.Errorf("by its session key: %+v", tested)
	}

	if err := errors.Join(b.server.Stop(pgtest.Context(t), postgres.Immediate), os.RemoveAll(b.host.Home())); err != nil {
		t.Fatal(err)
	}
	restored := b.must("restore", "--from-backup", d.backup, "--identity", locked, "--identity-passphrase-file", right, "--recovery-key", d.recovery, "--i-confirm", "kt01 is lost")
	if !strings.Contains(restored, "1 versions of 1 keys, with the new root key") {
		t.Errorf("restored: %s", restored)
	}
}

// typed runs ktadmin on a terminal on which that is typed, and returns what it says. Nothing of what is typed is seen.
func (d *drill) typed(keys string, args ...string) string {
	d.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		d.Fatal(err)
	}
	defer terminal.Close()
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		d.Fatal(err)
	}
	stdin, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		d.Fatal(err)
	}
	defer stdin.Close()
	cmd := exec.Command("ktadmin", args...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if _, err := terminal.WriteString(keys); err != nil {
		d.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		d.Fatalf("%v: %s", err, said.String())
	}
	return said.String()
}
