package replication

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestBelievable: a position counts when it is that of the passive that joined, in the starts that were compared. Each row
// spoils one thing.
func TestBelievable(t *testing.T) {
	server := newServer(t, nil)
	for _, row := range []struct {
		when   string
		change func(*Monitor, *State, *Answer)
		ok     bool
	}{
		{"everything is in order", func(*Monitor, *State, *Answer) {}, true},
		{"this host is a passive", func(_ *Monitor, s *State, _ *Answer) { s.Duty = Passive }, false},
		{"this host is fenced", func(_ *Monitor, s *State, _ *Answer) { s.Fenced = &Fence{Reason: Fenced} }, false},
		{"it has no passive", func(_ *Monitor, s *State, _ *Answer) { s.Peer = nil }, false},
		{"nothing was compared", func(_ *Monitor, s *State, _ *Answer) { s.Compared = nil }, false},
		{"another start of this host was compared", func(_ *Monitor, s *State, _ *Answer) { s.Compared.Active = "before" }, false},
		{"the passive was started anew", func(_ *Monitor, _ *State, a *Answer) { a.Server.Start = "q" }, false},
		{"another copy was compared", func(_ *Monitor, s *State, _ *Answer) { s.Compared.Incarnation = "first" }, false},
		{"this start ends below what is confirmed", func(m *Monitor, _ *State, _ *Answer) { m.facts.standing.below = "it ends early" }, false},
		{"what was seen of this host's server is of another start", func(m *Monitor, _ *State, _ *Answer) { m.facts.server.Start = "before" }, false},
		{"both hosts have another database", func(m *Monitor, _ *State, a *Answer) { m.facts.server.SystemID, a.Server.SystemID = 8, 8 }, false},
		{"the passive has another database", func(_ *Monitor, _ *State, a *Answer) { a.Server.SystemID = 8 }, false},
		{"the passive is on another timeline", func(_ *Monitor, _ *State, a *Answer) { a.Server.Timeline = 2 }, false},
		{"the passive is of another epoch", func(_ *Monitor, _ *State, a *Answer) { a.Epoch.Number-- }, false},
		{"the passive is another copy", func(_ *Monitor, _ *State, a *Answer) { a.Incarnation = "first" }, false},
		{"the passive is fenced", func(_ *Monitor, _ *State, a *Answer) { a.Fenced = EpochConflict }, false},
		{"the passive is active", func(_ *Monitor, _ *State, a *Answer) { a.Duty = Active }, false},
		{"the passive's database is a primary", func(_ *Monitor, _ *State, a *Answer) { a.Server.Role = Primary }, false},
		{"the passive's database does not answer", func(_ *Monitor, _ *State, a *Answer) { a.Server.Answers = false }, false},
		{"the passive does not fsync", func(_ *Monitor, _ *State, a *Answer) {
			a.Server.Settings = maps.Clone(a.Server.Settings)
			a.Server.Settings["fsync"] = "off"
		}, false},
	} {
		t.Run(row.when, func(t *testing.T) {
			m := newLone(t, func(c *Config) { c.Server = server })
			a := compared(t, m)
			s := m.state.Current()
			row.change(m, &s, &a)
			if _, ok := m.believable(s, a); ok != row.ok {
				t.Errorf("when %s: believed %v", row.when, ok)
			}
		})
	}
}

// TestAnswerIsToTheQuestion: an answer to an earlier question, or of another host, is none.
func TestAnswerIsToTheQuestion(t *testing.T) {
	for _, row := range []struct {
		when   string
		answer func(Ask) Answer
		ok     bool
	}{
		{"it is", func(q Ask) Answer { return Answer{Nonce: q.Nonce, Name: "kt02"} }, true},
		{"it is to another question", func(q Ask) Answer { return Answer{Nonce: append(bytes.Clone(q.Nonce[1:]), 0), Name: "kt02"} }, false},
		{"it has no nonce", func(Ask) Answer { return Answer{Name: "kt02"} }, false},
		{"it is of another host", func(q Ask) Answer { return Answer{Nonce: q.Nonce, Name: "kt03"} }, false},
	} {
		m := newLone(t, func(c *Config) { c.Caller = peerOf{answer: func(q Ask) (Answer, error) { return row.answer(q), nil }} })
		to := Peer{Name: "kt02", Incarnation: "copy"}
		if err := m.state.Update(func(s *State) error { s.Peer = &to; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := m.ask(t.Context(), to, Ask{}, time.Second); (err == nil) != row.ok {
			t.Errorf("%s: error %v", row.when, err)
		}
		if heard := m.facts.replyAt != 0; heard != row.ok {
			t.Errorf("%s: taken note of %v", row.when, heard)
		}
	}
}

// TestProvesRows: rows are proven when the peer opens them to what this host opens them to, in their own world, at a position
// that covers them.
func TestProvesRows(t *testing.T) {
	server := newServer(t, nil)
	for _, row := range []struct {
		when   string
		peer   opener
		change func(*Answer, *World)
		ok     bool
		says   string
	}{
		{"in order", opener{"kek"}, func(*Answer, *World) {}, true, ""},
		{"the peer opens them to something else", opener{"another kek"}, func(*Answer, *World) {}, false, "differ"},
		{"the peer proves fewer", opener{"kek"}, func(a *Answer, _ *World) { a.Rows = a.Rows[1:] }, false, "differ"},
		{"the peer proves none", opener{"kek"}, func(a *Answer, _ *World) { a.Rows, a.RowsError = nil, "no such row" }, false, "no such row"},
		{"the peer has not replayed them", opener{"kek"}, func(a *Answer, _ *World) { a.Server.Replayed = 799 }, false, "not of the world"},
		{"the peer has not flushed them", opener{"kek"}, func(a *Answer, _ *World) { a.Server.Flushed = 799 }, false, "not of the world"},
		{"they were written for another copy", opener{"kek"}, func(_ *Answer, w *World) { w.Incarnation = "first" }, false, "not of the world"},
		{"the peer is another copy", opener{"kek"}, func(a *Answer, _ *World) { a.Incarnation = "first" }, false, "not of the world"},
	} {
		t.Run(row.when, func(t *testing.T) {
			var answer Answer
			var world World
			m := newLone(t, func(c *Config) {
				c.Server = server
				c.Caller = peerOf{answer: func(q Ask) (Answer, error) {
					a := answer
					a.Nonce = q.Nonce
					a.Rows, _ = row.peer.Prove(t.Context(), q.Rows, bind(q.Nonce, q.Epoch, "kt02", q.At))
					row.change(&a, &World{})
					return a, nil
				}}
			})
			answer = compared(t, m)
			s := m.state.Current()
			world = World{s.SystemID, 1, s.Epoch, "copy"}
			row.change(&Answer{Rows: make([][]byte, 1)}, &world)
			ws := []*waiter{{at: 700, rows: [][16]byte{{1}}}, {at: 800, rows: [][16]byte{{2}, {3}}}}
			ok, err := m.proveBatch(t.Context(), *s.Peer, world, ws)
			if ok != row.ok || ok != (err == nil) || err != nil && !strings.Contains(err.Error(), row.says) {
				t.Errorf("when %s: proven %v, %v", row.when, ok, err)
			}
		})
	}
}

// TestProvesRoots: the roots are proven when both hosts answer alike.
func TestProvesRoots(t *testing.T) {
	for _, row := range []struct {
		when    string
		answer  func(q Ask) Answer
		proven  bool
		trouble bool
	}{
		{"both open the same", func(q Ask) Answer { return rootAnswer(t, "kek", q, "kt02") }, true, false},
		{"the peer opens another", func(q Ask) Answer { return rootAnswer(t, "another kek", q, "kt02") }, false, true},
		{"the peer hands back this host's own proof", func(q Ask) Answer { return rootAnswer(t, "kek", q, "kt01") }, false, true},
		{"the peer answers nothing", func(q Ask) Answer { return Answer{Nonce: q.Nonce, Name: "kt02"} }, false, true},
		{"the peer can not", func(q Ask) Answer { return Answer{Nonce: q.Nonce, Name: "kt02", RootError: "no such file"} }, false, true},
		{"the peer is silent", func(Ask) Answer { return Answer{} }, false, false},
	} {
		m := newLone(t, func(c *Config) { c.Caller = peerOf{answer: func(q Ask) (Answer, error) { return row.answer(q), nil }} })
		proven, trouble := m.proveRoot(t.Context(), Peer{Name: "kt02"})
		if proven != row.proven || (trouble != "") != row.trouble {
			t.Errorf("%s: proven %v, trouble %q", row.when, proven, trouble)
		}
	}
}

func rootAnswer(t *testing.T, has string, q Ask, prover string) Answer {
	root, err := opener{has}.ProveRoot(t.Context(), bind(q.Nonce, q.Epoch, prover, 0))
	if err != nil {
		t.Fatal(err)
	}
	return Answer{Nonce: q.Nonce, Name: "kt02", Root: root}
}

// TestProofIsBound: a proof is good for one question, one epoch, one host and one position.
func TestProofIsBound(t *testing.T) {
	one := bind([]byte("nonce"), Epoch{3, "a"}, "kt02", 800)
	for what, other := range map[string][]byte{
		"question": bind([]byte("nonces"), Epoch{3, "a"}, "kt02", 800), "number of the epoch": bind([]byte("nonce"), Epoch{4, "a"}, "kt02", 800),
		"id of the epoch": bind([]byte("nonce"), Epoch{3, "b"}, "kt02", 800), "host": bind([]byte("nonce"), Epoch{3, "a"}, "kt01", 800),
		"position": bind([]byte("nonce"), Epoch{3, "a"}, "kt02", 801),
	} {
		if bytes.Equal(one, other) {
			t.Errorf("a proof is good for another %s", what)
		}
	}
	if !bytes.Equal(one, bind([]byte("nonce"), Epoch{3, "a"}, "kt02", 800)) {
		t.Error("the two hosts bind a proof to different things")
	}
}
