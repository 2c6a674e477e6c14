package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/backup"
	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// drill is a computer away from the hosts, with what its owner keeps: identities, the recovery key, and a backup.
type drill struct {
	*backupHost
	dir      string
	secrets  []string // the files' texts
	recovery string   // file
	backup   string   // file
}

// drilled makes two keys and a backup, and carries it away.
func (b *backupHost) drilled() *drill {
	b.Helper()
	if err := pgstore.Migrate(pgtest.Context(b.T), b.server.ConnString(host.Database)); err != nil {
		b.Fatal(err)
	}
	b.key("payroll", "0123456789abcdefghijklmnopqrstuv")
	b.key("bonus", "abcdefghijklmnopqrstuv0123456789")
	d := &drill{backupHost: b, dir: pgtest.Dir(b.T)}
	for i, identity := range b.identities {
		d.write(identityFile(i), []byte("# kept by somebody\n"+identity.String()+"\n"))
		d.secrets = append(d.secrets, identity.String())
	}
	text, err := os.ReadFile(b.recovery)
	if err != nil {
		b.Fatal(err)
	}
	d.recovery, d.secrets = d.write("recovery.key", text), append(d.secrets, strings.TrimSpace(string(text)))
	var r backup.Receipt
	decode(b.T, b.must("backup", "create", "-o", "json"), &r)
	d.backup = d.carry(r.Name)
	return d
}

func identityFile(i int) string { return []string{"kt-backup-alice.txt", "kt-backup-bob.txt"}[i] }

// carry copies a backup of the host here, without its receipt.
func (d *drill) carry(name string) string {
	d.Helper()
	text, err := os.ReadFile(backup.File(d.BackupDirectory, name))
	if err != nil {
		d.Fatal(err)
	}
	return d.write(name+".ktb", text)
}

func (d *drill) write(name string, text []byte) (path string) {
	d.Helper()
	path = filepath.Join(d.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}

// test runs a restore test on a computer that is no host, and checks that it leaves and tells nothing.
func (d *drill) test(file, identity, recovery string, more ...string) (stdout, stderr string, status int) {
	d.Helper()
	work := filepath.Join(d.dir, "work")
	args := append([]string{"backup", "restore-test", file, "--identity", identity, "--recovery-key", recovery, "--directory", work, "--confdir", filepath.Join(d.dir, "none")}, more...)
	cmd := exec.Command("ktadmin", args...)
	cmd.Dir = d.dir
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		d.Fatal(err)
	}
	if entries, err := os.ReadDir(work); err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		d.Errorf("left: %v, %v", entries, err)
	}
	for _, secret := range d.secrets {
		for _, part := range []string{secret, secret[20:40]} {
			if strings.Contains(out.String()+text.String(), part) {
				d.Errorf("a secret is printed: %s%s", out.String(), text.String())
			}
		}
	}
	return out.String(), text.String(), cmd.ProcessState.ExitCode()
}

func (d *drill) passes(file, identity string) backup.Tested {
	d.Helper()
	stdout, stderr, status := d.test(file, identity, d.recovery, "-o", "json")
	if status != exitOK || !strings.Contains(stderr, "unpacking the backup…\nrestoring it…\nopening every version…\n") || !strings.Contains(stderr, "restore-test --record FILE") {
		d.Fatalf("%s: %d, %s", identity, status, stderr)
	}
	var tested backup.Tested
	decode(d.T, stdout, &tested)
	return tested
}

func (d *drill) fails(what, file, identity, recovery string, status int, want ...string) {
	d.Helper()
	stdout, stderr, got := d.test(file, identity, recovery)
	if got != status || stdout != "" || !strings.Contains(stderr, "\nhint: ") && !strings.HasPrefix(stderr, "hint: ") {
		d.Errorf("%s: %d, want %d, %s, %s", what, got, status, stdout, stderr)
	}
	for _, w := range want {
		if !strings.Contains(stderr, w) {
			d.Errorf("%s: %s, want %q", what, stderr, w)
		}
	}
}

// TestRestoreTest: with the host gone, its root key and all, the identity of either recipient and the recovery key prove a backup; a
// host then keeps when that was. Whatever is wrong with the backup or what should open it, the test fails and says so.
func TestRestoreTest(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	d := b.drilled()
	if _, stderr, _ := b.ktadmin("backup", "list"); !strings.Contains(stderr, "note: no restore test is on record") {
		t.Errorf("before any: %s", stderr)
	}

	home, gone := b.host.Home(), b.host.Home()+".gone"
	if err := errors.Join(b.server.Stop(pgtest.Context(t), postgres.Fast), os.Rename(home, gone)); err != nil {
		t.Fatal(err)
	}
	away, onHost := d.commands()
	d.shell(away, filepath.Join(d.dir, "none"))
	var first backup.Tested
	text, err := os.ReadFile(filepath.Join(d.dir, "tested.json"))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, string(text), &first)
	if first.Rows != (backup.Count{Keys: 2, Versions: 2, Changes: 2}) || first.Recipient != b.identities[0].Recipient().String() || first.RecoveryKey == "" || first.Host != "kt01" {
		t.Errorf("%+v", first)
	}
	if second := d.passes(filepath.Base(d.backup), identityFile(1)); second.Recipient != b.identities[1].Recipient().String() || second.SHA256 != first.SHA256 {
		t.Errorf("%+v", second)
	}
	d.refuses()
	if err := os.Rename(gone, home); err != nil {
		t.Fatal(err)
	}

	if out := d.shell(onHost, b.Confdir); !strings.Contains(out, "each opened with the recovery key") || !strings.Contains(out, "note: the last restore test was 0 days ago, of "+first.Name) {
		t.Errorf("recorded: %s", out)
	}
	stdout, stderr, _ := b.ktadmin("backup", "list", "-o", "json")
	var list inventory
	decode(t, stdout, &list)
	if list.LastTest == nil || *list.LastTest != first || len(list.Backups) != 1 {
		t.Errorf("list: %s%s", stdout, stderr)
	}
	other := first
	other.Cluster = "another"
	note, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := b.ktadmin("backup", "restore-test", "--record", d.write("other.json", note)); status != exitUsage || !strings.Contains(stderr, "of the cluster another") {
		t.Errorf("another cluster's: %d, %s", status, stderr)
	}
	forged := first
	forged.SHA256, forged.Tested = strings.Repeat("0", 64), time.Now().UTC()
	if note, err = json.Marshal(forged); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := b.ktadmin("backup", "restore-test", "--record", d.write("forged.json", note)); status != exitRefused || !strings.Contains(stderr, "another file was tested under this name") {
		t.Errorf("a test of another file: %d, %s", status, stderr)
	}
	if last, err := backup.LoadTested(b.host.RestoreTestFile()); err != nil || *last != first {
		t.Errorf("on record is %+v, %v", last, err)
	}
	d.onHost(first.Name)
	d.unsound()
}

// commands are those that docs/backup.md names for the drill: on a computer that is no host, and on a host.
func (d *drill) commands() (away, onHost []string) {
	d.Helper()
	text, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		d.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## The drill\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		command, indented := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "       ")
		switch {
		case !indented:
		case strings.Contains(command, "--identity"):
			away = append(away, strings.Replace(command, "/media/kt-kt01-e1-20261129T150000Z.ktb", filepath.Base(d.backup), 1))
		default:
			onHost = append(onHost, command)
		}
	}
	if len(away) != 1 || len(onHost) != 2 {
		d.Fatalf("the drill of the documentation is %q and %q", away, onHost)
	}
	return away, onHost
}

// shell runs commands as an operator would type them, whose host has that confdir.
func (d *drill) shell(commands []string, confdir string) (out string) {
	d.Helper()
	for _, command := range commands {
		cmd := exec.Command("sh", "-ec", strings.Replace(command, "ktadmin ", "ktadmin --confdir '"+confdir+"' ", 1))
		cmd.Dir = d.dir
		text, err := cmd.CombinedOutput()
		if err != nil {
			d.Fatalf("%s: %v: %s", command, err, text)
		}
		out += string(text)
	}
	return out
}

// refuses tries what does not open the backup, and backups that are not what was made.
func (d *drill) refuses() {
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		d.Fatal(err)
	}
	d.fails("a stranger's identity", d.backup, d.write("stranger.txt", []byte(stranger.String())), d.recovery, exitFailed,
		"no identity that was given opens it; they are those of "+stranger.Recipient().String())
	other, _, err := seal.NewRecovery()
	if err != nil {
		d.Fatal(err)
	}
	d.fails("another recovery key", d.backup, identityFile(0), d.write("other.key", []byte(other)), exitRefused, "this is the recovery key", ", and the backup's is ")
	d.fails("no recovery key", d.backup, identityFile(0), identityFile(1), exitUsage, "--recovery-key: kt-backup-bob.txt: not a recovery key")
	d.fails("no identity", d.backup, d.recovery, d.recovery, exitRefused, "--identity: ", "line 1 of the identities is no identity of age")
	d.fails("no backup", "nothing.ktb", identityFile(0), d.recovery, exitRefused, `there is no file "nothing.ktb"`)
	d.fails("no backup there", "./nothing.ktb", identityFile(0), d.recovery, exitUsage, "the backup is not there")

	text, err := os.ReadFile(d.backup)
	if err != nil {
		d.Fatal(err)
	}
	damaged := []string{"is of no use: ", "hint: use another one"}
	d.fails("cut", d.write("cut.ktb", text[:len(text)-100]), identityFile(0), d.recovery, exitFailed, damaged...)
	d.fails("empty", d.write("empty.ktb", nil), identityFile(0), d.recovery, exitFailed, damaged...)
	flipped := bytes.Clone(text)
	flipped[len(text)/2] ^= 1
	d.fails("a byte is another", d.write("flipped.ktb", flipped), identityFile(0), d.recovery, exitFailed, damaged...)

	plain := d.opened(d.backup)
	another := bytes.Replace(plain, []byte(`"cluster_id": "`+d.ClusterID), []byte(`"cluster_id": "`+strings.Repeat("0", len(d.ClusterID))), 1)
	d.fails("another manifest", d.write("altered.ktb", d.sealed(another)), identityFile(0), d.recovery, exitFailed, "it was not made by a host of the cluster whose recovery key this is")
	d.fails("wraps of another cluster", d.write("another.ktb", d.sealed(d.authenticated(another))), identityFile(0), d.recovery, exitFailed, "and the wraps in it of "+d.ClusterID)
	newer := bytes.Replace(plain, []byte(`"format": 1,`), []byte(`"format": 2,`), 1) // a tar has no sum of its contents, and none in the backup is of the manifest
	d.fails("a newer form", d.write("newer.ktb", d.sealed(newer)), identityFile(0), d.recovery, exitRefused, "the backup has the format 2", "hint: use the version that wrote it")
}

// authenticated is that plain text with an authentication that fits, as docs/backup-format.md describes it.
func (d *drill) authenticated(plain []byte) []byte {
	d.Helper()
	text, err := os.ReadFile(d.recovery)
	if err != nil {
		d.Fatal(err)
	}
	root, err := seal.ParseRecovery(string(text))
	if err != nil {
		d.Fatal(err)
	}
	key, err := root.BackupKey()
	if err != nil {
		d.Fatal(err)
	}
	files := untarred(d.T, plain)
	var message []byte
	for _, part := range [][]byte{[]byte("keytrustee backup 1"), files["manifest.json"], files["trailer.json"]} {
		message = append(binary.BigEndian.AppendUint64(message, uint64(len(part))), part...)
	}
	old, fresh := files["authentication.json"], fmt.Appendf(nil, "{\n  \"hmac_sha256\": \"%x\"\n}\n", key.MAC(message))
	if len(old) != len(fresh) {
		d.Fatalf("the authentication is %s, and not as long as %s", old, fresh)
	}
	return bytes.Replace(plain, old, fresh, 1)
}

// sealed is a backup with that plain text.
func (d *drill) sealed(plain []byte) []byte {
	d.Helper()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, d.identities[0].Recipient(), d.identities[1].Recipient())
	if err != nil {
		d.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		d.Fatal(err)
	}
	if err := w.Close(); err != nil {
		d.Fatal(err)
	}
	return file.Bytes()
}

// onHost is a restore test on the host that the backup is of, by its name: that is noted at once.
func (d *drill) onHost(name string) {
	d.Helper()
	before, err := backup.LoadTested(d.host.RestoreTestFile())
	if err != nil || before == nil {
		d.Fatalf("on record is %+v, %v", before, err)
	}
	pgtest.Await(d.T, "a test is later than the last one, in seconds", func() bool { return time.Now().Truncate(time.Second).After(before.Tested) })
	_, stderr, status := d.ktadmin("backup", "restore-test", name, "--identity", filepath.Join(d.dir, identityFile(1)), "--recovery-key", d.recovery)
	if status != exitOK || !strings.Contains(stderr, "were on a host of the pair just now, where neither belongs") {
		d.Errorf("on the host: %d, %s", status, stderr)
	}
	last, err := backup.LoadTested(d.host.RestoreTestFile())
	if err != nil || last == nil || last.Recipient != d.identities[1].Recipient().String() {
		d.Errorf("on record is %+v, %v", last, err)
	}
	if info, err := os.Stat(d.host.RestoreTestFile()); err != nil || info.Mode().Perm() != 0o600 {
		d.Errorf("the record: %v, %v", info, err)
	}
	if _, err := os.Lstat(filepath.Join(d.BackupDirectory, ".restore-test")); !errors.Is(err, fs.ErrNotExist) {
		d.Errorf("the directory of the test: %v", err)
	}
}

// unsound makes backups that hold together and still do not restore: one with a flipped byte in a sealed version, and one with a
// key-encryption key that the recovery key does not open.
func (d *drill) unsound() {
	d.Helper()
	ctx := pgtest.Context(d.T)
	if err := d.server.Start(ctx); err != nil {
		d.Fatal(err)
	}
	d.sql(`update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = 'payroll@0'`)
	recipients, err := thishost.Recipients(d.Config, time.Now())
	if err != nil {
		d.Fatal(err)
	}
	ring, err := seal.Load(d.Confdir)
	if err != nil {
		d.Fatal(err)
	}
	facts, err := new(app).backupFacts(ctx, d.host)
	if err != nil {
		d.Fatal(err)
	}
	key, err := d.host.BackupKey(ctx, ring)
	if err != nil || key == nil {
		d.Fatalf("the key of the backups is %v, %v", key, err)
	}
	r, err := backup.Create(ctx, backup.Options{
		Server: d.server, Database: host.Database, Directory: d.BackupDirectory, LockFile: d.host.BackupLock(), Sockets: d.SocketDir, Recipients: recipients,
		By: key, Facts: facts, Config: d.host.BackupFiles, Checker: unopening{keyChecker{ring}},
	})
	if err != nil {
		d.Fatal(err)
	}
	d.fails("a sealed byte is another", d.carry(r.Name), identityFile(0), d.recovery, exitFailed, `did not stand the test: its base backup: `, `version "payroll@0"`)

	d.sql(`update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = 'payroll@0'`)
	wraps, err := seal.ReadWraps(d.Confdir)
	if err != nil {
		d.Fatal(err)
	}
	for _, w := range wraps {
		if w.Recipient == facts.RecoveryKey {
			if err := os.Remove(seal.WrapPath(d.Confdir, w)); err != nil {
				d.Fatal(err)
			}
		}
	}
	decode(d.T, d.must("backup", "create", "-o", "json"), &r)
	d.fails("a wrap is missing", d.carry(r.Name), identityFile(0), d.recovery, exitFailed, "there is no wrap for it of the key-encryption keys "+facts.KEKs[0])
}

// unopening is a keyChecker that opens nothing, as a program would be that was altered.
type unopening struct{ keyChecker }

func (u unopening) Open(ctx context.Context, q backup.Querier, row func(backup.Row) error) error {
	return u.Rows(ctx, q, row)
}
