package pgstore

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestLostAnswers breaks a write at each of its steps, once so that it failed and once so that it happened all the same,
// with the passive frozen and with the passive gone. While the passive lacks the row no reader sees it and nobody is told
// that it exists; when the passive is back, what happened is acknowledged, and what did not is an error.
func TestLostAnswers(t *testing.T) {
	p := newPair(t)
	r := newRelay(t, p.active)
	s := p.store(r.connString)
	mustCreate(t, s, "before")

	for _, away := range []struct {
		name      string
		out, back func()
	}{
		{"frozen", p.freeze, p.thaw},
		{"gone", p.stopPassive, p.startPassive},
	} {
		for _, fault := range []struct {
			name     string
			cut      cut
			fault    func(backend uint32) // while COMMIT waits; nil: the wire is cut
			happened bool
			restart  bool // the active is down afterwards
		}{
			{"the wire before the change", beforeChange, nil, false, false},
			{"the wire before COMMIT", beforeCommit, nil, false, false},
			{"the wire after COMMIT", afterCommit, nil, true, false},
			{"cancel", nowhere, func(b uint32) { p.admin("select pg_cancel_backend($1)", int64(b)) }, true, false},
			{"terminate", nowhere, func(b uint32) { p.admin("select pg_terminate_backend($1)", int64(b)) }, true, false},
			{"kill -9 of the backend", nowhere, func(b uint32) { p.kill(b) }, true, true},
			{"immediate stop", nowhere, func(uint32) { p.stopActive(postgres.Immediate) }, true, true},
			{"fast stop", nowhere, func(uint32) { p.stopActive(postgres.Fast) }, true, true},
		} {
			t.Run(away.name+"/"+fault.name, func(t *testing.T) {
				name := kms.KeyName(away.name + " " + fault.name)
				p := &pair{T: t, active: p.active, passive: p.passive, horizon: p.horizon}
				pgtest.Await(p, "the passive streams", p.streaming)
				away.out()
				r.set(fault.cut)
				result := create(t.Context(), t, s, name)
				if fault.fault != nil {
					backend := p.waiting(1)[0]
					if got := count(p.horizon.active, name); got != 0 {
						t.Fatalf("%d rows are visible while COMMIT waits", got)
					}
					fault.fault(backend)
				}
				if fault.restart {
					pgtest.Await(p, "the active is down", func() bool { _, runs := p.active.Pid(); return !runs })
					p.horizon.setUncertain(errUncertain)
					if err := p.active.Start(pgtest.Context(t)); err != nil {
						t.Fatal(err)
					}
				}
				// The evidence that the fault happened.
				switch {
				case fault.fault == nil:
					pgtest.Await(p, "the wire is cut", func() bool { return r.count() > 0 })
				default:
					pgtest.Await(p, "PostgreSQL shows the row without the passive", func() bool { return count(p.horizon.active, name) == 1 })
				}
				if fault.happened {
					select {
					case err := <-result:
						t.Fatalf("the outcome was %v before the passive had the row", err)
					default:
					}
				}
				p.wantHidden(s, name)
				if _, err := s.Key(t.Context(), "before"); err != nil {
					t.Errorf("an acknowledged key is not served: %v", err)
				}

				r.set(nowhere)
				away.back()
				pgtest.Await(p, "the passive streams", p.streaming)
				p.horizon.setUncertain(nil)
				err := <-result
				switch {
				case fault.happened && err != nil:
					t.Errorf("Apply = %v; the change is on both hosts", err)
				case !fault.happened && (err == nil || errors.Is(err, kms.ErrOutcomeUnknown)):
					t.Errorf("Apply = %v; nothing happened, and that can be known", err)
				}
				want := map[bool]int{true: 1, false: 0}[fault.happened]
				if a, b := count(p.horizon.active, name), count(p.horizon.passive, name); a != want || b != want {
					t.Errorf("%d rows on the active, %d on the passive; want %d", a, b, want)
				}
				if _, err := s.Key(t.Context(), name); fault.happened && err != nil || !fault.happened && !errors.Is(err, kms.ErrKeyNotFound) {
					t.Errorf("Key after it = %v", err)
				}
			})
		}
	}
}

// TestNoCancelRequest: whatever breaks or ends, the driver's own cancellation never leaves a connection that writes.
func TestNoCancelRequest(t *testing.T) {
	p := newPair(t)
	r := newRelay(t, p.active)
	s := p.store(r.connString)
	mustCreate(t, s, "before")
	p.freeze()
	r.set(afterCommit)
	cut := create(t.Context(), t, s, "cut")
	pgtest.Await(p, "the wire is cut", func() bool { return r.count() > 0 })
	// A caller who goes away while its transaction waits for a lock.
	ctx, cancel := context.WithCancel(t.Context())
	gone := create(ctx, t, s, "cut")
	pgtest.Await(p, "it waits for the lock", p.locked)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who went away: %v", err)
	}
	pgtest.Await(p, "its transaction has ended", func() bool { return !p.locked() })
	p.waiting(1)
	r.mu.Lock()
	cancels := r.cancels
	r.mu.Unlock()
	if n := count(p.horizon.active, "cut"); n != 0 || cancels != 0 {
		t.Errorf("%d rows are visible, %d cancel requests were sent", n, cancels)
	}
	p.thaw()
	if err := <-cut; err != nil {
		t.Error(err)
	}
}

// locked reports whether a backend waits for another one's transaction.
func (p *pair) locked() bool {
	var n int
	err := p.horizon.active.QueryRow(p.Context(), "select count(*) from pg_stat_activity where wait_event_type = 'Lock'").Scan(&n)
	return err == nil && n == 1
}

// wantHidden fails if a reader of the active is shown the key, in whatever way it asks.
func (p *pair) wantHidden(s *Store, name kms.KeyName) {
	p.Helper()
	if k, err := s.Key(p.Context(), name); err == nil {
		p.Errorf("Key serves %v, which the passive lacks", k.Name)
	}
	if v, _, err := s.Version(p.Context(), kms.NthVersionName(name, 0)); err == nil {
		p.Errorf("Version serves %v, which the passive lacks", v.Name)
	}
	keys, err := s.Keys(p.Context())
	for _, k := range keys {
		if k.Name == name {
			p.Errorf("Keys lists %s, which the passive lacks (%v)", name, err)
		}
	}
}

func (p *pair) streaming() bool {
	var n int
	err := p.horizon.active.QueryRow(p.Context(), "select count(*) from pg_stat_replication where state = 'streaming' and sync_state = 'sync'").Scan(&n)
	if err != nil || n != 1 {
		return false
	}
	return p.horizon.passive.QueryRow(p.Context(), "select 1").Scan(&n) == nil
}

// waiting returns the backends whose COMMIT waits for the standby, once there are n.
func (p *pair) waiting(n int) (pids []uint32) {
	p.Helper()
	pgtest.Await(p, fmt.Sprintf("%d COMMITs wait for the standby", n), func() bool {
		rows, err := p.horizon.active.Query(p.Context(), "select pid from pg_stat_activity where wait_event = 'SyncRep' order by pid")
		if err != nil {
			return false
		}
		pids, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
		return err == nil && len(pids) == n
	})
	return pids
}

// admin runs a function of the administrator, which must say true.
func (p *pair) admin(sql string, args ...any) {
	p.Helper()
	var ok bool
	if err := p.horizon.active.QueryRow(p.Context(), sql, args...).Scan(&ok); err != nil || !ok {
		p.Fatalf("%s = %t, %v", sql, ok, err)
	}
}

func (p *pair) kill(backend uint32) {
	p.Helper()
	if err := syscall.Kill(int(backend), syscall.SIGKILL); err != nil {
		p.Fatal(err)
	}
}

func (p *pair) stopActive(mode postgres.Mode) {
	p.Helper()
	if err := p.active.Stop(pgtest.Context(p.T), mode); err != nil {
		p.Fatal(err)
	}
}

// TestFailuresBeforeCommit: a transaction that ends before COMMIT changes nothing, whoever ended it.
func TestFailuresBeforeCommit(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	mustCreate(t, s, "k")

	// A creation of the same name that waits for the standby is in the way: busy, soon, and never "exists".
	p.freeze()
	first := create(t.Context(), t, s, "name")
	p.waiting(1)
	err := <-create(t.Context(), t, s, "name")
	var ro *kms.ReadOnlyError
	if !errors.As(err, &ro) || ro.Reason != kms.ReasonBusy {
		t.Errorf("a name that an unconfirmed key has: %v; want busy", err)
	}

	// The caller's time is up while it waits for the lock.
	ctx, cancel := context.WithCancelCause(context.Background())
	closed := &kms.ReadOnlyError{Reason: "passive_unreachable", Sentence: "the passive is gone"}
	second := create(ctx, t, s, "name")
	pgtest.Await(p, "it waits for the lock", p.locked)
	cancel(closed)
	if err := <-second; err != error(closed) {
		t.Errorf("the gate closed before COMMIT: %v; want its reason", err)
	}
	p.thaw()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	var exists *kms.ExistsError
	if err := <-create(t.Context(), t, s, "name"); !errors.As(err, &exists) || exists.Key == nil {
		t.Errorf("a name that a confirmed key has: %v; want an *ExistsError", err)
	}
	if n := count(p.horizon.active, "name"); n != 1 {
		t.Errorf("%d keys of that name", n)
	}
}
