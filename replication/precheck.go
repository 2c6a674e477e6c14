package replication

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// findings are what was looked at before an act.
type findings []Finding

// look adds what was found: good if it is so, otherwise bad, with what to do about it.
func (f *findings) look(ok bool, good, bad, hint string) {
	if ok {
		*f = append(*f, Finding{What: good, OK: true})
		return
	}
	*f = append(*f, Finding{What: bad, Hint: hint})
}

// wrong is the first thing that is not as it has to be, with what to do about it; empty if there is none.
func (f findings) wrong() string {
	for _, found := range f {
		if !found.OK {
			return strings.TrimSuffix(found.What+"; "+found.Hint, "; ")
		}
	}
	return ""
}

// closeClocks is how far apart the clocks of the two hosts may be when a switchover begins.
const closeClocks = 2 * time.Second

// beforeSwitchover looks at everything that a switchover depends on, here and at the passive.
func (m *Monitor) beforeSwitchover(ctx context.Context, state State, o *Operation) findings {
	var found findings
	found.look(state.Operation == nil && state.Pending == nil, "no other operation is under way on "+state.Self, "another operation is under way on "+state.Self, state.ends())
	if state.Peer == nil {
		found.look(false, "", state.Self+" has no passive", "join one: ktadmin join-token here, ktadmin init-slave there")
		return found
	}
	peer := state.Peer.Name
	m.ask(ctx, *state.Peer, Ask{}, callLimit) // what comes of it shows below
	s := m.statusOf(state, m.uptime())
	found.look(s.PeerAge <= m.policy.HeartbeatLimit, "keytrusteed and its database answer on both hosts", "keytrusteed or its database does not answer on "+peer, "start keytrustee-db and keytrusteed on "+peer)
	found.look(s.Peer.Epoch == state.Epoch, "both hosts are of epoch "+state.Epoch.String(), fmt.Sprintf("%s is of epoch %s, %s of %s", state.Self, state.Epoch, peer, s.Peer.Epoch), "see ktadmin status on both hosts")
	found.look(state.SyncEnabled, "replication is synchronous", "replication is not synchronous", "ktadmin enable-synchronous-replication")
	without := s
	without.Operation = nil
	d := Decide(without, m.policy)
	found.look(d.Open, peer+" confirms all that "+state.Self+" has", expand(d.because(time.Time{}), state.Self, peer), expand(d.remedy(), state.Self, peer))
	found.look(!s.Peer.Server.ReplayPaused, "replay is not paused on "+peer, "replay is paused on "+peer, "resume it there, as root: "+s.peerConsole.run(resumeReplay))
	found.look(min(s.DiskFree, s.Peer.DiskFree) >= m.policy.DiskFloor && s.StateTrouble == "" && s.Peer.StateTrouble == "", "there is room on the disks of both hosts", "a disk is almost full, or can not be written", "make room")
	found.look(s.Peer.Protocol == Protocol && s.Peer.Server.Version/10000 == s.Local.Version/10000, "the versions of both hosts work together", fmt.Sprintf("the versions differ: cluster protocol %d and %d, PostgreSQL %d and %d",
		Protocol, s.Peer.Protocol, s.Local.Version, s.Peer.Server.Version), "install the same release, and the same PostgreSQL, on both hosts")
	found.look(s.Skew.Abs() < closeClocks, "the clocks are less than 2 s apart", fmt.Sprintf("the clocks are %.1f s apart", s.Skew.Abs().Seconds()), "put the clocks right")
	ctx, cancel := context.WithTimeout(ctx, m.policy.AnswerLimit)
	defer cancel()
	a, err := m.caller.Takeover(ctx, *state.Peer, Takeover{Step: TakeoverCheck, ID: o.ID, Epoch: o.Epoch})
	if err != nil {
		found.look(false, "", fmt.Sprintf("%s does not say whether it can take over: %v", peer, err), "look at keytrusteed on "+peer)
	}
	return append(found, a.Findings...)
}

// beforeTakeover looks at what a takeover by this host depends on, and nobody else can see.
func (m *Monitor) beforeTakeover(ctx context.Context, state State, epoch Epoch) findings {
	var found findings
	s := m.statusOf(state, m.uptime())
	found.look(state.Duty == Passive && state.Fenced == nil, state.Self+" is a passive and not fenced", state.Self+" is fenced, or no passive", "see ktadmin status on "+state.Self)
	o := state.Operation
	found.look((o == nil || o.Kind == KindSwitchover && o.Step == StepPrepare) && state.Pending == nil, "no other operation is under way on "+state.Self,
		"another operation is under way on "+state.Self, state.ends())
	found.look(s.Standing.Ready && m.following(state) != "", state.Self+" has replayed what it had confirmed, and follows", state.Self+" has not replayed what it had confirmed, or follows nobody",
		"look at keytrustee-db on "+state.Self)
	found.look(s.Local.Damaged == 0, "its PostgreSQL has met no page that is damaged", "pages of the data of "+state.Self+" are damaged", "clone it anew first: ktadmin init-slave --reclone on "+state.Self)
	free, err := m.freeSlots(ctx)
	found.look(err == nil && free > 0, "a replication slot is free on "+state.Self, fmt.Sprintf("no replication slot is free on %s", state.Self), "drop one that nobody uses, as root of "+state.Self+": "+
		m.console().run("select slot_name, active from pg_replication_slots")+" shows them; "+m.console().run("select pg_drop_replication_slot('NAME')"))
	return found
}

// freeSlots is how many replication slots could still be made.
func (m *Monitor) freeSlots(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.policy.AnswerLimit)
	defer cancel()
	err = m.control.do(ctx, func(conn *pgx.Conn, _ string) error {
		return conn.QueryRow(ctx, "select current_setting('max_replication_slots')::int - count(*)::int from pg_replication_slots").Scan(&n)
	})
	return n, err
}
