package host

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// Pair is what admission needs of the pair; a *replication.Monitor is one.
type Pair interface {
	State() replication.State
	Report() replication.Report
	Admit(context.Context, replication.Joiner) (replication.Admission, error)
	RestoreRefusal() string
	AdmitRestore(context.Context, replication.Joiner) (replication.Admission, error)
	Abandon(ctx context.Context, incarnation string) error
	Boundary(context.Context) (replication.Boundary, error)
	EnableSync(context.Context) error
	Operate(context.Context, replication.Command) (replication.Operated, error)
}

// Admitter is the half of a join that admits: an http.Handler for /cluster/v1/join/ on the cluster listener, whose callers
// have no certificate yet. It believes a token, the proof of a root key that opens the cluster's KEKs, or, of a passive that wants
// to be cloned anew, its certificate, and nothing else. A passive admits one host alone: its active, to be restored.
type Admitter struct {
	host   *Host
	server *postgres.Server
	ring   *seal.Keyring
	pair   Pair
	log    *slog.Logger
	now    func() time.Time
	tokens *joinTokens

	mux    *http.ServeMux
	one    chan struct{} // holds one through an admission: one at a time
	mu     sync.Mutex    // guards what follows, for moments
	nonces map[string]time.Time
	order  []string // of the nonces, the oldest first
}

// NewAdmitter returns the Admitter of a running daemon.
func NewAdmitter(h *Host, server *postgres.Server, ring *seal.Keyring, pair Pair, log *slog.Logger) *Admitter {
	a := &Admitter{host: h, server: server, ring: ring, pair: pair, log: log, now: time.Now, tokens: tokensOf(h), mux: http.NewServeMux(),
		one: make(chan struct{}, 1), nonces: map[string]time.Time{}}
	a.mux.HandleFunc("POST "+challengePath, a.serveChallenge)
	a.mux.HandleFunc("POST "+admitPath, a.serveAdmit)
	a.mux.HandleFunc("POST "+abortPath, a.serveAbort)
	a.mux.HandleFunc("POST "+boundaryPath, a.serveBoundary)
	a.mux.HandleFunc("POST "+segmentPath, a.serveSegment)
	return a
}

func (a *Admitter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// admitLimit is how long an admission may take.
const admitLimit = time.Minute

func (a *Admitter) serveAdmit(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(&q); err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{Error: "the request to join can not be read: " + err.Error()})
		return
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	if err := q.check(); err != nil { // nothing of it is for the log
		writeJSON(w, http.StatusBadRequest, refusal{err.Error(), "install the same release on both hosts"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), admitLimit)
	defer cancel()
	answer, err := a.admit(ctx, q, from, shown(r))
	if err != nil {
		a.refuse(w, err, from, q.Name)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// shown is the certificate of this cluster that the caller has shown; nil if it has none.
func shown(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// refuse tells a caller why not.
func (a *Admitter) refuse(w http.ResponseWriter, err error, from, name string) {
	var hint *HintedError
	var refused *replication.RefusedError
	switch {
	case errors.As(err, &hint):
		a.log.Warn("a host was not let in", "from", from, "name", name, "why", err.Error())
		writeJSON(w, http.StatusForbidden, refusal{err.Error(), hint.Hint})
	case errors.As(err, &refused):
		a.log.Warn("a host was not let in", "from", from, "name", name, "why", err.Error())
		writeJSON(w, http.StatusConflict, refusal{Error: err.Error()})
	default:
		a.log.Error("admitting a host", "from", from, "error", err)
		writeJSON(w, http.StatusInternalServerError, refusal{Error: "the other host could not admit this one; the log of its keytrusteed says why"})
	}
}

// admit lets the caller join. Whatever it is refused for, nothing was changed; the token is used up last.
func (a *Admitter) admit(ctx context.Context, q joinRequest, from string, by *x509.Certificate) (*joinAnswer, error) {
	if err := a.awaitDatabase(ctx); err != nil {
		return nil, err
	}
	select {
	case a.one <- struct{}{}:
		defer func() { <-a.one }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	state := a.pair.State()
	if err := checkKind(state, q.Kind); err != nil {
		return nil, err
	}
	var root seal.Public
	if err := root.UnmarshalText([]byte(q.Root)); err != nil {
		return nil, hinted("", "the request to join holds no root key: %w", err)
	}
	token, err := a.believe(ctx, q, root, state, by)
	if err != nil {
		return nil, err
	}
	if err := a.hasAll(ctx, q, token); err != nil {
		return nil, err
	}
	peer, err := a.identify(q, from, state)
	if err != nil {
		return nil, err
	}
	answer := &joinAnswer{Name: peer.Name, Address: peer.Address, Active: a.self(state)}
	if err := a.certify(answer, q, root); err != nil {
		return nil, err
	}
	if peer.Key, err = keyOf(answer.ClusterCertificate); err != nil {
		return nil, err
	}
	if answer.Active.Key, err = a.host.ownKey(); err != nil {
		return nil, err
	}
	if answer.Files, err = a.host.bundle(); err != nil {
		return nil, err
	}
	if err := a.letIn(ctx, answer, q, replication.Joiner{Peer: peer, Replace: token.Replaces, Itself: q.itself(), Had: q.whole()}); err != nil {
		return nil, err
	}
	if token.ID != "" {
		if err := a.tokens.use(token.ID, root.Fingerprint(), a.now()); err != nil {
			return nil, err
		}
	}
	a.log.Info("a host was let in", "kind", string(q.Kind), "name", peer.Name, "address", peer.Address, "from", from, "token", token.ID)
	return answer, nil
}

// checkKind refuses a join that is for the other host to admit.
func checkKind(state replication.State, kind JoinKind) error {
	switch active := state.Duty == replication.Active; {
	case active && kind == Restore:
		return hinted("to make it the passive of that host: ktadmin init-slave", "%s is the active; a host is restored from a passive", state.Self)
	case !active && kind != Restore:
		return &replication.RefusedError{Sentence: state.Self + " is the passive; join at the active"}
	}
	return nil
}

// letIn has the pair admit the joiner, and keeps its wraps. A passive can keep them in its confdir alone: the host that is
// restored puts them into the database.
func (a *Admitter) letIn(ctx context.Context, answer *joinAnswer, q joinRequest, joiner replication.Joiner) (err error) {
	if q.Kind == Restore {
		if answer.Admission, err = a.pair.AdmitRestore(ctx, joiner); err != nil {
			return err
		}
		return seal.WriteWraps(a.host.Confdir, answer.Wraps)
	}
	conn, err := a.host.connect(ctx, a.server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if answer.Admission, err = a.pair.Admit(ctx, joiner); err != nil {
		return err
	}
	if err := seal.WriteWraps(a.host.Confdir, answer.Wraps); err != nil {
		return err
	}
	return a.host.storeSecrets(ctx, conn)
}

// awaitDatabase gives a database that was started just now time to answer. At a passive, which has none to ask, it does not wait.
func (a *Admitter) awaitDatabase(ctx context.Context) error {
	for deadline := time.Now().Add(patience); !a.pair.Report().Local.Answers && a.pair.State().Duty == replication.Active; {
		if time.Now().After(deadline) {
			return hinted("start keytrustee-db on it, then repeat the command", "the database of %s does not answer", a.host.Name)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(patiencePoll):
		}
	}
	return nil
}

// lookAnew is a time in which the monitor has looked at the database several times.
const lookAnew = time.Second

// hasAll refuses to replace data that was confirmed beyond the end of this host's own, which is an older copy then: what the joiner
// moves aside would be the good one. A token that replaces says that this is meant.
func (a *Admitter) hasAll(ctx context.Context, q joinRequest, token storedToken) error {
	own := a.pair.Report().Local
	behind := func() bool {
		return !token.Replaces && q.Confirmed > own.Flushed && (q.Had == nil || q.Had.SystemID == own.SystemID)
	}
	// A report is what was seen some time ago, and the passive may have been confirmed since: an end that is behind is looked at anew.
	for deadline := time.Now().Add(lookAnew); behind() && time.Now().Before(deadline); own = a.pair.Report().Local {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(patiencePoll):
		}
	}
	if !behind() {
		return nil
	}
	return hinted("restore the active from the passive: docs/runbook/restore-from-passive.md; if what only the passive holds is not wanted, use a token of ktadmin join-token --replace",
		"the log of %s ends at %s, and the passive was confirmed up to %s: it holds what %s does not", a.host.Name, own.Flushed, q.Confirmed, a.host.Name)
}
