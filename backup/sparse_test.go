package backup

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestSparse: a member that says to be longer than what lies in the tar is refused, whatever form it has, before anything of it is
// written: a backup of a few KiB must not fill a disk.
func TestSparse(t *testing.T) {
	identity := newIdentity(t)
	for name, form := range map[string][]string{
		"old":     {"--format=gnu"},
		"PAX 0.0": {"--format=pax", "--sparse-version=0.0"},
		"PAX 0.1": {"--format=pax", "--sparse-version=0.1"},
		"PAX 1.0": {"--format=pax", "--sparse-version=1.0"},
	} {
		dir := t.TempDir()
		const long = "a.000000"
		if err := errors.Join(os.WriteFile(filepath.Join(dir, manifestMember), []byte("{}"), 0o600), os.WriteFile(filepath.Join(dir, long), nil, 0o600),
			os.Truncate(filepath.Join(dir, long), 1<<30)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("tar", append(form, "-S", "-c", "-C", dir, manifestMember, long)...)
		text, err := cmd.Output()
		if err != nil || len(text) > 100_000 {
			t.Fatalf("%s: %d bytes, %v", name, len(text), err)
		}

		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := unpackTar(bytes.NewReader(text), root, "into"); err == nil || !strings.Contains(err.Error(), errSparse.Error()) {
			t.Errorf("%s: unpacked: %v", name, err)
		}
		if _, err := root.Lstat(filepath.Join("into", long)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something of it was written: %v", name, err)
		}
		root.Close()

		var file bytes.Buffer
		sealed, err := age.Encrypt(&file, identity.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := sealed.Close(); err != nil {
			t.Fatal(err)
		}
		if err := readAll(&file, identity); err == nil || !strings.Contains(err.Error(), errSparse.Error()) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}
