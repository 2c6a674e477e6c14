package host

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// fixedPair is a pair in one state.
type fixedPair struct {
	Pair
	state   replication.State
	answers bool
}

func (p fixedPair) State() replication.State { return p.state }
func (p fixedPair) RestoreRefusal() string {
	if p.state.Duty == replication.Passive {
		return "the active kt01 answers"
	}
	return "kt01 is the active"
}
func (p fixedPair) Report() replication.Report {
	return replication.Report{PeerAnswers: p.answers, Status: replication.Status{Local: replication.Server{Flushed: 500}}}
}
func (p fixedPair) Abandon(context.Context, string) error { return nil }

// TestNoCloneOfAnOlderCopy: an active whose log ends before what the passive was confirmed to have is an older copy, and does not
// have the passive replace its data, unless the operator has said so.
func TestNoCloneOfAnOlderCopy(t *testing.T) {
	a := NewAdmitter(newHost(t, "kt01", 1), nil, nil, fixedPair{}, slog.New(slog.DiscardHandler))
	for _, tt := range []struct {
		confirmed postgres.LSN
		replaces  bool
		ok        bool
	}{
		{0, false, true}, {500, false, true}, {501, false, false}, {501, true, true},
	} {
		if err := a.hasAll(t.Context(), joinRequest{Kind: Reclone, Confirmed: tt.confirmed}, storedToken{Replaces: tt.replaces}); (err == nil) != tt.ok {
			t.Errorf("confirmed up to %s, replaces %t: %v", tt.confirmed, tt.replaces, err)
		}
	}
	looks := 0
	a = NewAdmitter(newHost(t, "kt01", 2), nil, nil, lookingPair{looks: &looks}, slog.New(slog.DiscardHandler))
	if err := a.hasAll(t.Context(), joinRequest{Kind: Reclone, Confirmed: 501}, storedToken{}); err != nil || looks < 2 {
		t.Errorf("confirmed since the active looked at itself, which it did %d times: %v", looks, err)
	}
}

// lookingPair sees more of its database each time.
type lookingPair struct {
	fixedPair
	looks *int
}

func (p lookingPair) Report() replication.Report {
	r := p.fixedPair.Report()
	r.Local.Flushed += postgres.LSN(*p.looks)
	*p.looks++
	return r
}

// TestRestoreWantsAToken: the proof of the root key lets a passive in, and no active: that it is gone an operator says.
func TestRestoreWantsAToken(t *testing.T) {
	state := replication.State{Self: "kt02", Duty: replication.Passive, Peer: &replication.Peer{Name: "kt01"}}
	a := NewAdmitter(newHost(t, "kt02", 2), nil, nil, fixedPair{state: state}, slog.New(slog.DiscardHandler))
	a.nonces["nonce"] = time.Now().Add(time.Minute)
	_, err := a.believe(t.Context(), joinRequest{Kind: Restore, Nonce: []byte("nonce")}, seal.Public{}, state, nil)
	if err == nil || !strings.Contains(err.Error(), "needs a join token") {
		t.Errorf("without a token: %v", err)
	}
}

// TestAbortNamesItsCopy: who has used a token once gives up the join of its own copy, and not whichever is under way.
func TestAbortNamesItsCopy(t *testing.T) {
	h, now := newHost(t, "kt01", 1), time.Now()
	if err := os.MkdirAll(h.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	a := NewAdmitter(h, nil, nil, fixedPair{}, slog.New(slog.DiscardHandler))
	token := certs.NewToken("kt01:11372", certs.Fingerprint{1}, now.Add(time.Hour))
	if err := errors.Join(a.tokens.store(token, storedToken{}, now), a.tokens.use(tokenID(token.Hash()), "root", now)); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"incarnation":"c0","root":"root","secret":"` + token.Secret() + `"}`: http.StatusOK,
		`{"incarnation":"","root":"root","secret":"` + token.Secret() + `"}`:   http.StatusConflict,
		`{"incarnation":"c0","root":"root","secret":"guessed"}`:                http.StatusConflict,
	} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, abortPath, strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
}

// TestNoTokenWhileAPassiveAnswers holds the refusals of NewToken that come before the database.
func TestNoTokenWhileAPassiveAnswers(t *testing.T) {
	peer := &replication.Peer{Name: "kt02"}
	tests := []struct {
		name    string
		pair    fixedPair
		replace bool
		says    string
	}{
		{"the passive answers", fixedPair{state: replication.State{Self: "kt01", Duty: replication.Active, Peer: peer}, answers: true}, false, "kt01 has a passive, kt02, and it answers"},
		{"on the passive", fixedPair{state: replication.State{Self: "kt02", Duty: replication.Passive}}, false, "the active kt01 answers"},
		{"on the passive, to replace", fixedPair{state: replication.State{Self: "kt02", Duty: replication.Passive}}, true, "the active kt01 answers"},
		{"fenced", fixedPair{state: replication.State{Self: "kt01", Duty: replication.Active, Fenced: &replication.Fence{Detail: "two epochs"}}}, true, "kt01 is fenced: two epochs"},
	}
	for _, tt := range tests {
		a := NewAdmitter(newHost(t, "kt01", 1), nil, nil, tt.pair, slog.New(slog.DiscardHandler))
		token, err := a.newToken(t.Context(), tt.replace, 0)
		if token != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

// TestAdmissionAwaitsTheDatabase asks an active whose database is down: a database that comes up meanwhile is waited for.
func TestAdmissionAwaitsTheDatabase(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	if err := a.server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "the daemon misses its database", func() bool { return !a.monitor.Report().Local.Answers })
	impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := a.admitter.newToken(impatient, false, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a database: %v", err)
	}
	made := make(chan error, 1)
	go func() {
		_, err := a.admitter.newToken(pgtest.Context(t), false, 0)
		made <- err
	}()
	if err := a.server.Start(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Fatalf("with a database that came up: %v", err)
	}
}

// TestTokensAreUsedUp holds what the file of the tokens says across restarts of the daemon: a token is good once, its user may
// come again while its join is under way, and what nobody can use is forgotten in the end.
func TestTokensAreUsedUp(t *testing.T) {
	h, now := newHost(t, "kt01", 1), time.Now()
	if err := os.MkdirAll(h.NodeDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	token := certs.NewToken("kt01:11372", certs.Fingerprint{1}, now.Add(time.Hour))
	if err := tokensOf(h).store(token, storedToken{Replaces: true}, now); err != nil {
		t.Fatal(err)
	}
	stored, err := tokensOf(h).check(token.Secret(), "kt02", false, now)
	if err != nil || !stored.Replaces {
		t.Fatalf("a new token: %+v, %v", stored, err)
	}
	if err := tokensOf(h).use(stored.ID, "kt02", now); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		root    string
		pending bool
		now     time.Time
		says    string
	}{
		{"kt02", true, now, ""},
		{"kt02", false, now, "was used at"},
		{"kt03", true, now, "was used at"},
		{"kt02", true, now.Add(time.Hour), "expired at"},
	} {
		_, err := tokensOf(h).check(token.Secret(), tt.root, tt.pending, tt.now)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	later := now.Add(2 * tokenMemory)
	if err := tokensOf(h).store(certs.NewToken("kt01:11372", certs.Fingerprint{1}, later), storedToken{}, later); err != nil {
		t.Fatal(err)
	}
	if all, err := tokensOf(h).load(); err != nil || len(all) != 1 {
		t.Errorf("%d tokens are kept: %v", len(all), err)
	}
	if text, err := os.ReadFile(tokensOf(h).file); err != nil || strings.Contains(string(text), token.Secret()) {
		t.Errorf("the file holds a secret: %v", err)
	}
}
