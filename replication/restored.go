package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
)

// StepReturning is the step of a restore at the host that was restored: it is the active, and waits for the survivor to follow.
const StepReturning = "returning"

// Recovered is what a database is that was copied, from the survivor or out of a backup, once its recovery has ended, or all was restored.
type Recovered struct {
	Timeline postgres.Timeline
	Position postgres.LSN      // the end of what was copied or restored; of a copy it is where the timeline begins
	Snapshot postgres.Snapshot // what it shows, all of which was copied
}

// Recover is Renew for the copy of a survivor, for which there is a slot then.
func Recover(ctx context.Context, conn *pgx.Conn, e Epoch, survivor string) (Recovered, error) {
	r, err := Renew(ctx, conn, e)
	if err != nil {
		return r, err
	}
	return r, makeSlot(ctx, conn, e.StandbyName(survivor), nil)
}

// Renew makes e the epoch of the recovered database that conn is connected to, and nobody else. What it returns was so before. Position is
// the end of its log: of a copy, whose log went on in recovery, postgres.Forked knows the end of what was copied.
func Renew(ctx context.Context, conn *pgx.Conn, e Epoch) (r Recovered, err error) {
	var snapshot string
	if err := conn.QueryRow(ctx, "select pg_current_snapshot()::text").Scan(&snapshot); err != nil {
		return r, err
	}
	if r.Snapshot, err = postgres.ParseSnapshot(snapshot); err != nil {
		return r, err
	}
	server, err := observeServer(ctx, conn, "")
	if err != nil {
		return r, err
	}
	r.Timeline, r.Position = server.Timeline, server.Flushed
	if err := writeEpoch(ctx, conn, e); err != nil {
		return r, fmt.Errorf("writing the epoch: %w", err)
	}
	return r, nil
}

// stepRestored ends the restore at the host that was restored, when this start of its database has been compared with the
// survivor's: the gate opens as it always does.
func (m *Monitor) stepRestored(state State, start string) error {
	o, c := state.Operation, state.Compared
	if start == "" || c == nil || c.Active != start || c.Passive == "" || state.Peer == nil {
		return nil
	}
	err := m.state.Update(func(s *State) error {
		if !s.endOperation(o.ID, m.now(), "%s is the active again, restored from %s; its epoch is %s", s.Self, s.Peer.Name, s.Epoch) {
			return errUnchanged
		}
		return nil
	})
	if err == nil {
		m.log.Warn("this host was restored and is the active again", "survivor", state.Peer.Name, "epoch", state.Epoch.String())
	}
	return err
}

// returns reports whether o is a restore at the host that was restored.
func (o *Operation) returns() bool {
	return o != nil && o.Kind == KindRestore && o.Step == StepReturning
}

// outlive lets an active that was restored go on without the survivor that it was restored from, and that was lost before it had taken
// this host in. Whatever was acknowledged before the copy is here: its log was compared byte for byte, and nothing was written since. What
// nobody here can know is whether the survivor has gone on meanwhile, as the active or with its old one: the plan says so. One that has
// does not ask this host, so the epoch, which comes after the one that the survivor was to follow in, fences no other. The caller holds
// acting.
func (m *Monitor) outlive(ctx context.Context, c Command) (Operated, error) {
	state := m.state.Current()
	_, err := m.ask(ctx, *state.Peer, Ask{}, callLimit) // what else comes of it shows below
	m.evaluate()                                        // it may be that the other host has gone on without this one
	state.Fenced = m.state.Current().Fenced
	_, away := errors.AsType[*TurnedAwayError](err)
	epoch, start := state.Epoch.Next(), m.start()
	found := m.beforeOutliving(ctx, state, start, c.Name, away)
	return m.goAlone(c, state, epoch, &Compared{Active: start}, found, outlivePlan(state, epoch))
}

func outlivePlan(state State, epoch Epoch) []string {
	name := state.Peer.Name
	return []string{
		fmt.Sprintf("%s is the active of epoch %d, without a passive: it has all that %s had when it was copied", state.Self, epoch.Number, name),
		"all keys are read there; writes are refused with no_passive until a passive has joined",
		fmt.Sprintf("if %s was promoted since, or has given up this restore and served its old active again, do not go on: what was written since is there, and not here", name),
		fmt.Sprintf("%s is turned away and fences itself when it is back, unless it has given up this restore or was promoted: then keep it off; it joins anew with ktadmin init-slave --reclone", name),
	}
}

// beforeOutliving looks at everything that outlive depends on. start is the life of this host's database, away: the survivor has just
// turned this host away.
func (m *Monitor) beforeOutliving(ctx context.Context, state State, start, name string, away bool) findings {
	var found findings
	survivor, s := state.Peer.Name, m.statusOf(state, m.uptime())
	found.look(survivor == name, state.Self+" was restored from "+name, fmt.Sprintf("%s was restored from %s, not %s", state.Self, survivor, name), "name that one")
	found.look(state.Fenced == nil, "this host is not fenced", "this host is fenced", "see ktadmin status")
	found.look(s.Polled, "this host has looked at everything since it started or stood still", "this host has just started, or stood still, and has not looked at everything yet",
		"repeat the command in a moment")
	found.look(s.HeardAge > m.policy.AnswerLimit, survivor+" does not answer", survivor+" answers", "the restore ends by itself when the database of "+survivor+" runs; if it does not, see ktadmin status there")
	found.look(!away, survivor+" does not turn this host away", survivor+" answers, and has given this host up", "restore it anew: ktadmin join-token there, ktadmin restore --from-survivor here")
	found.look(start != "" && s.Local.Answers && s.Local.Start == start && s.Local.Role == Primary && s.Local.SystemID == state.SystemID && s.Standing.Below == "",
		"the database of this host answers and has all that was restored", "the database of this host does not answer, or lacks what was restored", "start keytrustee-db; its log says why it does not stay up")
	found.look(s.Local.Epoch != nil && *s.Local.Epoch == state.Epoch, "it is of the epoch of the restore", "it is not known to be of the epoch of the restore", "put back the data that was restored")
	err := m.opensKeys(ctx, state)
	found.look(err == nil, "its root key opens the key-encryption keys", fmt.Sprintf("its root key does not open the key-encryption keys: %v", err), "put root.key and kek/ back into its confdir")
	found.look(s.DiskFree >= m.policy.DiskFloor && s.StateTrouble == "", "there is room on its disks", "its disks are almost full", "make room")
	return found
}

// returning: a host that was restored shows nothing before the survivor has taken it in. Until then the restore may be given up
// there, and a former active be put back.
func returning(s Status, p Policy) Decision {
	if o := s.Operation; o != nil && o.Kind == KindRestore && s.Duty == Active {
		return shut(Restoring, "{peer} has not taken it in yet").better(awaited(s, p))
	}
	return fine
}
