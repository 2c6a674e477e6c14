package replication

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// newAdmitting is an active that has let kt03 in, and what that answers once its copy runs.
func newAdmitting(t *testing.T, change func(*Config, *State)) (*Monitor, Answer) {
	t.Helper()
	now := time.Hour
	var s State
	m := newLone(t, func(c *Config) {
		s = c.State.Current()
		s.Pending = &Admission{Peer: Peer{Name: "kt03", Incarnation: "new"}, Epoch: s.Epoch.Next()}
		c.Uptime = func() time.Duration { return now }
		change(c, &s)
	})
	if err := m.state.Update(func(on *State) error { *on = s; return nil }); err != nil {
		t.Fatal(err)
	}
	f := &m.facts
	f.looked, f.resumed, f.serverTried, f.peerTried = now, now-time.Minute, now, now
	return m, Answer{Name: "kt03", Incarnation: "new", Epoch: s.Pending.Epoch, Duty: Passive, Unconfirmed: true,
		Server: Server{Answers: true, Start: "p", Role: Standby, SystemID: s.SystemID}}
}

// TestJoinsOnce: the joiner's answers come two at a time, asked as the new passive and as the one it replaces; one of them
// takes it in.
func TestJoinsOnce(t *testing.T) {
	var log bytes.Buffer
	m, a := newAdmitting(t, func(c *Config, _ *State) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	before := m.state.Current()
	for range 2 {
		if !m.started(before, a) {
			t.Error("an answer of the joiner was taken for another's")
		}
		m.facts.peerAt = 7
	}
	if s := m.state.Current(); s.Peer == nil || s.Peer.Name != "kt03" || s.Epoch != a.Epoch || s.Pending != nil {
		t.Errorf("state %+v", s)
	}
	if n := strings.Count(log.String(), "the passive has joined"); n != 1 {
		t.Errorf("joined %d times", n)
	}
	if m.facts.peerAt != 7 {
		t.Error("the second answer made the active forget what it had heard since")
	}
}

// TestComesInBesideNobody: a joiner that was let in while the passive was away does not take the place of one that is back; of one that is
// gone it does, and of any when that was meant.
func TestComesInBesideNobody(t *testing.T) {
	back := func(f *facts) { f.peerAt, f.replyAt, f.standbys[0].State = time.Hour, time.Hour, "streaming" }
	for _, row := range []struct {
		when    string
		replace bool
		change  func(*facts)
		says    string // why not; empty: it comes in
	}{
		{"the passive is gone", false, func(*facts) {}, ""},
		{"the passive is back", false, back, "kt02 is there, and kt03 was not let in to replace it"},
		{"the passive was heard a moment ago", false, func(f *facts) { f.peerAt = time.Hour - 1900*time.Millisecond }, "kt02 is there"},
		{"the passive streams, without its daemon", false, func(f *facts) { f.standbys[0].State = "streaming" }, "kt02 is there"},
		{"the passive's daemon answers alone", false, func(f *facts) { f.replyAt, f.heardAt = time.Hour, time.Hour }, ""},
		{"what answers in its place is another copy", false, func(f *facts) { f.peer.Incarnation, f.peerAt = "new", time.Hour }, ""},
		{"the passive was not asked yet", false, func(f *facts) { f.peerTried = 0 }, "has just started"},
		{"this host has just started", false, func(f *facts) { f.resumed = time.Hour - time.Second }, "has just started"},
		{"the passive had more", false, func(f *facts) { f.standing.verdict = Verdict(PassiveAhead) }, "holds what kt01 lacks (passive_ahead)"},
		{"the passive had something else", false, func(f *facts) { f.standing.verdict = Verdict(HistoryDiffers) }, "holds what kt01 lacks (history_differs)"},
		{"the passive is there, and is to be replaced", true, back, ""},
		{"the passive had more, and is to be replaced", true, func(f *facts) { f.standing.verdict = Verdict(PassiveAhead) }, ""},
	} {
		m, a := newAdmitting(t, func(_ *Config, s *State) {
			s.Peer, s.Pending.Replace = &Peer{Name: "kt02", Incarnation: "old"}, row.replace
		})
		before := m.state.Current()
		f := &m.facts
		f.peer, f.peerAt = Answer{Name: "kt02", Incarnation: "old", Server: Server{Start: "b"}}, 1
		f.standbys = []StandbyRow{{Application: before.Epoch.StandbyName("kt02"), State: "catchup"}}
		f.standing = examined{verdict: VerdictCompared, with: "b old"}
		row.change(f)
		if in := m.started(before, a); in != (row.says == "") {
			t.Errorf("when %s: came in %v", row.when, in)
		}
		s := m.state.Current()
		if why := m.statusOf(s, time.Hour).PendingTrouble; (s.Peer.Name == "kt03") != (row.says == "") || !strings.Contains(why, row.says) {
			t.Errorf("when %s: the passive is %s in epoch %s, and the status says %q, want %q", row.when, s.Peer.Name, s.Epoch, why, row.says)
		}
	}
}

// TestComesIn: a joiner is the passive once its copy answers, and not before: it fences the one that was there.
func TestComesIn(t *testing.T) {
	for _, row := range []struct {
		when   string
		change func(*Answer)
		says   string // why not, in the status; empty: it comes in
	}{
		{"its copy runs", func(*Answer) {}, ""},
		{"its database starts, or starts again and again", func(a *Answer) { a.Server = Server{Start: "p", Trouble: "starting up"} }, "does not answer: starting up"},
		{"its database is a primary", func(a *Answer) { a.Server.Role = Primary }, "no standby of this pair"},
		{"its database is another", func(a *Answer) { a.Server.SystemID++ }, "no standby of this pair"},
		{"it is fenced", func(a *Answer) { a.Fenced = EpochConflict }, "fenced"},
	} {
		var log bytes.Buffer
		m, a := newAdmitting(t, func(c *Config, _ *State) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		before := m.state.Current()
		row.change(&a)
		for range 2 {
			a.Server.Trouble += "." // other words for the same
			if in := m.started(before, a); in != (row.says == "") {
				t.Errorf("when %s: came in %v", row.when, in)
			}
		}
		s := m.state.Current()
		if (s.Peer != nil) != (row.says == "") || (s.Epoch == a.Epoch) != (row.says == "") {
			t.Errorf("when %s: the passive is %+v, in epoch %s", row.when, s.Peer, s.Epoch)
		}
		if why := m.statusOf(s, time.Hour).PendingTrouble; (why == "") != (row.says == "") || !strings.Contains(why, row.says) {
			t.Errorf("when %s: the status says %q, want %q", row.when, why, row.says)
		}
		if n := strings.Count(log.String(), "has not come in yet"); row.says != "" && n != 1 {
			t.Errorf("when %s: it is logged %d times", row.when, n)
		}
	}
	for what, change := range map[string]func(*Answer){
		"of another copy": func(a *Answer) { a.Incarnation = "first" }, "of another epoch": func(a *Answer) { a.Epoch = a.Epoch.Next() },
		"of another host": func(a *Answer) { a.Name = "kt02" }, "of an active": func(a *Answer) { a.Duty = Active },
	} {
		m, a := newAdmitting(t, func(*Config, *State) {})
		before := m.state.Current()
		change(&a)
		if m.started(before, a) || m.state.Current().Peer != nil || m.facts.outsider.why != "" {
			t.Errorf("an answer %s is taken for the joiner's", what)
		}
	}
}
