package pairtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// Answer is what a host said, or did not.
type Answer struct {
	Err    error // no answer came
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration

	// of a refusal
	Class, Message, Reason string
}

func (a Answer) String() string {
	if a.Err != nil {
		return fmt.Sprintf("no answer after %v: %v", a.Took.Round(time.Millisecond), a.Err)
	}
	if a.Class != "" {
		return fmt.Sprintf("%d %s %q %s, after %v", a.Status, a.Class, a.Reason, a.Message, a.Took.Round(time.Millisecond))
	}
	return fmt.Sprintf("%d after %v", a.Status, a.Took.Round(time.Millisecond))
}

// Do sends a request to this host alone, as hdfs unless query names another user.name, over a connection of its own, and waits up to 30 s.
// body, if not nil, is sent as JSON. It may be called in a cleanup.
func (n *Node) Do(t testing.TB, method, path string, query url.Values, body any) Answer {
	t.Helper()
	transport := n.transport(t)
	defer transport.CloseIdleConnections()
	if query == nil {
		query = url.Values{}
	}
	if !query.Has("user.name") {
		query.Set("user.name", "hdfs")
	}
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, n.URL+path+"?"+query.Encode(), content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if query.Has("trusteeOp") { // which wants an id
		request.Header.Set("X-Keytrustee-Request-Id", NewKey())
	}
	client := http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return Answer{Err: err, Took: time.Since(begun)}
	}
	defer response.Body.Close()
	a := Answer{Status: response.StatusCode, Header: response.Header}
	a.Body, a.Err = io.ReadAll(response.Body)
	a.Took = time.Since(begun)
	a.refusal()
	return a
}

func (a *Answer) refusal() {
	var body struct {
		RemoteException struct{ JavaClassName, Message string }
		Keytrustee      struct{ Reason string }
	}
	if a.Status >= 400 && json.Unmarshal(a.Body, &body) == nil {
		a.Class, a.Message, a.Reason = body.RemoteException.JavaClassName, body.RemoteException.Message, body.Keytrustee.Reason
	}
}

func (n *Node) transport(t testing.TB) *http.Transport {
	t.Helper()
	authority, err := os.ReadFile(n.pair.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal(errors.New("ca_file holds no certificate"))
	}
	return &http.Transport{DialContext: n.pair.Dial, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
}

// Create asks this host for a new key of 128 bits.
func (n *Node) Create(t testing.TB, name string) Answer {
	t.Helper()
	return n.CreateAs(t, "hdfs", name)
}

// CreateAs is Create by another user.
func (n *Node) CreateAs(t testing.TB, user, name string) Answer {
	t.Helper()
	return n.Do(t, http.MethodPost, "/kms/v1/keys", url.Values{"user.name": {user}},
		map[string]any{"name": name, "cipher": "AES/CTR/NoPadding", "length": 128})
}

// Version asks this host for version number of a key. Its material, base64, is the second value; empty if it was not given.
func (n *Node) Version(t testing.TB, name string, number int) (Answer, string) {
	t.Helper()
	a := n.Do(t, http.MethodGet, fmt.Sprintf("/kms/v1/keyversion/%s@%d", url.PathEscape(name), number), nil, nil)
	var version struct{ Material string }
	if a.Status == http.StatusOK {
		json.Unmarshal(a.Body, &version)
	}
	return a, version.Material
}

// Writable reports whether this host, as the active, would attempt a write now.
func (n *Node) Writable(t testing.TB) bool {
	t.Helper()
	return n.Do(t, http.MethodGet, "/v1/sys/health", url.Values{"writable": {"true"}}, nil).Status == http.StatusOK
}
