package replication

import (
	"strings"
	"testing"
)

// TestMayLack: what is known of the active's data, and what nobody has compared, keeps the passive from being given up, and the words
// say where the good copy is and what to do.
func TestMayLack(t *testing.T) {
	m := newLone(t, func(*Config) {})
	if why, do := m.mayLack(m.state.Current(), Status{Self: "kt01"}); why != "" || do != "" {
		t.Errorf("without a passive: %s. %s", why, do)
	}
	if err := m.state.Update(func(s *State) error { s.Peer = &Peer{Name: "kt02"}; return nil }); err != nil {
		t.Fatal(err)
	}
	const restore = "ktadmin restore --from-survivor ADDRESS --token-file FILE on kt01"
	for _, row := range []struct {
		standing Standing
		why      string
		do       []string
	}{
		{Standing{}, "kt02 may hold what kt01 lacks", []string{"Start keytrustee-db and keytrusteed on kt02", "ktadmin join-token --replace on kt01"}},
		{Standing{Verdict: VerdictCompared}, "kt02 may hold what kt01 lacks", nil},
		{Standing{Below: "the good one is on {peer}"}, "the good one is on kt02", []string{restore}},
		{Standing{Verdict: Verdict(PassiveAhead), Detail: "it goes on"}, "the good copy is the one on kt02 (it goes on)", []string{restore, "ktadmin join-token --replace on kt01"}},
		{Standing{Verdict: Verdict(HistoryDiffers)}, "the databases of kt01 and kt02 are not one history", []string{restore, "ktadmin join-token --replace on kt01"}},
	} {
		why, do := m.mayLack(m.state.Current(), Status{Self: "kt01", PeerName: "kt02", Standing: row.standing})
		if !strings.Contains(why, row.why) {
			t.Errorf("%+v: %q, want %q", row.standing, why, row.why)
		}
		for _, want := range row.do {
			if !strings.Contains(do, want) {
				t.Errorf("%+v: it says to do %q, want %q", row.standing, do, want)
			}
		}
	}
}

// TestComparedIn: a comparison is of one start.
func TestComparedIn(t *testing.T) {
	for _, row := range []struct {
		compared *Compared
		start    string
		want     bool
	}{
		{nil, "", false}, {nil, "a", false}, {&Compared{}, "", false}, {&Compared{Active: "a"}, "", false},
		{&Compared{Active: "a"}, "a", true}, {&Compared{Active: "a", Passive: "p"}, "b", false},
	} {
		if got := (State{Compared: row.compared}).comparedIn(row.start); got != row.want {
			t.Errorf("%+v in start %q: %t", row.compared, row.start, got)
		}
	}
}
