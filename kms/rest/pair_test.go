package rest_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/auth"
	"keytrustee/kms/kmstest"
	"keytrustee/kms/rest"
)

// pair is an active and a passive host on one Store: two Servers that talk through sockets.
type pair struct {
	*kmstest.Rig // of the active
	active       *httptest.Server
	passive      *httptest.Server
	cluster      *httptest.Server               // the active's cluster listener
	activeReport func(number uint64, told bool) // to the active, past hand
	gone         chan struct{}                  // one for each request whose client was seen gone before it was answered

	mu      sync.Mutex
	route   rest.Route // what the passive knows
	trip    func(*http.Request) (*http.Response, error)
	deliver func(number uint64, told bool)
	reports []report
}

// report is what the passive said of a handover; lost ones are kept here, too.
type report struct {
	number uint64
	told   bool
}

// newPair starts both hosts; change may alter their configurations.
func newPair(t *testing.T, change ...func(active, passive *rest.Config)) *pair {
	t.Helper()
	p := &pair{gone: make(chan struct{}, 100)}
	p.Rig = kmstest.NewService(t, func(c *kms.Config) { c.WriteDeadline = 10 * time.Second })
	clients, err := auth.New(auth.Config{
		Secrets: func() (auth.Secrets, error) { return auth.Secrets{Current: []byte("wire-secret")}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	active := rest.Config{Service: p.Rig, Clients: clients, Peer: auth.Peer{}, Host: "kt01"}
	passive := rest.Config{Service: p.Rig.Restart(t), Clients: clients, Cluster: p, Assert: auth.Assert, Hand: p.hand, Host: "kt02"}
	for _, c := range change {
		c(&active, &passive)
	}
	a := newServer(t, active)
	p.deliver, p.activeReport = a.Report, a.Report
	p.active = newTLS(t, p.watch(a.PublicHandler()))
	p.passive = newTLS(t, p.watch(newServer(t, passive).PublicHandler()))
	p.cluster = httptest.NewServer(a.ClusterHandler())
	t.Cleanup(p.cluster.Close)
	p.trip = p.send
	p.route = rest.Route{ActiveURL: p.active.URL, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		p.mu.Lock()
		trip := p.trip
		p.mu.Unlock()
		return trip(r)
	})}
	return p
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// send is the way to the active's cluster listener when nothing happens on it.
func (p *pair) send(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = "http", p.cluster.Listener.Addr().String()
	return http.DefaultTransport.RoundTrip(r)
}

// onTrip changes what happens between the hosts.
func (p *pair) onTrip(trip func(*http.Request) (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trip = trip
}

// Route is rest.Cluster's, on the passive.
func (p *pair) Route() rest.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.route
}

func (p *pair) setRoute(change func(*rest.Route)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.route)
}

func (p *pair) hand(_ context.Context, number uint64, told bool) error {
	p.mu.Lock()
	deliver := p.deliver
	p.mu.Unlock()
	if deliver != nil {
		deliver(number, told)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, report{number, told})
	return nil
}

// loseReports makes the active hear of nothing more.
func (p *pair) loseReports() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deliver = nil
}

// reported waits until the passive has reported n handovers, and returns them.
func (p *pair) reported(t *testing.T, n int) []report {
	t.Helper()
	var all []report
	until(t, "the passive reports", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		all = p.reports
		return len(all) >= n
	})
	return all
}

// watch tells p.gone of requests whose client was seen to go before the handler ended.
func (p *pair) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if r.Context().Err() != nil {
				p.gone <- struct{}{}
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// hold makes writes wait between COMMIT and the peer's confirmation. held is closed when the first one does; release ends
// it for all.
func (p *pair) hold() (held <-chan struct{}, release func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.Store.OnApply(func(kms.Change) kmstest.Fault {
		once.Do(func() { close(begun) })
		return kmstest.Fault{Hold: end}
	})
	return begun, func() { p.Store.OnApply(nil); close(end) }
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) class(t *testing.T) string {
	t.Helper()
	var e struct {
		RemoteException struct{ JavaClassName string }
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return e.RemoteException.JavaClassName
}

func (a answer) message(t *testing.T) string {
	t.Helper()
	var e struct{ RemoteException struct{ Message string } }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return e.RemoteException.Message
}

func (a answer) reason(t *testing.T) string {
	t.Helper()
	var e struct{ Keytrustee struct{ Reason string } }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return e.Keytrustee.Reason
}

// ask sends one request as alice, or as the user of a header "User: bob", on a connection of its own.
func ask(t *testing.T, server *httptest.Server, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := try(server, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(server *httptest.Server, method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	user := "alice"
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "User" {
			user = value
			continue
		}
		r.Header.Set(name, value)
	}
	query := r.URL.Query()
	query.Set("user.name", user)
	r.URL.RawQuery = query.Encode()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// create is ask for a create of that name.
func create(t *testing.T, server *httptest.Server, name string, headers ...string) answer {
	t.Helper()
	return ask(t, server, "POST", "/kms/v1/keys", `{"name":"`+name+`"}`, headers...)
}

// wantStatus fails if a has another status.
func wantStatus(t *testing.T, what string, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d %s, want %d", what, a.status, a.body, status)
	}
}

// abandon sends a create and says at once that no more will come; read then waits for what the server sends.
func abandon(t *testing.T, server *httptest.Server, name string) (hangUp func(), read func() string) {
	t.Helper()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := `{"name":"` + name + `"}`
	_, err = io.WriteString(conn, "POST /kms/v1/keys?user.name=alice HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "+
		itoa(len(body))+"\r\n\r\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	hangUp = func() { conn.NetConn().(*net.TCPConn).CloseWrite() }
	read = func() string {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		text, _ := io.ReadAll(conn)
		return string(text)
	}
	return hangUp, read
}

// until polls a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s in vain until %s", what)
		}
	}
}

// within waits for a channel.
func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited 10 s in vain until %s", what)
	}
}

// TestIdenticalAtOnce: ten identical creates through both hosts make one success; ten identical rolls make ten versions.
func TestIdenticalAtOnce(t *testing.T) {
	p := newPair(t)
	servers := []func(string, string) (answer, error){
		func(path, body string) (answer, error) { return try(p.active, "POST", path, body) },
		func(path, body string) (answer, error) { return try(p.passive, "POST", path, body) },
	}
	tenTimes := func(path, body string) map[int]int {
		var mu sync.Mutex
		var all sync.WaitGroup
		count := map[int]int{}
		for i := range 10 {
			all.Go(func() {
				a, err := servers[i%2](path, body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				count[a.status]++
			})
		}
		all.Wait()
		return count
	}
	if got := tenTimes("/kms/v1/keys", `{"name":"k"}`); got[201] != 1 || got[409] != 9 {
		t.Errorf("ten creates: %v, want one 201 and nine 409", got)
	}
	if got := tenTimes("/kms/v1/key/k", `{}`); got[200] != 10 {
		t.Errorf("ten rolls: %v, want ten 200", got)
	}
	if versions := ask(t, p.passive, "GET", "/kms/v1/key/k/_versions", ""); strings.Count(versions.body, "versionName") != 11 {
		t.Errorf("versions: %d, want 11", strings.Count(versions.body, "versionName"))
	}
}
