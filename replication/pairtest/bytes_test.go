package pairtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keytrustee/replication/pairtest"
)

// contents are the hashes of all files below a data directory, by their names.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		name, err := filepath.Rel(dir, path)
		hashes[name] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hashes
}

// differing returns the names of files that are not the same, or not there, in one of the two.
func differing(before, after map[string]string) []string {
	var names []string
	for name := range before {
		if after[name] != before[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, there := before[name]; !there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sameBytes checks that no file of the passive's data directory has changed, also none that its PostgreSQL keeps for itself alone.
func sameBytes(t *testing.T, p *pairtest.Pair, before map[string]string) {
	t.Helper()
	after := contents(t, p.Passive.PGData)
	if names := differing(before, after); len(names) > 0 {
		t.Errorf("files of the passive have changed: %q", names)
	}
	t.Logf("%d files of the passive's data directory compared, its log, tables and control file among them", len(after))
}
