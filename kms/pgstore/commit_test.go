package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err    error
		warned bool
		want   outcome
	}{
		{nil, false, done},
		{nil, true, unknown},
		{pgx.ErrTxCommitRollback, false, notDone},
		{&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}, false, notDone},
		{&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, false, unknown},
		{&pgconn.PgError{SeverityUnlocalized: "PANIC"}, false, unknown},
		{&pgconn.PgError{Severity: "ERROR"}, false, unknown}, // the localized word proves nothing
		{io.ErrUnexpectedEOF, false, unknown},
		{context.DeadlineExceeded, false, unknown},
	} {
		if got := classify(c.err, c.warned); got != c.want {
			t.Errorf("classify(%v, warned %t) = %v, want %v", c.err, c.warned, got, c.want)
		}
	}
}

// TestTwoHundredWriters: with the passive frozen, a few changes wait and the others are refused; an administrator can log
// in, and when the passive goes on, nothing that was refused exists and nothing that was acknowledged is missing.
func TestTwoHundredWriters(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	mustCreate(t, s, "before")
	p.freeze()
	const clients = 200
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	name := func(i int) kms.KeyName { return kms.KeyName(fmt.Sprint("k", i)) }
	var results [clients]<-chan error
	for i := range results {
		results[i] = create(ctx, t, s, name(i))
	}
	p.waiting(writers)
	for range 3 {
		begun := time.Now()
		admin, err := pgx.Connect(pgtest.Context(t), p.active.ConnString("postgres"))
		if err != nil {
			t.Fatalf("an administrator can not log in: %v", err)
		}
		admin.Close(t.Context())
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("an administrator logged in after %v", took)
		}
	}
	if _, err := s.Key(t.Context(), "before"); err != nil {
		t.Errorf("a read: %v", err)
	}
	<-ctx.Done()
	refused := make(map[int]bool)
	pgtest.Await(p, "all but those that wait are refused", func() bool {
		for i, result := range results {
			select {
			case err := <-result:
				var ro *kms.ReadOnlyError
				if !errors.As(err, &ro) || ro.Reason != kms.ReasonBusy {
					t.Errorf("%s: %v; want busy", name(i), err)
				}
				refused[i] = true
			default:
			}
		}
		return len(refused) >= clients-writers
	})
	p.waiting(writers) // the same ones: none was given up for another
	p.thaw()
	for i, result := range results {
		if !refused[i] {
			if err := <-result; err != nil {
				t.Errorf("%s waited for the passive: %v", name(i), err)
			}
		}
		want := 1
		if refused[i] {
			want = 0
		}
		if a, b := count(p.horizon.active, name(i)), count(p.horizon.passive, name(i)); a != want || b != want {
			t.Errorf("%s, refused %t: %d on the active, %d on the passive", name(i), refused[i], a, b)
		}
	}
	if len(refused) != clients-writers {
		t.Errorf("%d were refused; want %d", len(refused), clients-writers)
	}
}

// TestCloseLeavesCommitAlone: Close ends the waiting and not the COMMIT, which would make the row visible.
func TestCloseLeavesCommitAlone(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	p.freeze()
	result := create(t.Context(), t, s, "k")
	p.waiting(1)
	s.Close()
	if err := <-result; !errors.Is(err, kms.ErrOutcomeUnknown) {
		t.Errorf("Apply = %v, want ErrOutcomeUnknown", err)
	}
	p.waiting(1)
	if n := count(p.horizon.active, "k"); n != 0 {
		t.Errorf("%d rows are visible: COMMIT was ended", n)
	}
	p.thaw()
	pgtest.Await(p, "the row is on both hosts", func() bool {
		return count(p.horizon.active, "k") == 1 && count(p.horizon.passive, "k") == 1
	})
}

// TestAWorldThatChanged: when Await gives up, the outcome is unknown, whatever PostgreSQL said.
func TestAWorldThatChanged(t *testing.T) {
	p := newPair(t)
	s, err := New(Config{ConnString: p.active.ConnString("postgres"), Horizon: otherWorld{p.horizon}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := <-create(t.Context(), t, s, "k"); !errors.Is(err, kms.ErrOutcomeUnknown) {
		t.Errorf("Apply = %v, want ErrOutcomeUnknown", err)
	}
	if _, err := s.Key(t.Context(), "k"); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("Key = %v: it was never confirmed", err)
	}
	p.horizon.confirm(t)
	if _, err := s.Key(t.Context(), "k"); err != nil {
		t.Errorf("Key = %v: it is in the confirmed snapshot", err)
	}
}

type otherWorld struct{ *horizon }

func (otherWorld) Await(context.Context, postgres.XID, postgres.LSN, [][16]byte) error {
	return errors.New("another epoch")
}

func TestFate(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	c, k, v := newKey(t, "k")
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	mine := p.horizon.visible.Acknowledged[0]

	if at, settled, err := s.fate(mine, c.ID); err != nil || !settled || at == 0 {
		t.Errorf("committed: %v, %t, %v", at, settled, err)
	}
	if _, settled, err := s.fate(mine, kms.NewID()); !settled || !errors.Is(err, kms.ErrOutcomeUnknown) {
		t.Errorf("an xid that was given to another transaction: %t, %v", settled, err)
	}
	if _, settled, _ := s.fate(mine+1000, c.ID); settled {
		t.Error("an xid of the future was settled")
	}

	tx, err := p.horizon.active.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var xid uint64
	if err := tx.QueryRow(t.Context(), "select pg_current_xact_id()").Scan(&xid); err != nil {
		t.Fatal(err)
	}
	if _, settled, _ := s.fate(postgres.XID(xid), c.ID); settled {
		t.Error("a transaction under way was settled")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.horizon.setUncertain(errUncertain)
	if _, settled, _ := s.fate(postgres.XID(xid), c.ID); settled {
		t.Error("settled on a server that may be an older copy")
	}
	p.horizon.setUncertain(nil)
	if _, settled, err := s.fate(postgres.XID(xid), c.ID); !settled || !errors.Is(err, errAborted) {
		t.Errorf("aborted: %t, %v", settled, err)
	}
}
