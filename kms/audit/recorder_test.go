package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keytrustee/kms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	start = time.Date(2026, 11, 22, 21, 2, 10, 305e6, time.Local)
	alice = kms.Principal{Short: "alice", Full: "alice", Method: kms.Simple, Addr: "192.0.2.7"}
)

func create(n int) kms.Event {
	return kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: kms.KeyName(fmt.Sprint("k", n)), Principal: alice,
		Extra: "UserProvidedMaterial:false Description:null"}
}

func newRecorder(t *testing.T, c Config) *Recorder {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "kms-audit.log")
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func content(t *testing.T, r *Recorder) []string {
	t.Helper()
	text, err := os.ReadFile(r.file.path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestRecordIsInTheFileWhenItReturns(t *testing.T) {
	r := newRecorder(t, Config{})
	syncs := 0
	r.file.sync = func(f *os.File) error { syncs++; return f.Sync() }
	if err := r.Record(create(1)); err != nil {
		t.Fatal(err)
	}
	want := []string{"2026-11-22 21:02:10,305 OK[op=CREATE_KEY, key=k1, user=alice] UserProvidedMaterial:false Description:null"}
	if diff := cmp.Diff(want, content(t, r)); diff != "" || syncs != 1 {
		t.Errorf("%d syncs\n%s", syncs, diff)
	}
	info, err := os.Stat(r.file.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestWritersShareASync holds one sync back until 16 more events wait: they must all be on the disk after one more.
func TestWritersShareASync(t *testing.T) {
	r := newRecorder(t, Config{})
	const writers = 16
	var syncs atomic.Int32
	first := make(chan struct{})
	release := make(chan struct{})
	r.file.sync = func(f *os.File) error {
		if syncs.Add(1) == 1 {
			close(first)
			<-release
		}
		return f.Sync()
	}
	var wg sync.WaitGroup
	record := func(n int) {
		if err := r.Record(create(n)); err != nil {
			t.Error(err)
		}
	}
	wg.Go(func() { record(0) })
	<-first
	for n := 1; n <= writers; n++ {
		wg.Go(func() { record(n) })
	}
	deadline := time.Now().Add(10 * time.Second)
	for waiting := 0; waiting < writers; {
		r.mu.Lock()
		waiting = bytes.Count(r.next.lines, []byte("\n"))
		r.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d wait", waiting, writers)
		}
	}
	close(release)
	wg.Wait()
	if got := syncs.Load(); got != 2 {
		t.Errorf("%d syncs for 1 + %d events, want 2", got, writers)
	}
	if got := len(content(t, r)); got != writers+1 {
		t.Errorf("%d lines, want %d", got, writers+1)
	}
}

func TestFailsWhileTheDiskIsFullThenHeals(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this machine")
	}
	path := filepath.Join(t.TempDir(), "kms-audit.log")
	r := newRecorder(t, Config{Path: path})
	if err := r.Record(create(1)); err != nil {
		t.Fatal(err)
	}
	kept := path + ".kept"
	must(t, os.Rename(path, kept))
	must(t, os.Symlink("/dev/full", path))
	for range 2 {
		if err := r.Record(create(2)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Record on a full disk = %v, want ENOSPC", err)
		}
	}
	r.Access(kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditGetMetadata, Key: "k1", Principal: alice})
	if err := r.Record(create(2)); err == nil {
		t.Fatal("Record on a full disk succeeded")
	}
	if r.lost != 1 {
		t.Errorf("%d reads lost, want 1", r.lost)
	}
	must(t, os.Remove(path))
	must(t, os.Rename(kept, path))
	if err := r.Record(create(3)); err != nil {
		t.Fatalf("Record on a disk with room again: %v", err)
	}
	if got := content(t, r); len(got) != 2 || !strings.Contains(got[1], "key=k3,") {
		t.Errorf("content %q", got)
	}
}

func TestAFailedSyncIsAFailedRecord(t *testing.T) {
	r := newRecorder(t, Config{})
	r.file.sync = func(*os.File) error { return syscall.EIO }
	if err := r.Record(create(1)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Record = %v, want EIO", err)
	}
	if r.file.f != nil {
		t.Error("the file whose sync failed is still open: its next sync would forget what failed")
	}
	r.file.sync = (*os.File).Sync
	if err := r.Record(create(2)); err != nil {
		t.Fatal(err)
	}
}

func TestATornLineEndsBeforeTheNextEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kms-audit.log")
	must(t, os.WriteFile(path, []byte("2026-11-22 21:02:10,305 OK[op=CRE"), 0o644))
	r := newRecorder(t, Config{Path: path})
	must(t, r.Record(create(1)))
	must(t, r.Record(create(2)))
	got := content(t, r)
	if len(got) != 3 || !strings.HasSuffix(got[0], "OK[op=CRE") || !strings.Contains(got[1], "key=k1,") {
		t.Errorf("content %q", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestAMovedFileIsBegunAnew(t *testing.T) {
	r := newRecorder(t, Config{})
	must(t, r.Record(create(1)))
	must(t, os.Rename(r.file.path, r.file.path+".1"))
	must(t, r.Record(create(2)))
	if got := content(t, r); len(got) != 1 || !strings.Contains(got[0], "key=k2,") {
		t.Errorf("content %q", got)
	}
}

func TestADirectoryThatIsNotThere(t *testing.T) {
	if _, err := New(Config{Path: filepath.Join(t.TempDir(), "absent", "kms-audit.log")}); err == nil {
		t.Error("New without a directory succeeded")
	}
}

func TestConcurrentUse(t *testing.T) {
	r := newRecorder(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 20 {
				e := create(1000*w + n)
				if err := r.Record(e); err != nil {
					t.Error(err)
				}
				text, err := os.ReadFile(r.file.path)
				if err != nil || !bytes.Contains(text, []byte("key="+string(e.Key)+",")) {
					t.Errorf("event of %s is not in the file", e.Key)
				}
				e.Op = kms.AuditDecryptEEK
				r.Access(e)
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := len(content(t, r)); got != 16*20*3 { // the write, the first read, the closing line
		t.Errorf("%d lines, want %d", got, 16*20*3)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTroubleLastsUntilAWriteGoesWell(t *testing.T) {
	r := newRecorder(t, Config{})
	full := errors.New("no space")
	r.file.sync = func(*os.File) error { return full }
	before := time.Now()
	for range 2 {
		if err := r.Record(create(1)); !errors.Is(err, full) {
			t.Fatalf("recorded with %v", err)
		}
	}
	since, err := r.Trouble()
	if !errors.Is(err, full) || since.Before(before) {
		t.Errorf("trouble %v since %v", err, since)
	}
	if again, _ := r.Trouble(); again != since {
		t.Errorf("since %v, and then since %v", since, again)
	}
	r.file.sync = (*os.File).Sync
	if err := r.Record(create(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Trouble(); err != nil {
		t.Errorf("still %v", err)
	}
}
