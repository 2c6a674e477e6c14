package replication

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// PrepareStart writes what a start of PostgreSQL begins with: access rules that admit nobody but the administrator, on a
// passive an empty primary_conninfo, on the active the name that commits wait for. `ktadmin db run` calls it before it
// starts postgres. It refuses when MayStart does, or when duty and standby.signal disagree; nothing is written then.
// A passive that is becoming the active may be either.
func PrepareStart(server *postgres.Server, s State) error {
	if err := s.MayStart(); err != nil {
		return err
	}
	signal, err := server.Signal()
	if err != nil {
		return err
	}
	if standby := signal == postgres.StandbySignal; standby != (s.Duty == Passive) && !s.Operation.forking() {
		return &postgres.SetupError{Problem: fmt.Sprintf("%s is %s, but its data in %s starts as %s", s.Self, s.Duty, server.Data, startsAs(signal)),
			Remedy: "was the data directory exchanged? put the right one back, or clone it anew: see " + runbook}
	}
	if err := server.WriteHBA(postgres.HBA{}); err != nil {
		return err
	}
	return server.WriteSettings(settings(s, ""))
}

func startsAs(s postgres.Signal) string {
	if s == postgres.StandbySignal {
		return "a standby"
	}
	return "a primary"
}

// settings are this node's, streaming from conninfo, or from nowhere.
func settings(s State, conninfo string) postgres.Settings {
	set := postgres.Settings{PrimaryConninfo: conninfo}
	if s.Duty == Passive {
		set.PrimarySlotName = s.Epoch.StandbyName(s.Self)
	} else if s.Peer != nil {
		set.SynchronousStandbyNames = synchronousNames(s.Epoch.StandbyName(s.Peer.Name), s.SyncEnabled)
	}
	return set
}

// synchronousNames is synchronous_standby_names: never empty, for an empty one lets every commit through.
func synchronousNames(standby string, enabled bool) string {
	if standby == "" || !enabled {
		return strconv.Quote(postgres.NoStandby)
	}
	return strconv.Quote(standby)
}

// below returns why this start of the active is not one of the data that the node left, judged by its first observation;
// empty if nothing says so. It finds a copy so old that its log ends early; one that has overtaken is for the comparison.
func below(s State, first Server) string {
	switch {
	case s.Duty != Active:
		return ""
	case first.Flushed < s.Confirmed.Position:
		return fmt.Sprintf("the database of {self} ends at %s, but %s is confirmed on both hosts: its data is an older copy, and the good one is on {peer}", first.Flushed, s.Confirmed.Position)
	}
	return ""
}

// Boundary is where a passive's own WAL ends, and a fingerprint of the bytes before. It is found without SQL.
type Boundary struct {
	SystemID    uint64            `json:"system_id,string"`
	Timeline    postgres.Timeline `json:"timeline"`
	History     []byte            `json:"history"` // the timeline's history file
	Epoch       Epoch             `json:"epoch"`
	Incarnation string            `json:"incarnation"`
	Start       string            `json:"start"`
	From        postgres.LSN      `json:"from"`
	End         postgres.LSN      `json:"end"`
	Hash        []byte            `json:"hash"` // SHA-256 of [From, End)
}

// Boundary reads this host's own WAL.
func (m *Monitor) Boundary(ctx context.Context) (Boundary, error) {
	state := m.state.Current()
	b := Boundary{Epoch: state.Epoch, Incarnation: state.Incarnation, Start: m.start()}
	if b.Start == "" {
		return b, fmt.Errorf("the database of %s does not run", state.Self)
	}
	if err := m.readWAL(ctx, &b); err != nil {
		return b, err
	}
	if m.start() != b.Start {
		return b, errRestarted
	}
	return b, nil
}

// BoundaryOf reads the WAL of a data directory whose server is stopped, and whose node's state is s.
func BoundaryOf(ctx context.Context, inst postgres.Installation, data string, s State) (Boundary, error) {
	b := Boundary{Epoch: s.Epoch, Incarnation: s.Incarnation}
	err := b.read(ctx, inst, data)
	return b, err
}

// readWAL fills in where this host's own WAL ends, and the bytes before. PostgreSQL may run or not.
func (m *Monitor) readWAL(ctx context.Context, b *Boundary) error {
	return b.read(ctx, m.server.Installation, m.server.Data)
}

func (b *Boundary) read(ctx context.Context, inst postgres.Installation, data string) error {
	control, err := postgres.ReadControl(ctx, inst, data)
	if err != nil {
		return err
	}
	b.SystemID = control.SystemID
	if b.End, b.Timeline, err = postgres.WALEnd(ctx, inst, data); err != nil {
		return err
	}
	if b.History, err = postgres.History(data, b.Timeline); err != nil {
		return err
	}
	if b.From, err = postgres.FirstWAL(data, b.Timeline, b.End); err != nil {
		return err
	}
	b.Hash, err = postgres.HashWAL(data, b.Timeline, b.From, b.End)
	return err
}

// compareLimit bounds one comparison; reading the end of a long WAL takes its time.
const compareLimit = 30 * time.Second

// compare asks the passive for its boundary and looks for the same bytes in this host's own WAL. It changes nothing but
// what it returns: the two starts that it is about, and the verdict. An error means that there is none yet.
func (m *Monitor) compare(ctx context.Context, state State) (c Compared, v Verdict, detail string, err error) {
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	c.Active, c.Incarnation = m.start(), state.Peer.Incarnation
	b, err := m.caller.Boundary(ctx, *state.Peer)
	if err != nil {
		return c, "", "", fmt.Errorf("asking %s for the end of its WAL: %w", state.Peer.Name, err)
	}
	c.Passive = b.Start
	if b.Epoch != state.Epoch || b.Incarnation != state.Peer.Incarnation {
		return c, "", "", fmt.Errorf("%s is of another world", state.Peer.Name) // identity names the reason
	}
	var own Server
	err = m.control.do(ctx, func(conn *pgx.Conn, start string) (err error) {
		if start != c.Active {
			return errRestarted
		}
		own, err = observeServer(ctx, conn, start)
		return err
	})
	if err != nil {
		return c, "", "", err
	}
	v, detail, err = m.judge(own, b)
	if m.start() != c.Active {
		return c, "", "", errRestarted
	}
	return c, v, detail, err
}

// judge compares b with this host's own WAL.
func (m *Monitor) judge(own Server, b Boundary) (Verdict, string, error) {
	if b.SystemID != own.SystemID {
		return Verdict(IdentityMismatch), fmt.Sprintf("{peer} has the database with system identifier %d, {self} has %d", b.SystemID, own.SystemID), nil
	}
	until, related, err := postgres.Descends(m.server.Data, own.Timeline, b.Timeline, b.History)
	if err != nil {
		return "", "", err
	}
	switch {
	case !related:
		return Verdict(HistoryDiffers), fmt.Sprintf("{self} is on timeline %d, {peer} on %d", own.Timeline, b.Timeline), nil
	case b.End > until:
		return Verdict(HistoryDiffers), fmt.Sprintf("{self} left timeline %d at %s, the WAL of {peer} goes on there to %s", b.Timeline, until, b.End), nil
	case b.End > own.Flushed:
		return Verdict(PassiveAhead), fmt.Sprintf("the WAL of {self} ends at %s, that of {peer} at %s", own.Flushed, b.End), nil
	}
	hash, err := postgres.HashWAL(m.server.Data, own.Timeline, b.From, b.End)
	switch {
	case errors.Is(err, postgres.ErrWALGone):
		return Verdict(NeedsClone), fmt.Sprintf("{self} has no WAL from %s to %s any more", b.From, b.End), nil
	case err != nil:
		return "", "", err
	case !bytes.Equal(hash, b.Hash):
		return Verdict(HistoryDiffers), fmt.Sprintf("the WAL from %s to %s is not the same", b.From, b.End), nil
	}
	return VerdictCompared, "", nil
}
