package rest_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
	"keytrustee/kms/rest"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// TestBothPassive: each host takes the other for the active. Neither ends the client's call, and its user reads our sentence.
func TestBothPassive(t *testing.T) {
	p := newPair(t, func(active, passive *rest.Config) {
		active.Cluster, active.Assert, active.Hand = clusterFunc(func() rest.Route { return rest.Route{} }), passive.Assert, passive.Hand
	})
	for name, a := range map[string]answer{"forwarded to a passive": create(t, p.passive, "k"), "asked itself": create(t, p.active, "k")} {
		if a.status != 503 || a.class(t) != "org.apache.hadoop.ipc.StandbyException" || !strings.Contains(a.message(t), "kt01") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if len(p.Recorder.Events()) != 0 {
		t.Error("a write was attempted")
	}
}

// TestNoReadEndsTheCall: a host that can not answer a read for certain sends the client to the other one, whatever it asks.
func TestNoReadEndsTheCall(t *testing.T) {
	p := newPair(t)
	wantStatus(t, "create", create(t, p.active, "k"), 201)
	made := ask(t, p.active, "GET", "/kms/v1/key/k/_eek?eek_op=generate", "")
	wantStatus(t, "generate", made, 200)
	eek := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(made.body), "["), "]")
	for _, reason := range []kms.Reason{kms.ReasonStarting, "fenced", "history_differs", kms.ReasonActiveUnreachable} {
		p.Invalidate()
		p.Store.SetNotReady(&kms.ReadOnlyError{Reason: reason, Host: "kt01", Remedy: kms.ElsewherePeer, Sentence: "kt01 can not answer for certain"})
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/kms/v1/keys/names", ""},
			{"GET", "/kms/v1/keys/metadata?key=k", ""},
			{"GET", "/kms/v1/key/k", ""},
			{"GET", "/kms/v1/key/k/_metadata", ""},
			{"GET", "/kms/v1/key/k/_currentversion", ""},
			{"GET", "/kms/v1/key/k/_versions", ""},
			{"GET", "/kms/v1/key/k/_eek?eek_op=generate", ""},
			{"GET", "/kms/v1/keyversion/k@7", ""},
			{"POST", "/kms/v1/key/k/_reencryptbatch", "[" + eek + "]"},
		} {
			a := ask(t, p.active, c.method, c.path, c.body)
			if a.status != 503 || a.class(t) != "org.apache.hadoop.ipc.StandbyException" || a.reason(t) != string(reason) {
				t.Errorf("%s: %s %s: %d %s", reason, c.method, c.path, a.status, a.body)
			}
		}
		p.Store.SetNotReady(nil)
	}
}

// TestRefusedWithinTwoSeconds: an active that takes the connection and says nothing, and then a database of the passive's own that does
// not answer: all the waits of one refusal together are less than what is promised.
func TestRefusedWithinTwoSeconds(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	active := replication.Peer{Name: "kt01", Address: "127.0.0.1", ClusterPort: mute.Addr().(*net.TCPAddr).Port}
	client := peer.NewClient(func(string) *tls.Config { return &tls.Config{ServerName: "kt01"} })
	defer client.Close()
	route := rest.Route{Transport: client.Forwarder(func() (replication.Peer, bool) { return active, true }),
		Refusal: &kms.ReadOnlyError{Reason: kms.ReasonActiveUnreachable, Remedy: kms.ElsewhereNone, Since: time.Now(), Sentence: "kt01 is gone"}}
	stands := &standingStore{asked: make(chan struct{}, 1)}
	p := newPair(t, func(_, passive *rest.Config) {
		passive.Cluster = clusterFunc(func() rest.Route { return route })
		passive.Service = kmstest.NewService(t, func(c *kms.Config) { stands.Store, c.Store = c.Store, stands })
	})
	begun := time.Now()
	a := create(t, p.passive, "k")
	took := time.Since(begun)
	wantStatus(t, "create", a, 503)
	if len(stands.asked) == 0 {
		t.Error("the passive did not ask its own database: this shows the half of it")
	}
	if took < time.Second || took > 2*time.Second {
		t.Errorf("refused after %s", took)
	}
}

// standingStore does not answer.
type standingStore struct {
	kms.Store
	asked chan struct{}
}

func (s *standingStore) Key(ctx context.Context, _ kms.KeyName) (kms.Key, error) {
	select {
	case s.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return kms.Key{}, ctx.Err()
}
