package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
)

// failing is a Service whose creates fail with err.
type failing struct {
	Service
	err error
}

func (f *failing) CreateKey(context.Context, kms.Call, kms.CreateRequest) (kms.KeyVersion, *kms.Hand, error) {
	return kms.KeyVersion{}, nil, f.err
}

func (f *failing) GenerateEEK(context.Context, kms.Principal, kms.KeyName, int) ([]kms.EncryptedKeyVersion, error) {
	return nil, f.err
}

func (f *failing) InvalidateCache(context.Context, kms.Call, kms.KeyName) error { return f.err }

// doorman proves everybody to be alice, or fails with err.
type doorman struct{ err error }

func (d *doorman) Authenticate(http.Header, *http.Request) (kms.Principal, error) {
	return kms.Principal{Short: "alice", Full: "alice", Method: kms.Simple}, d.err
}

type loginError bool

func (e loginError) Error() string    { return "who are you?" }
func (e loginError) LoginAgain() bool { return bool(e) }

const (
	createTarget = "POST /kms/v1/keys"
	createBody   = `{"name":"k"}`
)

// TestRefusals runs every row of the table through the wire.
func TestRefusals(t *testing.T) {
	since := time.Date(2026, 11, 24, 12, 0, 0, 5e6, time.UTC)
	closed := func(reason kms.Reason, remedy kms.Remedy) error {
		return fmt.Errorf("creating key: %w", &kms.ReadOnlyError{Reason: reason, Host: "kt02", Since: since, Remedy: remedy,
			Sentence: "write refused: kt02 is\ngone"})
	}
	deleted := &kms.Key{Metadata: kms.Metadata{Name: "k"}, Last: kms.Change{Kind: kms.Deleted, At: since, By: "bob"}}
	gate := map[string]any{"host": "kt02", "since": "2026-11-24T12:00:00.005Z", "request_id": "r1"}
	with := func(m map[string]any, reason string) map[string]any {
		all := map[string]any{"reason": reason}
		for k, v := range m {
			all[k] = v
		}
		return all
	}
	own := map[string]any{"host": "kt01", "request_id": "r1"}
	cases := []struct {
		name       string
		target     string // "METHOD path"; a create by default
		login, err error
		send       func(*testing.T, string) *http.Response // instead of an ordinary request
		status     int
		class      string
		message    string
		retryAfter string
		keytrustee map[string]any
	}{
		{name: "login again", login: loginError(true), status: 401, message: "who are you?"},
		{name: "login refused", login: loginError(false), status: 403, class: notAuthentic, message: "who are you?"},
		{name: "acts for another", login: &kms.DeniedError{Sentence: "User: a is not allowed to impersonate b"}, status: 403, class: notAuthorized, message: "User: a is not allowed to impersonate b"},
		{name: "secrets not loaded", login: kms.NotReadyError("kt01", kms.ReasonStarting, "no secret yet"), status: 503, class: standby, message: "no secret yet", retryAfter: "1",
			keytrustee: map[string]any{"reason": "starting", "host": "kt01", "request_id": ""}},
		{name: "denied", err: fmt.Errorf("creating: %w", &kms.DeniedError{Sentence: "User:alice not allowed to do 'CREATE_KEY' on 'k'"}), status: 403, class: notAuthorized, message: "User:alice not allowed to do 'CREATE_KEY' on 'k'"},
		{name: "invalid", err: fmt.Errorf("creating: %w", &kms.InvalidError{Field: "length", Reason: "must be 128"}), status: 400, class: illegalArgument, message: "length must be 128"},
		{name: "too large", send: sendTooMuch, status: 413, class: illegalArgument, message: "the body is larger than 4 MiB; send less"},
		{name: "body broken off", send: sendBadChunk, status: 400, class: illegalArgument, message: "the body did not arrive whole"},
		{name: "no path", target: "POST /kms/v1/nothing", status: 404, class: fileNotFound, message: "there is nothing at this path"},
		{name: "no method", target: "PUT /kms/v1/keys", status: 405, class: unsupported, message: "this method means nothing here"},
		{name: "no tokens", target: "GET /kms/v1/?op=getDelegationToken", status: 501, class: unsupported, message: "this server gives no delegation tokens; log in by name"},
		{name: "key not found", target: "GET /kms/v1/key/a%0Ab/_eek?eek_op=generate", err: fmt.Errorf("generating: %w", kms.ErrKeyNotFound), status: 404, class: ioException, message: `Key "a\nb" does not exist`},
		{name: "version not found", err: kms.ErrVersionNotFound, status: 404, class: ioException, message: "key version does not exist"},
		{name: "exists", err: fmt.Errorf("creating: %w", &kms.ExistsError{Name: "k", Key: deleted}), status: 409, class: ioException,
			message: `key "k" already exists: it was deleted at 2026-11-24 12:00:00 UTC by bob and can be undeleted; purge it to use the name again`},
		{name: "unknown", err: fmt.Errorf("creating: %w", kms.ErrOutcomeUnknown), status: 503, class: illegalState, retryAfter: "5", keytrustee: with(own, "outcome_unknown"),
			message: "the outcome is unknown: kt01 did not learn in time whether the change is on both hosts; it may exist, now or later. Repeat the same request to find out"},
		{name: "nobody else", err: closed("passive_unreachable", kms.ElsewhereNone), status: 503, class: illegalState, message: "write refused: kt02 is gone", retryAfter: "5", keytrustee: with(gate, "passive_unreachable")},
		{name: "the other would say the same", err: closed("disk_low", kms.ElsewhereSame), status: 503, class: ioException, message: "write refused: kt02 is gone", retryAfter: "5", keytrustee: with(gate, "disk_low")},
		{name: "the other may", err: closed("fenced", kms.ElsewherePeer), status: 503, class: standby, message: "write refused: kt02 is gone", retryAfter: "1", keytrustee: with(gate, "fenced")},
		{name: "too slow", err: fmt.Errorf("reading: %w", context.DeadlineExceeded), status: 503, class: standby, message: "kt01 had no answer in time; ask again, or the other host", retryAfter: "1", keytrustee: with(own, "busy")},
		{name: "anything else", err: errors.New("dial tcp: secret detail"), status: 500, class: ioException, message: "internal error"},
		{name: "conflict", err: kms.ErrConflict, status: 500, class: ioException, message: "internal error"},
	}
	used := map[int]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var log strings.Builder
			s, err := New(Config{Service: &failing{err: c.err}, Clients: &doorman{c.login}, Host: "kt01", Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(s.PublicHandler())
			defer server.Close()
			send := c.send
			if send == nil {
				send = func(t *testing.T, url string) *http.Response { return sendPlain(t, url, c.target) }
			}
			response := send(t, server.URL)
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			checkRefusal(t, response, body, c.status, c.class, c.message, c.retryAfter, c.keytrustee)
			if internal := c.status == 500; internal != strings.Contains(log.String(), "a request failed") {
				t.Errorf("log is %q", log.String())
			}
		})
		for i, row := range refusals {
			if row.status == c.status && row.class == c.class && (c.err == nil || row.is(c.err)) {
				used[i] = true
			}
		}
	}
	for i, row := range refusals {
		if !used[i] {
			t.Errorf("row %d of the table (%d %s) is run by no case", i, row.status, row.class)
		}
	}
}

func checkRefusal(t *testing.T, response *http.Response, body []byte, status int, class, message, retryAfter string, keytrustee map[string]any) {
	t.Helper()
	if response.StatusCode != status {
		t.Errorf("status is %d, want %d", response.StatusCode, status)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("type is %q", got)
	}
	if got := response.Header.Get("Retry-After"); got != retryAfter {
		t.Errorf("Retry-After is %q, want %q", got, retryAfter)
	}
	remote := map[string]any{"message": message}
	if class != "" {
		remote["javaClassName"] = class
		remote["exception"] = class[strings.LastIndexByte(class, '.')+1:]
	}
	want := map[string]any{"RemoteException": remote}
	if keytrustee != nil {
		want["Keytrustee"] = keytrustee
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("body is\n%s\nwant\n%s", g, w)
	}
}

func sendPlain(t *testing.T, url, target string) *http.Response {
	t.Helper()
	if target == "" {
		target = createTarget
	}
	method, path, _ := strings.Cut(target, " ")
	var body io.Reader
	if method != "GET" {
		body = strings.NewReader(createBody)
	}
	r, err := http.NewRequest(method, url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(requestIDHeader, "r1")
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func sendTooMuch(t *testing.T, url string) *http.Response {
	return sendRaw(t, url, fmt.Sprintf("Content-Length: %d\r\n\r\n", maxBody+1), maxBody+1)
}

func sendBadChunk(t *testing.T, url string) *http.Response {
	return sendRaw(t, url, "Transfer-Encoding: chunked\r\n\r\nno number\r\n", 0)
}

// sendRaw sends a create with the rest of a header, and blanks.
func sendRaw(t *testing.T, url, rest string, blank int64) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		fmt.Fprintf(conn, "POST /kms/v1/keys HTTP/1.1\r\nHost: kt01\r\nContent-Type: application/json\r\n%s", rest)
		io.CopyN(conn, blanks{}, blank)
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// blanks is a reader of blanks without end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestInvalidateCacheAlways: only who may not ask is refused, whatever state the host is in.
func TestInvalidateCacheAlways(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{nil, 200},
		{errors.New("database gone"), 200},
		{&kms.ReadOnlyError{Reason: "fenced", Remedy: kms.ElsewherePeer}, 200},
		{context.DeadlineExceeded, 200},
		{&kms.DeniedError{Sentence: "no"}, 403},
		{&kms.InvalidError{Field: "name", Reason: "is wrong"}, 400},
	} {
		s, err := New(Config{Service: &failing{err: c.err}, Clients: &doorman{}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/kms/v1/key/k/_invalidatecache", nil)
		w := httptest.NewRecorder()
		s.PublicHandler().ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("with %v: %d, want %d", c.err, w.Code, c.status)
		}
	}
}

// TestPanic: a connection that is closed without an answer would be sent again by the client's JDK.
func TestPanic(t *testing.T) {
	var log strings.Builder
	s, err := New(Config{Service: &failing{}, Clients: &doorman{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.PublicHandler())
	defer server.Close()
	response := sendPlain(t, server.URL, "GET /kms/v1/keys/names") // the embedded Service is nil
	body, _ := io.ReadAll(response.Body)
	checkRefusal(t, response, body, 500, ioException, "internal error", "", nil)
	if !strings.Contains(log.String(), "routes.go") && !strings.Contains(log.String(), "keys.go") {
		t.Errorf("the log lacks the stack: %q", log.String())
	}
}
