package host

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// Pair is what admission needs of the pair; a *replication.Monitor is one.
type Pair interface {
	State() replication.State
	Report() replication.Report
	Admit(context.Context, replication.Joiner) (replication.Admission, error)
	EnableSync(context.Context) error
	Operate(context.Context, replication.Command) (replication.Operated, error)
}

// Admitter is the active's half of a join: an http.Handler for /cluster/v1/join/ on the cluster listener, whose callers
// have no certificate yet. It believes a token, or the proof of a root key that opens the cluster's KEKs, and nothing else.
// A passive answers with a refusal.
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
	return a
}

func (a *Admitter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

const (
	nonceLife  = time.Minute
	maxNonces  = 4096 // anybody may ask for one: a joiner comes back for its own in less time than it takes to ask for so many
	admitLimit = time.Minute
)

func (a *Admitter) serveChallenge(w http.ResponseWriter, _ *http.Request) {
	nonce := make([]byte, 32)
	rand.Read(nonce)
	a.mu.Lock()
	a.nonces[string(nonce)] = a.now().Add(nonceLife)
	if a.order = append(a.order, string(nonce)); len(a.order) > maxNonces {
		delete(a.nonces, a.order[0])
		a.order = a.order[1:]
	}
	a.mu.Unlock()
	writeJSON(w, http.StatusOK, challenge{nonce})
}

func (a *Admitter) takeNonce(nonce []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.nonces[string(nonce)]
	delete(a.nonces, string(nonce))
	return ok && !a.now().After(until)
}

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
	answer, err := a.admit(ctx, q, from)
	var hint *HintedError
	var refused *replication.RefusedError
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, answer)
	case errors.As(err, &hint):
		a.log.Warn("a host was not let in", "from", from, "name", q.Name, "why", err.Error())
		writeJSON(w, http.StatusForbidden, refusal{err.Error(), hint.Hint})
	case errors.As(err, &refused):
		a.log.Warn("a host was not let in", "from", from, "name", q.Name, "why", err.Error())
		writeJSON(w, http.StatusConflict, refusal{Error: err.Error()})
	default:
		a.log.Error("admitting a host", "from", from, "error", err)
		writeJSON(w, http.StatusInternalServerError, refusal{Error: "the active could not admit this host; the log of its keytrusteed says why"})
	}
}

// admit lets the caller join. Whatever it is refused for, nothing was changed; the token is used up last.
func (a *Admitter) admit(ctx context.Context, q joinRequest, from string) (*joinAnswer, error) {
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
	if state.Duty != replication.Active {
		return nil, &replication.RefusedError{Sentence: state.Self + " is the passive; join at the active"}
	}
	var root seal.Public
	if err := root.UnmarshalText([]byte(q.Root)); err != nil {
		return nil, hinted("", "the request to join holds no root key: %w", err)
	}
	conn, err := a.host.connect(ctx, a.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	token, err := a.believe(ctx, q, root, state)
	if err != nil {
		return nil, err
	}
	peer, err := a.identify(q, from)
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
	if answer.Admission, err = a.pair.Admit(ctx, replication.Joiner{Peer: peer, Replace: token.Replaces}); err != nil {
		return nil, err
	}
	if err := seal.WriteWraps(a.host.Confdir, answer.Wraps); err != nil {
		return nil, err
	}
	if err := a.host.storeSecrets(ctx, conn); err != nil {
		return nil, err
	}
	if token.ID != "" {
		if err := a.tokens.use(token.ID, root.Fingerprint(), a.now()); err != nil {
			return nil, err
		}
	}
	a.log.Info("a host was let in", "name", peer.Name, "address", peer.Address, "from", from, "token", token.ID)
	return answer, nil
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

// believe decides whether the caller is one who may join.
func (a *Admitter) believe(ctx context.Context, q joinRequest, root seal.Public, state replication.State) (storedToken, error) {
	if q.Secret != "" {
		return a.tokens.check(q.Secret, root.Fingerprint(), state.Pending != nil, a.now())
	}
	if !a.takeNonce(q.Nonce) {
		return storedToken{}, hinted("repeat the command", "the proof of the root key came too late")
	}
	want, err := a.ring.ProveRoot(ctx, proofChallenge(q.Nonce, q.ClusterCSR))
	if err != nil {
		return storedToken{}, err
	}
	if !hmac.Equal(want, q.Proof) {
		return storedToken{}, hinted("copy .keytrustee from the active again (rsync --exclude .ssl), or use a token: ktadmin join-token on the active",
			"the root key of this host does not open what the active's opens")
	}
	return storedToken{}, nil
}

// proofChallenge binds a proof to the key that will be certified.
func proofChallenge(nonce, csr []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "keytrustee join\x00%x\x00%x", nonce, csr))
	return sum[:]
}

// identify settles the joiner's name and address: the joiner's operator has the first word, the active's the second
// (db --bootstrap --slave), then the host itself.
func (a *Admitter) identify(q joinRequest, from string) (replication.Peer, error) {
	h := a.host
	address := cmp.Or(q.Address, h.Peer.Address, q.Hostname, from)
	name := cmp.Or(q.Name, h.Peer.Name, NodeName(address))
	switch {
	case !nodeNames.MatchString(name):
		return replication.Peer{}, hinted("give the joining host a name with --name", "%s is no name for a node", address)
	case name == h.Name:
		return replication.Peer{}, hinted("give the joining host another one with --name", "a node named %s exists: it is the active", name)
	case slices.ContainsFunc(append(q.Hosts, address), func(s string) bool { return sameHost(s, h.ExternalAddress) }):
		return replication.Peer{}, hinted("give the joining host's own with --external-address", "%s is the address of the active", h.ExternalAddress)
	case q.PostgreSQL != a.server.Version.Major:
		return replication.Peer{}, hinted(fmt.Sprintf("install PostgreSQL %d on the joining host", a.server.Version.Major),
			"the active has PostgreSQL %d, the joining host has %d", a.server.Version.Major, q.PostgreSQL)
	}
	p := replication.Peer{Name: name, Address: address, Incarnation: q.Incarnation, Source: h.Peer.Source,
		ClusterPort: cmp.Or(q.ClusterPort, h.ClusterPort), DatabasePort: cmp.Or(q.DBPort, h.DBPort)}
	if p.Source == "" && net.ParseIP(address) == nil {
		p.Source = from // access rules by address need no name service
	}
	p.URL = publicURL(address, cmp.Or(q.Port, h.Port))
	return p, nil
}

// certify signs the joiner's certificates and wraps the KEKs to its root key.
func (a *Admitter) certify(answer *joinAnswer, q joinRequest, root seal.Public) error {
	authority, err := a.host.authority(a.ring)
	if err != nil {
		return err
	}
	hosts := append([]string{answer.Address}, q.Hosts...)
	sign := func(csrPEM []byte, purpose certs.Purpose, name string) ([]byte, error) {
		csr, err := certs.ParseCSR(csrPEM)
		if err != nil {
			return nil, hinted("", "the request to join holds no certificate request: %w", err)
		}
		return authority.Sign(csr, purpose, name, hosts, a.now())
	}
	if answer.ClusterCertificate, err = sign(q.ClusterCSR, certs.Cluster, answer.Name); err != nil {
		return err
	}
	if answer.PublicCertificate, err = sign(q.PublicCSR, certs.Public, answer.Address); err != nil {
		return err
	}
	signer, err := a.host.signer(a.now())
	if err != nil {
		return err
	}
	answer.Wraps, err = a.ring.WrapFor(root, signer)
	return err
}

// self is how the joiner reaches this host.
func (a *Admitter) self(s replication.State) replication.Peer {
	h := a.host
	return replication.Peer{Name: h.Name, Address: h.ExternalAddress, ClusterPort: h.ClusterPort, DatabasePort: h.DBPort,
		URL: h.URL(), Incarnation: s.Incarnation}
}
