package peer_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// keyIn is the key that r's certificate is for.
func keyIn(t *testing.T, r *certs.Reloader) string {
	t.Helper()
	c, err := r.ClusterClient(func() string { return "kt02" }).GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := certs.ParseCertificate(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: parsed.Raw})); err != nil || replication.KeyOf(again) != replication.KeyOf(parsed) {
		t.Errorf("the key of a certificate changes with its form: %v", err)
	}
	return replication.KeyOf(parsed)
}

// TestTheKeyIsThePeer: a host that was built anew has its name and another key. What it was before is a stranger, which is
// told the epoch and nothing else; and what answers under the peer's name with another key is not believed.
func TestTheKeyIsThePeer(t *testing.T) {
	c := newCluster(t)
	now, before := c.reloader("kt01"), c.reloader("kt01")
	client := func(r *certs.Reloader) *peer.Client {
		client := peer.NewClient(func(node string) *tls.Config { return r.ClusterClient(func() string { return node }) })
		t.Cleanup(client.Close)
		return client
	}
	s := c.server()
	s.Node.(*node).state.Peer.Key = keyIn(t, now)
	to := c.listen(s)

	if _, err := client(now).Ask(t.Context(), to, replication.Ask{From: "kt01"}); err != nil {
		t.Errorf("the peer itself: %v", err)
	}
	_, err := client(before).Ask(t.Context(), to, replication.Ask{From: "kt01"})
	away, ok := errors.AsType[*replication.TurnedAwayError](err)
	if !ok || away.Epoch.Number != 4 || !strings.Contains(away.Sentence, "another key") {
		t.Errorf("what the peer was before: %v", err)
	}
	to.Key = keyIn(t, before)
	if _, err := client(now).Ask(t.Context(), to, replication.Ask{From: "kt01"}); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("an answer under another key than the peer's: %v", err)
	}
}

// TestNothingIsForwardedToAnotherKey: what a client sends goes to the active that joined, or nowhere.
func TestNothingIsForwardedToAnotherKey(t *testing.T) {
	c := newCluster(t)
	s := c.server()
	arrived := 0
	s.Forward = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived++ })
	to := c.listen(s)
	for key, want := range map[string]int{"": 1, keyIn(t, c.reloader("kt09")): 0} {
		arrived, to.Key = 0, key
		request, err := http.NewRequest(http.MethodPost, "http://active/kms/v1/keys", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.client("kt01").Forwarder(func() (replication.Peer, bool) { return to, true }).RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		if _, notSent := errors.AsType[*peer.NotSentError](err); arrived != want || notSent == (want == 1) {
			t.Errorf("with the key %q: %d requests arrived, %v", key, arrived, err)
		}
	}
}

// TestAnUnverifiedCertificateIsNone: what the listener has not verified against the cluster's authority names nobody, whatever
// it says.
func TestAnUnverifiedCertificateIsNone(t *testing.T) {
	c := newCluster(t)
	shown, err := c.reloader("kt01").ClusterClient(func() string { return "kt02" }).GetClientCertificate(&tls.CertificateRequestInfo{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(shown.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for verified, want := range map[bool]int{true: http.StatusOK, false: http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodPost, "/cluster/v1/heartbeat", strings.NewReader(`{"from":"kt01"}`))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf}}
		}
		w := httptest.NewRecorder()
		c.server().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("verified %t: %d %s, want %d", verified, w.Code, w.Body, want)
		}
	}
}
