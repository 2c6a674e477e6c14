package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/backup"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestRestoreTestAsRoot: root reads the secrets and the backup, which are its own, and unpacks as a user that can do nothing.
func TestRestoreTestAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this user is not root")
	}
	mine, open := t.TempDir(), pgtest.Dir(t)
	inst, err := postgres.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(backup.Manifest{
		Format: backup.Format, Facts: backup.Facts{Host: "kt01", Epoch: 1, RecoveryKey: public.Fingerprint()}, PostgreSQL: inst.Version.String(), Started: time.Now().UTC(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	sealed, err := age.Encrypt(&file, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(sealed) // a manifest, and no more
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o600, Size: int64(len(manifest))}), second(w.Write(manifest)), w.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(mine, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"backup", "restore-test", write("x.ktb", file.Bytes()), "--identity", write("id.txt", []byte(identity.String())), "--recovery-key", write("recovery.key", []byte(key)),
		"--confdir", filepath.Join(mine, "none")}
	user, work := pgtest.User(t), filepath.Join(open, "work")
	const places = "/var/tmp/keytrustee-restore-test-*"
	before, err := filepath.Glob(places)
	if err != nil {
		t.Fatal(err)
	}
	for _, directory := range [][]string{{"--directory", work}, nil} {
		out, err := exec.Command("ktadmin", append(slices.Clone(args), directory...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "changes.copy is not in its place") {
			t.Errorf("%v: %v, %s", directory, err, out)
		}
	}
	if info, err := os.Stat(work); err != nil || owner(info) != user.UID || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", work, info, err)
	}
	if after, err := filepath.Glob(places); err != nil || !slices.Equal(before, after) {
		t.Errorf("before there were %q, and now there are %q: %v", before, after, err)
	}
}

// TestRestoreTestPlace: without a name the backup is restored where nobody else could have made the directory first: nothing is taken that is a
// link, another user's, open to others, of a run that goes on, or empty. What a run that was killed has left is taken, since it is removed there.
func TestRestoreTestPlace(t *testing.T) {
	base, elsewhere := t.TempDir(), t.TempDir()
	named := func(name string) string { return filepath.Join(base, "keytrustee-restore-test-"+name) }
	filled := func(dir string, mode os.FileMode) string {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, ".work"), 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	filled(elsewhere, 0o700)
	if err := errors.Join(os.Symlink(elsewhere, named("1000")), os.WriteFile(named("file"), nil, 0o700), os.Mkdir(named("empty"), 0o700)); err != nil {
		t.Fatal(err)
	}
	filled(named("open"), 0o755)
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := os.Chown(filled(named("another"), 0o700), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := os.Open(filled(named("runs"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	defer runs.Close()
	if err := syscall.Flock(int(runs.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(named("*"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := placeIn(base)
	if info, serr := os.Lstat(made); err != nil || serr != nil || slices.Contains(there, made) || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("it takes %s: %v, %v", made, err, serr)
	}
	if again, err := placeIn(base); err != nil || again == made {
		t.Errorf("and %s again, which is empty: %v", again, err)
	}
	left := filled(named("left"), 0o700)
	if got, err := placeIn(base); err != nil || got != left {
		t.Errorf("it takes %s, and a run that was killed has left %s: %v", got, left, err)
	}
}

func second(_ int, err error) error { return err }
