package replication

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// comparedIn reports whether that start of the active's database was compared with a passive's, or is the one in which this host
// became the active. It has all that was acknowledged then. Any other start may be of an older copy of the data.
func (s State) comparedIn(start string) bool {
	return start != "" && s.Compared != nil && s.Compared.Active == start
}

// behind says why the active's data is known to lack what its passive has, or not to be of one history with it, and what to do;
// empty strings if it is not.
func behind(s Status) (why, do string) {
	switch {
	case s.PeerName == "":
		return "", ""
	case s.Standing.Below != "":
		return expand(s.Standing.Below, s.Self, s.PeerName), expand(newerBack, s.Self, s.PeerName)
	}
	return differing(s.Standing.Verdict, s.Standing.Detail, s.Self, s.PeerName)
}

// differing says so of that verdict, if it is one by which peer may have what self lacks.
func differing(v Verdict, detail, self, peer string) (why, do string) {
	switch d := shut(Reason(v), "%s", detail); d.Reason {
	case PassiveAhead:
		return d.better(d.remedy()+" "+lostForGood).words(self, peer)
	case HistoryDiffers:
		return d.words(self, peer)
	}
	return "", ""
}

// lostForGood is the only way on where the copy is lost that may be the good one.
const lostForGood = "If {peer} is lost for good, another host takes its place with a token of ktadmin join-token --replace on {self}: what only {peer} held is lost then."

// uncompared says so of an active that may be an older copy than its passive, because nobody has compared the two since its
// database started. The state file knows it, so it holds whether the passive answers or not, and after a restart of the daemon.
func (m *Monitor) uncompared(state State) (why, do string) {
	if state.Peer == nil || state.comparedIn(m.start()) {
		return "", ""
	}
	return expand("the data of {self} has not been compared with that of {peer} since its database started, and {peer} may hold what {self} lacks", state.Self, state.Peer.Name),
		expand("Start keytrustee-db and keytrusteed on {peer}. "+lostForGood, state.Self, state.Peer.Name)
}

// mayLack says why the passive of this host, the active, may have what this host lacks, and what to do; empty strings if this start
// of the database is known to have all that was acknowledged.
func (m *Monitor) mayLack(state State, s Status) (why, do string) {
	if why, do = behind(s); why == "" {
		why, do = m.uncompared(state)
	}
	return why, do
}

// loses says why acknowledged keys may be lost when a copy of this host, the active, takes the place of the passive, and of the data
// that j has had, and what to do; empty strings if none can be. The log of the passive's own data, stopped as it is, shows whether all
// of it is here, where no comparison has; that of any other data only whether that one is.
func (m *Monitor) loses(ctx context.Context, state State, s Status, j Joiner) (why, do string, err error) {
	if why, do = behind(s); why != "" {
		return why, do, nil
	}
	if j.Had != nil && !j.Replace {
		v, detail, err := m.judgeStopped(ctx, *j.Had)
		if err != nil {
			return "", "", err
		}
		if why, do = differing(v, detail, state.Self, j.Name); why != "" {
			return why, do, nil
		}
		if (v == VerdictCompared || v == Verdict(NeedsClone)) && state.Peer != nil && j.Had.Incarnation == state.Peer.Incarnation {
			return "", "", nil
		}
	}
	why, do = m.uncompared(state)
	return why, do, nil
}

// judgeStopped compares b, of a database that is stopped, with this host's own WAL.
func (m *Monitor) judgeStopped(ctx context.Context, b Boundary) (v Verdict, detail string, err error) {
	var own Server
	err = m.control.do(ctx, func(conn *pgx.Conn, start string) (err error) {
		own, err = observeServer(ctx, conn, start)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return m.judge(own, b)
}
