package host

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

func TestCheckRequest(t *testing.T) {
	good := joinRequest{Name: "kt02", Address: "kt02.example.com", Hostname: "kt_02", Hosts: []string{"10.0.0.2", "fd00::2"}, Port: 65535,
		Incarnation: "0123456789abcdef"}
	for _, q := range []joinRequest{good, {}, {Hostname: "10.0.0.2"}} {
		if err := q.check(); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for name, spoil := range map[string]func(*joinRequest){
		"a name that no access rule holds": func(q *joinRequest) { q.Name = `kt02"` },
		"a name of two":                    func(q *joinRequest) { q.Name = "kt02/CN=kt01" },
		"a long name":                      func(q *joinRequest) { q.Name = strings.Repeat("k", 33) },
		"an address with a port":           func(q *joinRequest) { q.Address = "kt02:80" },
		"an address of two lines":          func(q *joinRequest) { q.Address = "kt02\nhost all all 0.0.0.0/0 trust" },
		"a host name with a blank":         func(q *joinRequest) { q.Hostname = "kt 02" },
		"a further name with a star":       func(q *joinRequest) { q.Hosts = []string{"*.example.com"} },
		"many further names":               func(q *joinRequest) { q.Hosts = make([]string, maxHosts+1) },
		"a port":                           func(q *joinRequest) { q.DBPort = 65536 },
		"a log that ends before it begins": func(q *joinRequest) { q.Had = &replication.Boundary{From: 8, End: 8} },
		"a copy of a log":                  func(q *joinRequest) { q.Had = &replication.Boundary{End: 8, Incarnation: "x"} },
		"an incarnation":                   func(q *joinRequest) { q.Incarnation = strings.Repeat("0", 1<<20) },
	} {
		q := good
		spoil(&q)
		if err := q.check(); err == nil {
			t.Errorf("%s: %+v is taken", name, q)
		}
	}
	for _, same := range [][2]string{{"KT01.example.com", "kt01.example.com."}, {"::ffff:10.0.0.1", "10.0.0.1"}} {
		if !sameHost(same[0], same[1]) || sameHost(same[0], "kt02") || sameHost(same[0], "10.0.0.2") {
			t.Errorf("%s and %s", same[0], same[1])
		}
	}
}

// TestALogThatWasCutIsNoWitness: what a host can not read to where it was confirmed does not say what it has.
func TestALogThatWasCutIsNoWitness(t *testing.T) {
	for confirmed, want := range map[postgres.LSN]bool{0: true, 8: true, 9: false} {
		q := joinRequest{Confirmed: confirmed, Had: &replication.Boundary{End: 8}}
		if got := q.whole(); (got != nil) != want {
			t.Errorf("confirmed up to %s: %+v", confirmed, got)
		}
	}
}

// TestStrangersDoNotKeepAJoinerOut: whoever asks for challenges takes none away, whoever waits and leaves holds nothing, and
// what a request says of itself reaches neither the log nor the pair's state.
func TestStrangersDoNotKeepAJoinerOut(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	client := newJoinClient(a.ClusterAddress(), certs.FingerprintOf(parse(t, a.AuthorityFile())))
	defer client.close()
	for range 200 {
		if err := client.call(t.Context(), challengePath, struct{}{}, new(challenge)); err != nil {
			t.Fatal(err)
		}
	}
	for range maxNonces + 10 {
		a.admitter.serveChallenge(httptest.NewRecorder(), nil)
	}
	if len(a.admitter.nonces) != maxNonces || len(a.admitter.order) != maxNonces {
		t.Errorf("%d nonces in an order of %d are kept", len(a.admitter.nonces), len(a.admitter.order))
	}

	token := a.token(t)
	err := client.call(t.Context(), admitPath, joinRequest{Secret: token.Secret(), Name: `evil"x`}, new(joinAnswer))
	if err == nil || !strings.Contains(err.Error(), "a name that is none") {
		t.Errorf("a name that no access rule holds: %v", err)
	}
	if a.monitor.State().Pending != nil {
		t.Fatal("it is the pair's state")
	}

	a.admitter.one <- struct{}{} // somebody is being admitted
	gone, leave := context.WithCancelCause(t.Context())
	leave(http.ErrAbortHandler)
	if _, err := a.admitter.admit(gone, joinRequest{}, "127.0.0.1", nil); !errors.Is(err, http.ErrAbortHandler) {
		t.Errorf("one that left: %v", err)
	}
	<-a.admitter.one

	copyConfdir(t, a.Host, h)
	if err := h.Join(pgtest.Context(t), joinOptions(h, a, nil)); err != nil {
		t.Error(err)
	}
}

// TestProofIsBoundToTheKey: the proof of a root key is good for one question and one certificate request: who stands between
// the hosts can not have his own key certified with it.
func TestProofIsBoundToTheKey(t *testing.T) {
	one := proofChallenge([]byte("nonce"), []byte("csr"))
	for what, other := range map[string][]byte{
		"question": proofChallenge([]byte("nonces"), []byte("csr")), "key": proofChallenge([]byte("nonce"), []byte("another csr")),
		"boundary between the two": proofChallenge([]byte("noncecs"), []byte("r")),
	} {
		if bytes.Equal(one, other) {
			t.Errorf("a proof is good for another %s", what)
		}
	}
}
