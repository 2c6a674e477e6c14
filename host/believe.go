package host

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

const (
	nonceLife = time.Minute
	maxNonces = 4096 // anybody may ask for one: a joiner comes back for its own in less time than it takes to ask for so many
)

// serveChallenge gives the caller a nonce, for one proof.
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

// takeNonce reports whether the nonce was given, lately, and was not used.
func (a *Admitter) takeNonce(nonce []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.nonces[string(nonce)]
	delete(a.nonces, string(nonce))
	return ok && !a.now().After(until)
}

// believe decides whether the caller is one who may join.
func (a *Admitter) believe(ctx context.Context, q joinRequest, root seal.Public, state replication.State, by *x509.Certificate) (storedToken, error) {
	if q.Secret != "" {
		token, err := a.tokens.check(q.Secret, root.Fingerprint(), state.Pending != nil, a.now())
		if err == nil && token.Restores != (q.Kind == Restore) {
			err = hinted("make another one with ktadmin join-token", "this join token was made for something else")
		}
		return token, err
	}
	if q.itself() {
		if !isPeer(state, by) {
			return storedToken{}, hinted("give a token of ktadmin join-token --replace with --token-file",
				"the host that asks to be cloned anew is not the passive of %s", state.Self)
		}
		return storedToken{}, nil
	}
	if q.Kind == Restore { // an operator on this host says that the active is gone, and nobody else
		return storedToken{}, hinted("make one with ktadmin join-token on this host", "a restore needs a join token of %s", state.Self)
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

// isPeer reports whether the certificate is that of the peer, or of a host that has been admitted as the next one.
func isPeer(state replication.State, by *x509.Certificate) bool {
	return shows(by, state.Peer) || state.Pending != nil && shows(by, &state.Pending.Peer)
}

// shows reports whether the certificate is p's.
func shows(c *x509.Certificate, p *replication.Peer) bool {
	if c == nil || p == nil {
		return false
	}
	name, ok := certs.NodeName(c)
	return ok && name == p.Name && p.ShownBy(c)
}

// proofChallenge binds a proof to the key that will be certified.
func proofChallenge(nonce, csr []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "keytrustee join\x00%x\x00%x", nonce, csr))
	return sum[:]
}
