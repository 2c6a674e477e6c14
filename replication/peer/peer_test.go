package peer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/replication"
	"keytrustee/replication/peer"
)

func TestCalls(t *testing.T) {
	// A proxy that the environment names would break every call.
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	c := newCluster(t)
	s := c.server()
	var handed []peer.HandReport
	s.Hand = func(_ context.Context, r peer.HandReport) error { handed = append(handed, r); return nil }
	to := c.listen(s)
	client := c.client("kt01")

	a, err := client.Ask(t.Context(), to, replication.Ask{Nonce: []byte{9}, From: "kt01", Rows: [][16]byte{{7}}, At: 77})
	if err != nil || a.Nonce[0] != 9 || a.Name != "kt02" || a.Rows[0][1] != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := client.Ask(t.Context(), to, replication.Ask{From: "kt03"}); err == nil || !strings.Contains(err.Error(), "kt01 asks in the name of kt03") {
		t.Errorf("in another's name: %v", err)
	}
	if _, err := client.Boundary(t.Context(), to); err == nil || !strings.Contains(err.Error(), "the database does not run") {
		t.Errorf("a failure lost its text: %v", err)
	}
	if err := client.Follow(t.Context(), to, replication.Follow{Active: "start"}); err != nil {
		t.Error(err)
	}
	if r, err := client.Report(t.Context(), to); err != nil || r.Self != "kt02" || r.Sentence != "in order" {
		t.Errorf("%+v, %v", r, err)
	}
	hold := replication.Command{Act: replication.ActHold, Note: "maintenance", Relay: "kt01"}
	if o, err := client.Operate(t.Context(), to, hold); err != nil || o.Host != "kt02" || o.Sentence != "maintenance" {
		t.Errorf("%+v, %v", o, err)
	}
	_, err = client.Operate(t.Context(), to, replication.Command{Act: replication.ActRemove, Relay: "kt01"})
	if refused, ok := errors.AsType[*replication.RefusedError](err); !ok || refused.Sentence != "not that" {
		t.Errorf("a refusal came as %v", err)
	}
	if _, err := client.Operate(t.Context(), to, replication.Command{Act: replication.ActHold, Relay: "kt03"}); err == nil || !strings.Contains(err.Error(), "in the name of") {
		t.Errorf("relayed in another's name: %v", err)
	}
	if a, err := client.Takeover(t.Context(), to, replication.Takeover{ID: "a1"}); err != nil || a.Step != "a1" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := client.Hand(t.Context(), to, peer.HandReport{Number: 5, Told: true}); err != nil || len(handed) != 1 || handed[0].Number != 5 || !handed[0].Told {
		t.Errorf("%v %v", handed, err)
	}
}

// TestOnlyThePeer: another node of the cluster is turned away and learns the epoch, a stranger learns nothing, and without
// a certificate the door to join is open and no other.
func TestOnlyThePeer(t *testing.T) {
	c := newCluster(t)
	s := c.server()
	s.Join = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "welcome") })
	s.Forward = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Errorf("forwarded %s", r.URL) })
	to := c.listen(s)

	_, err := c.client("kt03").Ask(t.Context(), to, replication.Ask{From: "kt03"})
	away, ok := errors.AsType[*replication.TurnedAwayError](err)
	if !ok || away.Epoch.Number != 4 {
		t.Errorf("another node: %v", err)
	}
	stranger := newCluster(t).client("kt01")
	if _, err := stranger.Ask(t.Context(), to, replication.Ask{From: "kt01"}); err == nil {
		t.Error("a node of another cluster was answered")
	}
	if wrong := to; true {
		wrong.Name = "kt09"
		if _, err := c.client("kt01").Ask(t.Context(), wrong, replication.Ask{From: "kt01"}); err == nil || !strings.Contains(err.Error(), "kt02") {
			t.Errorf("asked kt09, answered by kt02: %v", err)
		}
	}

	bare := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	base := "https://" + net.JoinHostPort(to.Address, strconv.Itoa(to.ClusterPort))
	for path, want := range map[string]int{
		"/cluster/v1/join/request":          http.StatusOK,
		"/cluster/v1/heartbeat":             http.StatusForbidden,
		"/cluster/v1/forward/kms/v1/keys":   http.StatusForbidden,
		"/cluster/v1/join/../heartbeat":     http.StatusOK, // the join handler's, not heartbeat's
		"/cluster/v1//heartbeat":            http.StatusForbidden,
		"/kms/v1/keys":                      http.StatusNotFound,
		"/cluster/v1/forward/../join/x":     http.StatusForbidden,
		"/cluster/v1/join%2F..%2Fheartbeat": http.StatusOK,
	} {
		request, err := http.NewRequest(http.MethodPost, base+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := bare.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || strings.Contains(string(body), "epoch") {
			t.Errorf("%s: %d %s, want %d", path, response.StatusCode, body, want)
		}
	}
}

// TestForward: the request arrives with the path, the query and the body it had, and only what can not have arrived is
// called not sent.
func TestForward(t *testing.T) {
	c := newCluster(t)
	s := c.server()
	s.Forward = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/die" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		if parsed := r.URL.RequestURI(); parsed != r.RequestURI {
			t.Errorf("the request line says %s, its URL %s", r.RequestURI, parsed)
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
	})
	to := c.listen(s)
	forwarder := c.client("kt01").Forwarder(func() (replication.Peer, bool) { return to, true })
	send := func(ctx context.Context, path string) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://active"+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := forwarder.RoundTrip(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return strconv.Itoa(response.StatusCode) + " " + string(body), err
	}
	for _, path := range []string{"/kms/v1/keys?user.name=a%20b&x", "/kms/v1/key/a%2Fb%2F..%2Fc/_metadata", "/kms/v1/key//x/../%25", "/"} {
		got, err := send(t.Context(), path)
		if want := "201 POST " + path + " body"; err != nil || got != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	notSent := func(err error) bool {
		var n interface{ NotSent() bool }
		return errors.As(err, &n) && n.NotSent()
	}
	if _, err := send(t.Context(), "/die"); err == nil || notSent(err) {
		t.Errorf("the active died with the request in its hands: %v", err)
	}
	good := to

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to.ClusterPort = closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	if _, err := send(t.Context(), "/x"); !notSent(err) {
		t.Errorf("refused connection: %v", err)
	}

	// A frozen daemon: its kernel takes the connection, nobody shakes hands.
	frozen := httptest.NewUnstartedServer(nil)
	defer frozen.Close()
	to.ClusterPort = frozen.Listener.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := send(ctx, "/x"); !notSent(err) || time.Since(began) > time.Second {
		t.Errorf("frozen, after %s: %v", time.Since(began), err)
	}

	to = good
	to.Name = "kt09"
	if _, err := send(t.Context(), "/x"); !notSent(err) {
		t.Errorf("another node: %v", err)
	}
}

// TestFrozenPeer: calls that are stuck end with their own deadlines and hold up no other.
func TestFrozenPeer(t *testing.T) {
	c := newCluster(t)
	s := c.server()
	thaw := make(chan struct{})
	s.Node.(*node).answer = func(_ context.Context, q replication.Ask) replication.Answer {
		if len(q.Rows) > 0 {
			<-thaw
		}
		return replication.Answer{Nonce: q.Nonce, Name: "kt02"}
	}
	defer close(thaw)
	to := c.listen(s)
	client := c.client("kt01")
	ended := make(chan error, 8)
	for range cap(ended) {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := client.Ask(ctx, to, replication.Ask{From: "kt01", Rows: [][16]byte{{}}})
			ended <- err
		}()
	}
	began := time.Now()
	for range 5 {
		if _, err := client.Ask(t.Context(), to, replication.Ask{From: "kt01"}); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("five heartbeats beside stuck calls took %s", took)
	}
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stuck call: %v", err)
		}
	}
}
