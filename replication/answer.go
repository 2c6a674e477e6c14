package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// answerLimit bounds what this host's PostgreSQL may take for an answer: a frozen one must not make its daemon look dead.
const answerLimit = 500 * time.Millisecond

// Answer answers the peer's question. The caller has authenticated the peer. When the answer holds proofs, the position
// that they are made at is on this node's disk as LastConfirmed.
func (m *Monitor) Answer(ctx context.Context, q Ask) Answer {
	m.asked(q)
	state := m.state.Current()
	free, size := m.disk()
	a := Answer{Nonce: q.Nonce, Protocol: Protocol, Name: state.Self, Duty: state.Duty, Epoch: state.Epoch, Incarnation: state.Incarnation,
		Clock: m.now(), DiskFree: free, DiskSize: size, StateTrouble: m.state.Trouble(), Following: m.following(state),
		Unconfirmed: state.Duty == Passive && state.LastConfirmed == 0}
	if m.backups != nil {
		a.Backups = m.backups()
	}
	if state.Fenced != nil {
		a.Fenced = state.Fenced.Reason
	}
	if q.Forget {
		m.forget()
	}
	if q.Challenge {
		root, err := m.prover.ProveRoot(ctx, bind(q.Nonce, state.Epoch, state.Self, 0))
		if a.Root = root; err != nil {
			a.RootError = err.Error()
		}
	}
	if len(q.Rows) > 0 {
		var err error
		if a.Rows, err = m.proveFor(ctx, state, q); err != nil {
			a.Rows, a.RowsError = nil, err.Error()
		}
	}
	a.Server = m.askServer(ctx)
	a.Ready = m.statusOf(m.state.Current(), m.uptime()).Standing.Ready
	return a
}

// askServer asks this host's PostgreSQL now.
func (m *Monitor) askServer(ctx context.Context) (s Server) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	err := m.answering.do(ctx, func(conn *pgx.Conn, start string) (err error) {
		s, err = observeServer(ctx, conn, start)
		return err
	})
	if err != nil {
		return Server{Trouble: err.Error(), Start: m.start(), MessageAge: Never}
	}
	return s
}

// asked takes note that the peer asked, and of what it said of itself.
func (m *Monitor) asked(q Ask) {
	state := m.state.Current()
	if state.Peer == nil || state.Peer.Name != q.From {
		return
	}
	now := m.uptime()
	m.mu.Lock()
	m.facts.heardAt = max(m.facts.heardAt, now)
	if q.Gate != nil {
		m.facts.reported = q.Gate
	}
	if q.Start != "" {
		m.facts.asking = q.Start
	}
	if q.Duty == Active {
		m.facts.operation, m.facts.operationAt = q.Operation, now
	}
	m.mu.Unlock()
	nudge(m.wake)
	if o := state.Operation; o != nil && o.Step == StepFollow && q.Operation != o.ID {
		nudge(m.goOn) // it is over there
	}
	if state.Duty == Passive && q.Duty == Active && q.Epoch == state.Epoch {
		m.noteConfirmed(q.Confirmed)
	}
}

// noteStep is how far LastConfirmed may lag behind what the active says. What an acknowledgement needs never lags: proveFor
// writes it first.
const noteStep = 1 << 20

// noteConfirmed persists that this copy has confirmed said, if that is news. What this copy does not have it has not confirmed,
// whoever says so: its next start would wait for that for ever. The first such word is that it has all that was acknowledged, so
// it counts once it does.
func (m *Monitor) noteConfirmed(said postgres.LSN) {
	m.mu.Lock()
	at := min(said, m.facts.server.Flushed, m.facts.server.Replayed)
	m.mu.Unlock()
	last := m.state.Current().LastConfirmed
	if at == 0 || last == 0 && at < said || last != 0 && at < last+noteStep {
		return
	}
	if err := m.raiseConfirmed(at); err != nil {
		m.log.Error("the last confirmed position can not be written", "error", err)
	}
}

func (m *Monitor) raiseConfirmed(at postgres.LSN) error {
	return m.state.Update(func(s *State) error {
		if s.LastConfirmed >= at {
			return errUnchanged
		}
		s.LastConfirmed = at
		return nil
	})
}

// proveFor proves the rows of q: after this host's PostgreSQL has replayed them, and after LastConfirmed says so on disk. A copy that
// may lack what was acknowledged before it came proves nothing yet: to have these rows would not make it whole.
func (m *Monitor) proveFor(ctx context.Context, state State, q Ask) ([][]byte, error) {
	if state.Duty != Passive || state.Fenced != nil || state.Epoch != q.Epoch {
		return nil, fmt.Errorf("%s is %s in epoch %s and proves nothing for epoch %s", state.Self, state.Duty, state.Epoch, q.Epoch)
	}
	if state.LastConfirmed == 0 {
		return nil, fmt.Errorf("%s does not know yet that it has all that was acknowledged before it joined", state.Self)
	}
	if err := m.replayed(ctx, q.At); err != nil {
		return nil, err
	}
	written := make(chan error, 1)
	go func() { written <- m.raiseConfirmed(q.At) }()
	proofs, err := m.prover.Prove(ctx, q.Rows, bind(q.Nonce, state.Epoch, state.Self, q.At))
	if werr := <-written; err == nil {
		err = werr
	}
	return proofs, err
}

// replayed returns nil when this host's PostgreSQL has flushed and replayed at.
func (m *Monitor) replayed(ctx context.Context, at postgres.LSN) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		var done bool
		err := m.proving.do(ctx, func(conn *pgx.Conn, _ string) error {
			return conn.QueryRow(ctx, "select coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)", at.String()).Scan(&done)
		})
		if err != nil || done {
			return err
		}
		if !m.pause(ctx, pause) {
			return fmt.Errorf("%s is not replayed yet", at)
		}
	}
}
