package pairtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// The gate's bounds, which are promised, counted from the moment at which the fault is there, or gone, for the kernel.
const (
	ShutLimit = 1500 * time.Millisecond
	OpenLimit = 3 * time.Second
)

// Complaint is why the host takes no writes, as a word and as a sentence; both are empty if it does.
func (n *Node) Complaint(t testing.TB) (reason, sentence string) {
	t.Helper()
	var health struct {
		Writes struct{ Reason, Message string }
	}
	a := n.Do(t, http.MethodGet, "/v1/sys/health", nil, nil)
	if a.Err != nil || json.Unmarshal(a.Body, &health) != nil {
		return "no answer", a.String()
	}
	return health.Writes.Reason, health.Writes.Message
}

// AwaitComplaint returns why the host takes no writes once it is for one of the reasons.
func (n *Node) AwaitComplaint(t testing.TB, reasons ...string) (reason, sentence string) {
	t.Helper()
	Await(t, 15*time.Second, fmt.Sprintf("%s takes no writes for one of %v", n.Name, reasons), func() bool {
		reason, sentence = n.Complaint(t)
		return slices.Contains(reasons, reason)
	})
	return reason, sentence
}

// AwaitShut returns when the active's gate is shut for one of the reasons, and what it says then. The test has failed if that is more than
// ShutLimit after since.
func (p *Pair) AwaitShut(t testing.TB, since time.Time, reasons ...string) (sentence string) {
	t.Helper()
	reason, sentence := p.Active.AwaitComplaint(t, reasons...)
	took := time.Since(since)
	if t.Logf("the gate was shut after %v: %s", took.Round(time.Millisecond), reason); took > ShutLimit {
		t.Errorf("the gate was shut after %v", took)
	}
	return sentence
}

// AwaitOpen returns when the active takes writes. The test has failed if that is more than OpenLimit after since.
func (p *Pair) AwaitOpen(t testing.TB, since time.Time) {
	t.Helper()
	Await(t, 30*time.Second, "the gate is open", func() bool { return p.Active.Writable(t) })
	took := time.Since(since)
	if t.Logf("the gate was open after %v", took.Round(time.Millisecond)); took > OpenLimit {
		t.Errorf("the gate was open after %v", took)
	}
	p.AwaitHeard(t)
}

// AwaitHeard returns when the gate is open and PostgreSQL of the active has heard from that of the passive that it has all that was written.
// After a cut or a standstill the connection between the two may still be ended for what it missed, and the gate shuts once more until there
// is another one.
func (p *Pair) AwaitHeard(t testing.TB) {
	t.Helper()
	ctx := context.Background() // that of the test has ended when it brings the pair back
	active, err := p.Active.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer active.Close(ctx)
	var end string
	if err := active.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	Await(t, 10*time.Second, "the active's PostgreSQL has heard from the passive's", func() bool {
		var heard bool
		err := active.QueryRow(ctx, "SELECT coalesce(bool_or(flush_lsn >= $1::text::pg_lsn), false) FROM pg_stat_replication", end).Scan(&heard)
		return err == nil && heard && p.Active.Writable(t)
	})
}
