package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestAsRoot: root becomes the service's user before it touches anything, and whatever is made belongs to that user.
func TestAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	user, dir := pgtest.User(t), pgtest.Dir(t)
	confdir := filepath.Join(dir, "kt01", ".keytrustee")
	ktadmin := func(args ...string) (stdout, stderr string, status int) {
		t.Helper()
		cmd := exec.Command("ktadmin", append(args, "--confdir", confdir)...)
		cmd.Env = append(os.Environ(), "KEYTRUSTEE_SOCKET_DIR="+filepath.Join(dir, "s"), "KEYTRUSTEE_DB_PORT="+strconv.Itoa(pgtest.FreePort(t)))
		var out, text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &text
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), text.String(), cmd.ProcessState.ExitCode()
	}

	_, stderr, status := ktadmin("init", "--user", "nosuchuser", "--external-address", "127.0.0.1")
	if status != exitRefused || !strings.Contains(stderr, "the user nosuchuser does not exist") || !strings.Contains(stderr, "hint: create it: useradd --system") {
		t.Errorf("an unknown user: %d, %s", status, stderr)
	}
	if _, stderr, status = ktadmin("init", "--user", "root", "--external-address", "127.0.0.1"); status != exitUsage {
		t.Errorf("the user root: %d, %s", status, stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Fatalf("refused, and there is %v, %v", entries, err)
	}

	recovery := filepath.Join(t.TempDir(), "recovery.key") // where only root may write
	stdout, stderr, status := ktadmin("init", "--user", user.Name, "--external-address", "127.0.0.1", "--recovery-key-out", recovery)
	if status != exitOK || !strings.HasPrefix(stdout, "Initialized directory for ") || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("init: %d, %q, %s", status, stdout, stderr)
	}
	if info, err := os.Stat(recovery); err != nil || info.Mode().Perm() != 0o600 || owner(info) != 0 {
		t.Errorf("recovery key: %v, %v", info, err)
	}
	if _, stderr, status := ktadmin("db", "--bootstrap", "--pg-rootdir", filepath.Join(dir, "elsewhere")); status != exitOK { // node.yaml knows the user
		t.Fatalf("db --bootstrap: %d, %s", status, stderr)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && owner(info) != user.UID {
			t.Errorf("%s belongs to user %d", path, owner(info))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootTakesACopiedConfdir: what root's rsync brought becomes the service user's; a directory with other things in it
// does not.
func TestRootTakesACopiedConfdir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	user := pgtest.User(t)
	for _, foreign := range []bool{false, true} {
		home := filepath.Join(pgtest.Dir(t), "home")
		if err := os.MkdirAll(filepath.Join(home, ".keytrustee"), 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(home, ".keytrustee", "kms-acls.xml")
		if foreign {
			file = filepath.Join(home, "letter.txt")
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ktadmin", "init", "--user", user.Name, "--external-address", "127.0.0.1", "--confdir", filepath.Join(home, ".keytrustee"))
		cmd.Env = append(os.Environ(), "KEYTRUSTEE_SOCKET_DIR="+filepath.Join(filepath.Dir(home), "s"))
		out, err := cmd.CombinedOutput()
		if (err == nil) == foreign {
			t.Errorf("foreign %v: %v: %s", foreign, err, out)
		}
		if foreign && !strings.Contains(string(out), "holds letter.txt, which is not ours") {
			t.Errorf("%s", out)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if taken := owner(info) == user.UID; taken == foreign {
			t.Errorf("foreign %v: %s belongs to %d", foreign, file, owner(info))
		}
	}
}

// TestRootDoesNothingOnTheWordOfAFile: node.yaml belongs to the service's user, who must not have root make a directory
// for him where he could not, nor make root another user.
func TestRootDoesNothingOnTheWordOfAFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	user, dir := pgtest.User(t), pgtest.Dir(t)
	home, closed := filepath.Join(dir, "home"), t.TempDir() // where only root may write
	confdir, node := filepath.Join(home, ".keytrustee"), filepath.Join(home, "node", "node.yaml")
	ktadmin := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command("ktadmin", append(args, "--confdir", confdir)...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, status := ktadmin("init", "--user", user.Name, "--external-address", "127.0.0.1", "--socket-dir", filepath.Join(dir, "s")); status != exitOK {
		t.Fatalf("init: %d, %s", status, out)
	}
	text, err := os.ReadFile(node)
	if err != nil {
		t.Fatal(err)
	}
	say := func(key, value string) {
		t.Helper()
		said := regexp.MustCompile(`(?m)^`+key+`: .*\n`).ReplaceAllString(string(text), "") + key + ": " + value + "\n"
		if err := os.WriteFile(node, []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"socket_dir", "pg_rootdir", "log_dir", "backup_directory"} {
		planted := filepath.Join(closed, key)
		say(key, planted)
		ktadmin("status")
		if info, err := os.Lstat(planted); err == nil {
			t.Errorf("%s: root made %s for user %d", key, planted, owner(info))
		}
	}
	say("user", "daemon")
	if out, status := ktadmin("status"); status != exitDenied || !strings.Contains(out, "belongs to the user number") {
		t.Errorf("another user in node.yaml: %d, %s", status, out)
	}
	if out, status := ktadmin("status", "--user", user.Name); status != exitOK {
		t.Errorf("its owner on the command line: %d, %s", status, out)
	}
}

// TestGiveTreeLeavesAloneWhatIsAnothers: what is in a directory that is not root's, and a file with another name elsewhere.
func TestGiveTreeLeavesAloneWhatIsAnothers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	user, dir := pgtest.User(t), t.TempDir()
	for _, path := range []string{"ours/deep", "theirs/deep"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "ours", "link")), os.Link(outside, filepath.Join(dir, "ours", "hard")),
		os.Chown(filepath.Join(dir, "theirs"), user.UID+1, user.GID)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := giveTree(root, user); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{dir: user.UID, "ours": user.UID, "ours/deep": user.UID, "ours/link": user.UID, "ours/hard": 0,
		"theirs": user.UID + 1, "theirs/deep": 0, outside: 0} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Lstat(path); err != nil || owner(info) != want {
			t.Errorf("%s: %v, belongs to %d, want %d", path, err, owner(info), want)
		}
	}
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
