package replication

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// canaryPace is how long after a canary was confirmed the active writes the next one. On an idle pair a passive that has
// stopped to replay is noticed StaleLimit after that: together, with a look at the clock and a busy machine, they have to stay
// under the 1.5 s in which the gate is shut.
const canaryPace = 250 * time.Millisecond

// canary is a small message in the WAL. Once the peer has confirmed its position, the snapshot that was taken before it is
// confirmed; while it waits, its age shows that the peer's positions do not advance.
type canary struct {
	snapshot postgres.Snapshot
	at       postgres.LSN // where the next record would have gone when the snapshot had been taken
	end      postgres.LSN // of the message: on an idle pair the peer may have been at at before, and stand still since
	xid      postgres.XID // of the canary itself
	sent     time.Duration
	epoch    Epoch // in which it was sung: what the passive of another one has says nothing of this one's
}

// sing writes canaries and confirms their snapshots, for as long as the peer is there to confirm them.
func (m *Monitor) sing(ctx context.Context) {
	var idle quiet
	unheard := news{seen: m.state.Current().Confirmed.Snapshot}
	for m.pause(ctx, canaryPace) {
		if !m.wantsCanary() || m.state.Trouble() != "" { // nothing could be confirmed
			continue
		}
		epoch := m.state.Current().Epoch
		c, err := m.emit(ctx)
		c.epoch = epoch
		if err != nil {
			m.log.Debug("no canary", "error", err)
			continue
		}
		unheard.sung(c)
		m.setCanary(&c)
		m.beatNow()
		err = m.awaitCanary(ctx, c)
		m.setCanary(nil)
		if err != nil {
			continue
		}
		m.heardCanary(c)
		more := unheard.in(c.snapshot, m.state.Current().Confirmed.Acknowledged)
		if idle.nothingNew(c) {
			continue
		}
		if more {
			err = m.confirmNews(ctx, c, &unheard)
		} else {
			err = m.confirmSnapshot(c)
		}
		if err != nil {
			m.log.Error("a snapshot that both hosts have is not confirmed", "error", err)
			idle = quiet{}
		}
	}
}

// emit takes a snapshot, then the position, then writes and flushes a message behind both. The order matters: whatever the
// snapshot sees as ended has its last record below the insert position. The flush position would not do: the abort of a
// transaction that is not flushed is lost in a crash, and its number goes to another.
func (m *Monitor) emit(ctx context.Context) (canary, error) {
	c := canary{sent: m.uptime()}
	ctx, cancel := context.WithTimeout(ctx, m.policy.AnswerLimit)
	defer cancel()
	err := m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		return Control(ctx, conn, func(tx pgx.Tx) error {
			var snapshot, at, xid, end string
			if err := tx.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&snapshot); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&at); err != nil {
				return err
			}
			const sing = "select pg_current_xact_id()::text, m::text from pg_logical_emit_message(true, 'keytrustee', 'canary') m"
			if err := tx.QueryRow(ctx, sing).Scan(&xid, &end); err != nil {
				return err
			}
			var err error
			if c.snapshot, err = postgres.ParseSnapshot(snapshot); err != nil {
				return err
			}
			if c.at, err = postgres.ParseLSN(at); err != nil {
				return err
			}
			if c.end, err = postgres.ParseLSN(end); err != nil {
				return err
			}
			c.xid, err = postgres.ParseXID(xid)
			return err
		})
	})
	if err != nil {
		return canary{}, fmt.Errorf("writing a canary: %w", err)
	}
	return c, nil
}

// awaitCanary returns nil when the peer has confirmed c itself, and an error when nobody is there any more to do so.
func (m *Monitor) awaitCanary(ctx context.Context, c canary) error {
	for {
		wait, cancel := context.WithTimeout(ctx, canaryPace)
		err := m.horizon.reached(wait, c.end)
		cancel()
		if err == nil || ctx.Err() != nil || err == ErrWorldChanged || !m.wantsCanary() {
			return err
		}
	}
}

// confirmSnapshot persists that whatever c's snapshot sees is on both hosts. It returns ErrWorldChanged when they are no longer the two
// that c was sung for.
func (m *Monitor) confirmSnapshot(c canary) error {
	return m.state.Update(func(s *State) error {
		if s.Fenced != nil || s.Epoch != c.epoch {
			return ErrWorldChanged
		}
		s.Confirmed.Snapshot = c.snapshot
		s.Confirmed.Acknowledged = slices.DeleteFunc(s.Confirmed.Acknowledged, c.snapshot.Sees)
		s.Confirmed.Position = max(s.Confirmed.Position, c.at)
		return nil
	})
}

// quiet spares an idle pair the writing of snapshots that differ from the persisted one in canaries alone.
type quiet struct{ next postgres.XID }

// nothingNew reports whether c's snapshot shows nothing but canaries beyond what was persisted last.
func (q *quiet) nothingNew(c canary) bool {
	calm := c.snapshot.Xmin == c.snapshot.Xmax && c.xid == c.snapshot.Xmax
	same := calm && c.snapshot.Xmax == q.next
	q.next = 0
	if calm {
		q.next = c.xid + 1
	}
	return same
}
