package rest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/auth"
	"keytrustee/kms/kmstest"
	"keytrustee/kms/rest"
)

// TestForward: every write through the passive is the active's, and the passive serves the reads.
func TestForward(t *testing.T) {
	p := newPair(t)
	const name = "sl/ash ü%2F;+"
	const path = "/kms/v1/key/sl%2Fash%20%C3%BC%252F%3B+"
	made := ask(t, p.passive, "POST", "/kms/v1/keys", `{"name":"`+name+`","length":256}`, "X-Keytrustee-Request-Id: r1")
	wantStatus(t, "create", made, 201)
	if got := made.header.Get("Location"); got != "/kms/v1/key/sl%2Fash%20%C3%BC%252F%3B+" {
		t.Errorf("Location is %q", got)
	}
	if got := made.header.Get("X-Keytrustee-Request-Id"); got != "r1" {
		t.Errorf("request's id is %q", got)
	}
	wantStatus(t, "roll", ask(t, p.passive, "POST", path, `{}`), 200)
	versions := ask(t, p.passive, "GET", path+"/_versions", "")
	if strings.Count(versions.body, "versionName") != 2 || !strings.Contains(versions.body, `"name":"`+name+`"`) {
		t.Errorf("versions at the passive: %s", versions.body)
	}
	wantStatus(t, "delete", ask(t, p.passive, "DELETE", path, ""), 200)
	wantStatus(t, "undelete", ask(t, p.passive, "POST", "/kms/v1/trustee/key/"+strings.TrimPrefix(path, "/kms/v1/key/")+"?trusteeOp=undelete", "", "X-Keytrustee-Request-Id: r2"), 200)
	wantStatus(t, "delete", ask(t, p.passive, "DELETE", path, ""), 200)
	wantStatus(t, "purge, in a form", ask(t, p.passive, "POST", "/kms/v1/trustee/key/"+strings.TrimPrefix(path, "/kms/v1/key/"), "trusteeOp=purge",
		"Content-Type: application/x-www-form-urlencoded", "X-Keytrustee-Request-Id: r3"), 200)
	wantStatus(t, "create anew", create(t, p.passive, name), 201)

	for _, e := range p.Recorder.Events() {
		if e.Principal.Full != "alice" || e.Principal.Addr != "127.0.0.1" {
			t.Errorf("the active recorded %+v as %+v, not the client", e.Op, e.Principal)
		}
	}
	for _, r := range p.reported(t, 4) { // what has a request's id is in nobody's hand
		if !r.told {
			t.Errorf("a result that a client read was reported as returned")
		}
	}
}

// TestRefusalsRelayed: the client of the passive reads the active's refusal, class and all.
func TestRefusalsRelayed(t *testing.T) {
	p := newPair(t)
	wantStatus(t, "create", create(t, p.active, "taken"), 201)
	p.Policy.Deny("mallory", string(kms.OpCreate))
	for _, c := range []struct {
		name    string
		prepare func()
		headers []string
		key     string
		body    string
	}{
		{name: "gate, the other the same", prepare: func() { p.Gate.Close("disk_low", kms.ElsewhereSame) }, key: "k"},
		{name: "gate, the other may", prepare: func() { p.Gate.Close("fenced", kms.ElsewherePeer) }, key: "k"},
		{name: "taken", prepare: p.Gate.Open, key: "taken"},
		{name: "denied", prepare: p.Gate.Open, headers: []string{"User: mallory"}, key: "k"},
		{name: "bad name", prepare: p.Gate.Open, key: ".."},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.prepare()
			headers := append(c.headers, "X-Keytrustee-Request-Id: "+strings.ReplaceAll(c.name, " ", ""))
			here := create(t, p.active, c.key, headers...)
			there := create(t, p.passive, c.key, headers...)
			if here.status < 400 || here.status != there.status || here.body != there.body || here.header.Get("Retry-After") != there.header.Get("Retry-After") {
				t.Errorf("the active answers\n%d %s\nthrough the passive\n%d %s", here.status, here.body, there.status, there.body)
			}
		})
	}
}

// TestSenderAnswers: a passive that forwards a write answers, whatever the active's gate has noticed. Its client's call is not ended, and
// it succeeds if the gate notices soon.
func TestSenderAnswers(t *testing.T) {
	p := newPair(t)
	p.Gate.Close("passive_unreachable", kms.ElsewhereNone)
	here, there := create(t, p.active, "k"), create(t, p.passive, "k")
	wantStatus(t, "the active", here, 503)
	wantStatus(t, "through the passive", there, 503)
	if here.class(t) != "java.lang.IllegalStateException" || there.class(t) != "java.io.IOException" || here.message(t) != there.message(t) {
		t.Errorf("the active answers\n%s\nthrough the passive\n%s", here.body, there.body)
	}

	time.AfterFunc(100*time.Millisecond, p.Gate.Open)
	wantStatus(t, "a gate that opens", create(t, p.passive, "k"), 201)
	if lines := p.Recorder.Events(); len(lines) != 6 {
		t.Errorf("the audit has %d events of three writes, want an attempt and an outcome each: %v", len(lines), lines)
	}
}

func TestNoForwarding(t *testing.T) {
	p := newPair(t)
	for _, header := range []string{"X-Keytrustee-No-Request-Forwarding: 1", "X-Vault-No-Request-Forwarding: no"} {
		a := ask(t, p.passive, "POST", "/kms/v1/key/sl%2Fash;x?trusteeOp=a%20b", `{}`, header)
		wantStatus(t, header, a, 307)
		want := p.active.URL + "/kms/v1/key/sl%2Fash;x?trusteeOp=a+b&user.name=alice"
		if got := a.header.Get("Location"); got != want {
			t.Errorf("Location is %q, want %q", got, want)
		}
	}
	wantStatus(t, "an empty header", create(t, p.passive, "k", "X-Vault-No-Request-Forwarding: "), 201)
}

// TestActiveGone: what the passive says without an active.
func TestActiveGone(t *testing.T) {
	p := newPair(t)
	wantStatus(t, "create", create(t, p.passive, "mine"), 201)
	wantStatus(t, "create by bob", create(t, p.passive, "his", "User: bob"), 201)
	gone := &kms.ReadOnlyError{Reason: "active_unreachable", Host: "kt01", Remedy: kms.ElsewhereNone, Since: time.Now(),
		Sentence: "kt01, the active host, is gone since 5 s"}
	p.setRoute(func(r *rest.Route) { r.Transport, r.Refusal = nil, gone })

	for _, c := range []struct {
		name, method, path, body string
		done                     bool
	}{
		{"create of one's own", "POST", "/kms/v1/keys", `{"name":"mine"}`, true},
		{"create of another's", "POST", "/kms/v1/keys", `{"name":"his"}`, false},
		{"create of something new", "POST", "/kms/v1/keys", `{"name":"new"}`, false},
		{"create of nonsense", "POST", "/kms/v1/keys", `{`, false},
		{"roll that was not done", "POST", "/kms/v1/key/mine", `{}`, false},
		{"delete that was not done", "DELETE", "/kms/v1/key/mine", "", false},
		{"purge", "POST", "/kms/v1/trustee/key/mine?trusteeOp=purge", "", false},
	} {
		a := ask(t, p.passive, c.method, c.path, c.body)
		wantStatus(t, c.name, a, 503)
		if got := a.class(t); got != "java.lang.IllegalStateException" {
			t.Errorf("%s: class is %s", c.name, got)
		}
		if got := a.reason(t); got != "active_unreachable" {
			t.Errorf("%s: reason is %s", c.name, got)
		}
		message := a.message(t)
		if !strings.HasPrefix(message, gone.Sentence) || strings.HasSuffix(message, "by you: your request was done") != c.done {
			t.Errorf("%s: message is %q", c.name, message)
		}
	}
	wantStatus(t, "read", ask(t, p.passive, "GET", "/kms/v1/key/mine/_currentversion", ""), 200)
	reads := p.Store.Reads()
	wantStatus(t, "invalidate", ask(t, p.passive, "POST", "/kms/v1/key/mine/_invalidatecache", ""), 200)
	if p.Store.Reads() != reads {
		t.Error("_invalidatecache asked the database")
	}
}

// unsent is the error of a transport that sent nothing.
type unsent struct{}

func (unsent) Error() string { return "connection refused" }

func (unsent) NotSent() bool { return true }

func TestForwardUnsent(t *testing.T) {
	p := newPair(t)
	p.onTrip(func(*http.Request) (*http.Response, error) { return nil, unsent{} })
	a := create(t, p.passive, "k")
	wantStatus(t, "the active was heard", a, 503)
	if got := a.class(t); got != "org.apache.hadoop.ipc.StandbyException" {
		t.Errorf("class is %s", got)
	}
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{Status: "403 Forbidden", StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"error":"kt02 is not the peer"}`))}, nil
	})
	a = create(t, p.passive, "k")
	if a.status != 503 || a.class(t) != "org.apache.hadoop.ipc.StandbyException" {
		t.Errorf("the active's host does not take it: %d %s", a.status, a.body)
	}
	p.onTrip(func(*http.Request) (*http.Response, error) {
		p.setRoute(func(r *rest.Route) {
			r.Transport, r.Refusal = nil, &kms.ReadOnlyError{Reason: "active_unreachable", Sentence: "kt01 is gone", Remedy: kms.ElsewhereNone}
		})
		return nil, unsent{}
	})
	a = create(t, p.passive, "k")
	wantStatus(t, "the active is gone by now", a, 503)
	if got := a.class(t); got != "java.lang.IllegalStateException" {
		t.Errorf("class is %s", got)
	}
}

// TestClusterListener: what the active's cluster listener does not do.
func TestClusterListener(t *testing.T) {
	here := true
	p := newPair(t, func(active, _ *rest.Config) {
		active.Cluster = clusterFunc(func() rest.Route { return rest.Route{Here: here} })
		active.Assert, active.Hand = auth.Assert, func(context.Context, uint64, bool) error { return nil }
	})
	send := func(method, path string, change func(http.Header)) answer {
		r, err := http.NewRequest(method, p.cluster.URL+path, strings.NewReader(`{"name":"k"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Keytrustee-Delivery-Id", kms.NewID().String())
		auth.Assert(r.Header, kmstest.User("alice"))
		change(r.Header)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return answer{response.StatusCode, response.Header, string(body)}
	}
	nothing := func(http.Header) {}
	wantStatus(t, "a read", send("GET", "/kms/v1/keys/names", nothing), 404)
	wantStatus(t, "nobody", send("POST", "/kms/v1/keys", func(h http.Header) { h.Del(auth.PrincipalHeader) }), 403)
	wantStatus(t, "a cookie", send("POST", "/kms/v1/keys?user.name=alice", func(h http.Header) { h.Del(auth.PrincipalHeader) }), 403)
	wantStatus(t, "no delivery", send("POST", "/kms/v1/keys", func(h http.Header) { h.Del("X-Keytrustee-Delivery-Id") }), 400)
	here = false
	a := send("POST", "/kms/v1/keys", nothing)
	wantStatus(t, "not the active", a, 503)
	if got := a.class(t); got != "org.apache.hadoop.ipc.StandbyException" {
		t.Errorf("class is %s", got)
	}
	here = true
	a = send("POST", "/kms/v1/keys", nothing)
	wantStatus(t, "create", a, 201)
	if a.header.Get("X-Keytrustee-Handover") == "" {
		t.Error("a success was handed over without a number")
	}
	// On the public listener the assertion means nothing.
	r, err := http.NewRequest("GET", p.active.URL+"/kms/v1/keys/names", nil)
	if err != nil {
		t.Fatal(err)
	}
	auth.Assert(r.Header, kmstest.User("alice"))
	response, err := p.active.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 401 {
		t.Errorf("an assertion on the public listener: %d, want 401", response.StatusCode)
	}
}

type clusterFunc func() rest.Route

func (f clusterFunc) Route() rest.Route { return f() }
