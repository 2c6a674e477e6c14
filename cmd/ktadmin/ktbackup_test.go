package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/gpgtest"
	"keytrustee/kms/pgstore"
	"keytrustee/postgres/pgtest"
)

// ktbackup is the command of the script.
func (b *backupHost) ktbackup(args ...string) *exec.Cmd {
	b.Helper()
	program, err := exec.LookPath("ktadmin")
	if err != nil {
		b.Fatal(err)
	}
	return exec.Command(filepath.Join(installed(b.T, program), "ktbackup.sh"), append([]string{"-c", b.Confdir}, args...)...)
}

// installed is a directory with the script, and ktadmin, which is program, beside it.
func installed(t *testing.T, program string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text, err := os.ReadFile("../../packaging/ktbackup.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ktbackup.sh"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "ktadmin")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestKtbackupRunsItsOwn: the script runs the ktadmin that lies beside it, and never one of the directory where its caller is, or of PATH.
func TestKtbackupRunsItsOwn(t *testing.T) {
	if _, err := os.Stat("/usr/bin/ktadmin"); err == nil {
		t.Skip("ktadmin is installed on this machine, and a script of which no shell tells the directory would run it")
	}
	trap := filepath.Join(t.TempDir(), "trap")
	if err := os.WriteFile(trap, []byte("#!/bin/sh\necho ran \"$0\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	beside := installed(t, trap)
	alone := filepath.Join(t.TempDir(), "ktbackup.sh")
	if err := os.Link(filepath.Join(beside, "ktbackup.sh"), alone); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"by its whole path", []string{filepath.Join(beside, "ktbackup.sh")}, "ran " + beside + "/ktadmin\n"},
		{"by a path from here", []string{"./ktbackup.sh"}, "ran ./ktadmin\n"},
		{"by PATH, as a program", []string{"sh", "-c", "ktbackup.sh"}, "ran " + beside + "/ktadmin\n"},
		{"by PATH, as what a shell reads", []string{"bash", "ktbackup.sh"}, "there is no /usr/bin/ktadmin\nhint: "},
		{"where there is none beside it", []string{alone}, "there is no " + filepath.Dir(alone) + "/ktadmin\nhint: "},
	} {
		cmd := exec.Command(tt.args[0], tt.args[1:]...)
		cmd.Dir, cmd.Env = beside, append(os.Environ(), "PATH="+beside+":"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), tt.want) || strings.Contains(string(out), "ran") != strings.HasPrefix(tt.want, "ran") {
			t.Errorf("%s: %s", tt.name, out)
		}
	}
}

func (b *backupHost) runKtbackup(args ...string) (stdout, stderr string, status int) {
	b.Helper()
	cmd := b.ktbackup(args...)
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.Fatal(err)
	}
	return out.String(), text.String(), cmd.ProcessState.ExitCode()
}

// names are those of the backups that count in a directory, each of which is whole there.
func (b *backupHost) names(dir string) (names []string) {
	b.Helper()
	catalog, err := backup.List(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range catalog.Backups {
		names = append(names, r.Name)
		if _, err := backup.Verify(b.Context(), dir, r.Name, nil); err != nil {
			b.Error(err)
		}
	}
	return names
}

// TestKtbackup: the original's line for cron works. A backup is copied to where it says, so many stay there, and its path is all that is printed;
// where there is no copy the status says so.
func TestKtbackup(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b, out := newBackupHost(t), pgtest.Dir(t)
	if err := pgstore.Migrate(pgtest.Context(t), b.server.ConnString(host.Database)); err != nil {
		t.Fatal(err)
	}
	b.key("payroll", "0123456789abcdefghijklmnopqrstuv")

	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--cleartext"}, exitUsage, "there are no backups in clear"},
		{[]string{"--cleartext", "--quiet", "--output=" + out}, exitUsage, "there are no backups in clear"},
		{[]string{"--passphrase=x"}, exitUsage, "there is no option --passphrase=x"},
		{[]string{"-x"}, exitUsage, "there is no option -x"},
		{[]string{"now"}, exitUsage, `"now" is no option`},
		{[]string{"--output"}, exitUsage, "--output names nothing"},
		{[]string{"--output="}, exitUsage, "--output names nothing"},
		{[]string{"--output=" + out, "--roll=0"}, exitUsage, `--roll: "0" is no number`},
		{[]string{"--output=" + out, "--roll", "-1"}, exitUsage, `--roll: "-1" is no number`},
		{[]string{"--database-port=1; reboot"}, exitUsage, `--database-port: "1; reboot" is no number`},
		{[]string{"--roll=3"}, exitUsage, "--roll is of the directory of --output"},
		{[]string{"--gpg-recipient=john.doe@example.com"}, exitRefused, `"john.doe@example.com" is none of the backup_recipients`},
		{[]string{"--output=" + out + "/nowhere"}, exitRefused, "its directory is not there"},
		{[]string{"--output=" + b.BackupDirectory}, exitRefused, "it is the directory of the backups itself"},
		{[]string{"--database-port", "1"}, exitRefused, "PostgreSQL does not let this process in"},
	} {
		if err := os.MkdirAll(b.BackupDirectory, 0o700); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, status := b.runKtbackup(tt.args...)
		if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "\nhint: ") {
			t.Errorf("%q: %d, %q, %s", tt.args, status, stdout, stderr)
		}
	}
	if err := os.Chmod(out, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := b.runKtbackup("-q", "--output="+out); status != exitRefused || !strings.Contains(stderr, "permission denied\nhint: let the service's user read and write "+out) {
		t.Errorf("a directory that may only be read: %d, %s", status, stderr)
	}
	if err := os.Chmod(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if made := b.names(b.BackupDirectory); len(made) > 0 {
		t.Fatalf("%q were made", made)
	}
	if stdout, stderr, status := b.runKtbackup("--help"); status != exitOK || !strings.HasPrefix(stdout, "usage: ktbackup.sh ") || stderr != "" {
		t.Errorf("--help: %d, %q, %q", status, stdout, stderr)
	}

	stdout, stderr, status := b.runKtbackup("--quiet")
	if made := b.names(b.BackupDirectory); status != exitOK || stderr != "" || len(made) != 1 || stdout != backup.File(b.BackupDirectory, made[0])+"\n" {
		t.Fatalf("without a directory: %d, %q, %q; there are %q", status, stdout, stderr, made)
	}

	// What is there of others stays, and so does what is no backup.
	another := b.handMade(1)
	for _, suffix := range []string{".ktb", ".json"} {
		if err := os.Rename(filepath.Join(b.BackupDirectory, another.Name+suffix), filepath.Join(out, another.Name+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var copied []string
	for _, form := range [][]string{{"--gpg-recipient=" + b.identity.Recipient().String(), "--quiet", "--output=" + out, "--roll=2"}, {"--output", out, "--roll", "2", "-q"}, {"-q", "--roll=2", "--output=" + out}} {
		stdout, stderr, status := b.runKtbackup(form...)
		newest := b.names(b.BackupDirectory)
		if status != exitOK || stderr != "" || len(newest) == 0 || stdout != backup.File(out, newest[len(newest)-1])+"\n" {
			t.Fatalf("%q: %d, %q, %q; made are %q", form, status, stdout, stderr, newest)
		}
		copied = append(copied, newest[len(newest)-1])
	}
	if have := b.names(out); !slices.Equal(have, append([]string{another.Name}, copied[1:]...)) {
		t.Errorf("there are %q, of which %q were copied", have, copied)
	}
	if _, err := os.Stat(filepath.Join(out, "notes")); err != nil {
		t.Error(err)
	}
	stdout, stderr, status = b.runKtbackup("--output="+out, "--verbose")
	if status != exitOK || !strings.Contains(stderr, "restoring it…") || !strings.Contains(stderr, "copied to "+out) || !strings.Contains(stdout, "verified") || len(b.names(out)) != 4 {
		t.Errorf("at length: %d, %s, %s; there are %q", status, stdout, stderr, b.names(out))
	}
}

// TestKtbackupNoCopy: a backup that can not be copied is there, and the status and what is said are those of a failure. Until nobody else sends,
// it waits.
func TestKtbackupNoCopy(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	out := filepath.Join(pgtest.Dir(t), "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(b.host.ShipLock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd := b.ktbackup("--quiet", "--output="+out)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "the backup was made", func() bool {
		_, err := os.Stat(b.BackupDirectory)
		return err == nil && len(b.names(b.BackupDirectory)) == 1
	})
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "was made, in "+b.BackupDirectory+", and was not copied") ||
		!strings.Contains(stderr.String(), "its directory is not there\nhint: mount it") {
		t.Errorf("%v, %q, %s", err, stdout.String(), stderr.String())
	}
	if made := b.names(b.BackupDirectory); len(made) != 1 {
		t.Errorf("there are %q", made)
	}
}

// TestKtbackupOpenPGP: the line of the original's manual, for somebody whose OpenPGP key is known by its mail address; gpg opens what it leaves.
func TestKtbackupOpenPGP(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b, out, g := newBackupHost(t), pgtest.Dir(t), gpgtest.New(t)
	john, alice := g.Make("John Doe", gpgtest.Curve+"Name-Email: john.doe@example.com\n"), g.Make("Alice", gpgtest.Curve)
	keys := filepath.Join(pgtest.Dir(t), "keys.gpg")
	if err := os.WriteFile(keys, g.Public(john, alice), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEYTRUSTEE_BACKUP_RECIPIENTS", "openpgp:"+john+",openpgp:"+alice)
	t.Setenv("KEYTRUSTEE_BACKUP_OPENPGP_KEYS", keys)
	if _, stderr, status := b.runKtbackup("--gpg-recipient=jane.doe@example.com", "--quiet", "--output="+out, "--roll=10"); status != exitRefused || !strings.Contains(stderr, `"jane.doe@example.com" is none of the backup_recipients`) {
		t.Errorf("for somebody else: %d, %s", status, stderr)
	}
	stdout, stderr, status := b.runKtbackup("--gpg-recipient=john.doe@example.com", "--quiet", "--output="+out, "--roll=10")
	made := b.names(out)
	if status != exitOK || stderr != "" || len(made) != 1 || stdout != backup.File(out, made[0])+"\n" {
		t.Fatalf("%d, %q, %q; there are %q", status, stdout, stderr, made)
	}
	if name, err := tar.NewReader(bytes.NewReader(g.Run(nil, "--decrypt", strings.TrimSpace(stdout)))).Next(); err != nil || name.Name != "manifest.json" {
		t.Errorf("gpg opens it as %v, %v", name, err)
	}
}
