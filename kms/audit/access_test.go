package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
)

// TestAccess follows hadoop's recorded log: the first read at once, the count of all when the window ends.
func TestAccess(t *testing.T) {
	var clock atomic.Int64
	r := newRecorder(t, Config{Window: 3 * time.Second, Now: func() time.Time { return start.Add(time.Duration(clock.Load())) }})
	access := func(after time.Duration, user string, op kms.AuditOp, key kms.KeyName) {
		clock.Store(int64(after))
		r.Access(kms.Event{At: start.Add(after), Result: kms.AuditOK, Op: op, Key: key, Principal: kms.Principal{Full: user}})
	}
	access(0, "alice", kms.AuditGenerateEEK, "k1")
	access(100*time.Millisecond, "alice", kms.AuditGenerateEEK, "k1")
	access(200*time.Millisecond, "bob", kms.AuditGenerateEEK, "k1")
	access(300*time.Millisecond, "alice", kms.AuditGenerateEEK, "k2")
	access(400*time.Millisecond, "alice", kms.AuditGetMetadata, "k1")
	access(500*time.Millisecond, "alice", kms.AuditGetMetadata, "k1")
	access(2999*time.Millisecond, "alice", kms.AuditGenerateEEK, "k1")
	clock.Store(int64(3100 * time.Millisecond))
	must(t, r.flush(r.window, false))
	access(3100*time.Millisecond, "alice", kms.AuditGenerateEEK, "k1")
	access(3200*time.Millisecond, "alice", kms.AuditGenerateEEK, "k1")
	must(t, r.Record(kms.Event{At: start.Add(3300 * time.Millisecond), Result: kms.AuditUnauthorized, Op: kms.AuditGenerateEEK, Key: "k1",
		Principal: kms.Principal{Full: "alice"}}))
	clock.Store(int64(4 * time.Second))
	must(t, r.Close())
	want := []string{
		"10,305 OK[op=GENERATE_EEK, key=k1, user=alice, accessCount=1, interval=0ms] ",
		"10,505 OK[op=GENERATE_EEK, key=k1, user=bob, accessCount=1, interval=0ms] ",
		"10,605 OK[op=GENERATE_EEK, key=k2, user=alice, accessCount=1, interval=0ms] ",
		"10,705 OK[op=GET_METADATA, key=k1, user=alice] ",
		"10,805 OK[op=GET_METADATA, key=k1, user=alice] ",
		"13,405 OK[op=GENERATE_EEK, key=k1, user=alice, accessCount=3, interval=3100ms] ",
		"13,405 OK[op=GENERATE_EEK, key=k1, user=alice, accessCount=1, interval=0ms] ",
		"13,605 OK[op=GENERATE_EEK, key=k1, user=alice, accessCount=2, interval=200ms] ",
		"13,605 UNAUTHORIZED[op=GENERATE_EEK, key=k1, user=alice] ",
		"14,305 OK[op=GENERATE_EEK, key=k1, user=bob, accessCount=1, interval=3800ms] ",
		"14,305 OK[op=GENERATE_EEK, key=k2, user=alice, accessCount=1, interval=3700ms] ",
	}
	got := content(t, r)
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "2026-11-22 21:02:")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadsBeyondTheBufferAreCounted(t *testing.T) {
	var log bytes.Buffer
	r := newRecorder(t, Config{Buffer: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for n := range 10 {
		r.Access(kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditGetMetadata, Key: kms.KeyName(fmt.Sprint("k", n)), Principal: alice})
	}
	must(t, r.flush(0, false))
	if got := content(t, r); len(got) != 3 {
		t.Errorf("%d lines; want 3", len(got))
	}
	r.tellLost()
	if !strings.HasSuffix(log.String(), "msg=\"reads are missing in the audit log\" lines=7\n") {
		t.Errorf("of 7 reads that were lost the log says %q", log.String())
	}
	log.Reset()
	if r.tellLost(); log.Len() > 0 {
		t.Errorf("with nothing lost since, the log says %q", log.String())
	}
}

func TestRunWritesReadsAndEnds(t *testing.T) {
	r := newRecorder(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	r.Access(kms.Event{At: time.Now(), Result: kms.AuditOK, Op: kms.AuditDecryptEEK, Key: "k1", Principal: alice})
	deadline := time.Now().Add(10 * time.Second)
	for len(content(t, r)[0]) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("Run did not write the read")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := content(t, r); len(got) != 2 || !strings.Contains(got[1], "accessCount=1") {
		t.Errorf("content after Run %q", got)
	}
}
