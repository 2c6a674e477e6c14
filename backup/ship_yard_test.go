package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keytrustee/internal/sshtest"
	"keytrustee/postgres/pgtest"
)

// yard is a directory of backups that are to be sent.
type yard struct {
	ShipOptions
	t *testing.T
}

func newYard(t *testing.T, targets ...Target) *yard {
	t.Helper()
	dir := pgtest.Dir(t)
	y := &yard{ShipOptions{Directory: filepath.Join(dir, "backups"), LockFile: filepath.Join(dir, "lock"), Targets: targets, Patience: pgtest.Patience}, t}
	if err := os.Mkdir(y.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	return y
}

func sshOf(s *sshtest.Server) SSH { return SSH{KnownHosts: s.KnownHosts, Key: s.Key} }

func parsed(t *testing.T, text string) Target {
	t.Helper()
	targets, err := ParseTargets([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	return targets[0]
}

// add makes a backup of that hour, with its receipt: as long as asked for, and of no sense, for whoever sends it looks at neither.
func (y *yard) add(hour, size int) Receipt {
	y.t.Helper()
	return y.addOf("kt01", hour, size)
}

func (y *yard) addOf(host string, hour, size int) Receipt {
	y.t.Helper()
	started := time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC)
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(hour), byte(hour >> 8)}).Read(content)
	sum := sha256.Sum256(content)
	m := Manifest{Format: Format, Facts: Facts{Cluster: "c1", Host: host, Epoch: 1}, Started: started}
	name, err := newName(m)
	if err != nil {
		y.t.Fatal(err)
	}
	r := Receipt{Format: Format, Name: name, Size: int64(size), SHA256: hex.EncodeToString(sum[:]), Verified: started, Manifest: m}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		y.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(y.here(r.Name+receiptSuffix), text, 0o600), os.WriteFile(y.here(r.Name+fileSuffix), content, 0o600)); err != nil {
		y.t.Fatal(err)
	}
	return r
}

// once are the options of a run in which something happens at a point, when it is reached for the first time.
func (y *yard) once(at string, happens func()) ShipOptions {
	o, first := y.ShipOptions, sync.OnceFunc(happens)
	o.point = func(_, point string) error {
		if point == at {
			first()
		}
		return nil
	}
	return o
}

func (y *yard) here(name string) string { return filepath.Join(y.Directory, name) }

// ship sends, and wants the one target to have got what is named.
func (y *yard) ship(sent ...Receipt) Delivery {
	y.t.Helper()
	d, err := Ship(y.t.Context(), y.ShipOptions)
	if err != nil {
		y.t.Fatal(err)
	}
	if got, want := fmt.Sprint(d[0].Sent), fmt.Sprint(namesOf(sent)); got != want || len(d[0].Missing) > 0 || d[0].Problem != "" {
		y.t.Errorf("sent are %s, want %s; %+v", got, want, d[0])
	}
	return d[0]
}

// fails sends, and wants it to fail with that, for the one target, and to say what to do.
func (y *yard) fails(want string) Delivery {
	y.t.Helper()
	d, err := Ship(y.t.Context(), y.ShipOptions)
	failed, ok := errors.AsType[*ShipError](err)
	if !ok || !strings.Contains(err.Error(), want) || failed.Hint() == "" || d[0].Remedy == "" || !strings.Contains(d[0].Problem, y.Targets[0].String()) {
		y.t.Fatalf("%v, want %q; %+v", err, want, d)
	}
	return d[0]
}

func namesOf(backups []Receipt) (names []string) {
	for _, b := range backups {
		names = append(names, b.Name)
	}
	return names
}

// holds wants a target's directory to be one that holds just these backups, every byte of them.
func holds(t *testing.T, dir string, backups ...Receipt) {
	t.Helper()
	catalog, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := namesOf(backups)
	slices.Sort(want)
	got := namesOf(catalog.Backups)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the target lists %v, want %v; left out: %v", got, want, catalog.LeftOut)
	}
	for _, b := range backups {
		if _, err := Verify(t.Context(), dir, b.Name, nil); err != nil {
			t.Error(err)
		}
		for _, file := range files(b) {
			if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info, err)
			}
		}
	}
}

// tidy wants nothing to lie there but whole backups.
func tidy(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, partialSuffix) || strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left there", name)
		}
	}
}

// eachKind runs a test with a target behind SFTP and with one that is a directory; dir is where it lies.
func eachKind(t *testing.T, test func(t *testing.T, y *yard, dir string)) {
	t.Run("sftp", func(t *testing.T) {
		s := sshtest.New(t)
		y := newYard(t, parsed(t, s.URL(s.Port)))
		y.SSH = sshOf(s)
		test(t, y, s.Store)
	})
	t.Run("directory", func(t *testing.T) {
		dir := filepath.Join(pgtest.Dir(t), "store")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		test(t, newYard(t, parsed(t, "file://"+dir)), dir)
	})
}

const mib = 1 << 20
