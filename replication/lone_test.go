package replication

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// peerOf answers for a peer that is not there.
type peerOf struct {
	Caller
	answer func(Ask) (Answer, error)
}

func (p peerOf) Ask(_ context.Context, _ Peer, q Ask) (Answer, error) { return p.answer(q) }

// opener proves whatever it is asked for, by what it has: two of them that have the same agree.
type opener struct{ has string }

func (o opener) ProveRoot(_ context.Context, challenge []byte) ([]byte, error) {
	sum := sha256.Sum256(append([]byte(o.has+" root "), challenge...))
	return sum[:], nil
}

func (o opener) Prove(_ context.Context, rows [][16]byte, bind []byte) (proofs [][]byte, err error) {
	for _, row := range rows {
		sum := sha256.Sum256(append(append([]byte(o.has), row[:]...), bind...))
		proofs = append(proofs, sum[:])
	}
	return proofs, nil
}

// newLone returns the Monitor of an active that is not running, with a state file of its own; change may alter its Config.
func newLone(t *testing.T, change func(*Config)) *Monitor {
	t.Helper()
	f, _ := newState(t)
	c := Config{Server: &postgres.Server{Data: t.TempDir()}, State: f, Caller: peerOf{answer: func(Ask) (Answer, error) { return Answer{}, errors.New("silent") }},
		Prover: opener{"kek"}, Logger: slog.New(slog.DiscardHandler)}
	change(&c)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// compared makes m an active whose server runs and was compared with a passive, and returns what that passive answers.
func compared(t *testing.T, m *Monitor) Answer {
	t.Helper()
	if m.start() == "" {
		t.Fatal("the server does not run")
	}
	err := m.state.Update(func(s *State) error {
		s.Peer = &Peer{Name: "kt02", Incarnation: "copy"}
		s.Compared = &Compared{Active: m.start(), Passive: "p", Incarnation: "copy"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := m.state.Current()
	m.facts.server = Server{Answers: true, Start: m.start(), Role: Primary, SystemID: s.SystemID, Timeline: 1}
	return Answer{Name: "kt02", Duty: Passive, Epoch: s.Epoch, Incarnation: "copy",
		Server: Server{Answers: true, Start: "p", Role: Standby, SystemID: s.SystemID, Timeline: 1, Flushed: 900, Replayed: 900, Settings: durableSettings}}
}

// newServer is a server that runs; no Monitor looks after it.
func newServer(t *testing.T, settings map[string]string) *postgres.Server {
	t.Helper()
	return pgtest.New(t, pgtest.Options{Settings: postgres.Settings{Extra: settings}})
}
