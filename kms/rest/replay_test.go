package rest_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/kms/auth"
	"keytrustee/kms/kmstest"
	"keytrustee/kms/rest"
)

// recorded is one request to Hadoop's own server (3.4.2) and what it answered. testdata/transcripts.jsonl holds them in the
// order in which they were sent; placeholders and cut texts are restored by the functions below.
type recorded struct {
	ID      string
	Group   string
	Config  string
	Note    string
	Request struct {
		Method  string
		Target  string
		Headers []string
		Body    *string
	}
	Response struct {
		Status          int
		Headers         json.RawMessage // a list, or the name of one
		Body            string
		RemoteException []*string
		SetCookie       string
	}
}

// transcripts are all recorded requests, and the first line's tables.
type transcripts struct {
	Cookies    map[string]string
	HeaderSets map[string][]string
	rows       []recorded
}

func loadTranscripts(t *testing.T) transcripts {
	t.Helper()
	f, err := os.Open("testdata/transcripts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var all transcripts
	for lines.Scan() {
		if all.Cookies == nil {
			err = json.Unmarshal(lines.Bytes(), &all)
		} else {
			var r recorded
			err = json.Unmarshal(lines.Bytes(), &r)
			all.rows = append(all.rows, r)
		}
		if err != nil {
			t.Fatalf("transcripts.jsonl: %v", err)
		}
	}
	if len(all.rows) < 500 {
		t.Fatalf("%d recorded requests, want 500 or more", len(all.rows))
	}
	return all
}

// difference is a recorded request that we answer otherwise, and why.
type difference struct{ ours, reason string }

// loadDifferences reads testdata/differences.txt: a line that begins with # is the reason of the rows below it, each of
// which is an id, a tab, and our answer.
func loadDifferences(t *testing.T) map[string]difference {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]difference{}
	var reason string
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		id, ours, row := strings.Cut(line, "\t")
		switch {
		case strings.HasPrefix(line, "# "):
			reason = line[2:]
		case line == "":
			reason = ""
		case !row || reason == "":
			t.Fatalf("differences.txt:%d: no id, tab and answer below a reason", n+1)
		default:
			if _, twice := all[id]; twice {
				t.Fatalf("differences.txt:%d: %s stands here twice", n+1, id)
			}
			all[id] = difference{ours, reason}
		}
	}
	return all
}

// TestReplay sends the recorded requests to our server, over TLS, and compares status, type and members of the answers.
// What differs must stand in differences.txt, and what stands there must differ.
func TestReplay(t *testing.T) {
	all := loadTranscripts(t)
	differences := loadDifferences(t)
	var server *httptest.Server
	segment := ""
	for _, r := range all.rows {
		if s := segmentOf(r); s != segment {
			segment = s
			server = newReplayServer(t, s)
		}
		want := signatureOfRecord(all, r)
		got, err := replay(server, all, r)
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			continue
		}
		id := r.ID
		if segment != "keys" {
			id = segment + ":" + id
		}
		d, explained := differences[id]
		delete(differences, id)
		switch {
		case got == want && explained:
			t.Errorf("%s: no difference any more; take it out of differences.txt", id)
		case got != want && !explained:
			t.Errorf("%s %s %.100s\n unexplained difference: the real server answers\n%s\n we answer\n%s\t%s", r.Request.Method, id, r.Request.Target, want, id, got)
		case got != want && got != d.ours:
			t.Errorf("%s: we answer\n %s\n differences.txt says\n %s", id, got, d.ours)
		}
	}
	for id := range differences {
		t.Errorf("differences.txt has %s, which is no recorded request", id)
	}
}

// segmentOf names the server that a request was sent to: each had a fresh key store.
func segmentOf(r recorded) string {
	switch r.Group {
	case "auth", "auth-simple", "auth-cookie", "doas":
		return "auth"
	case "client-simple", "cookie-options", "tls":
		return r.Group
	}
	return "keys"
}

func newReplayServer(t *testing.T, segment string) *httptest.Server {
	t.Helper()
	secret := []byte("wire-secret")
	config := auth.Config{
		Secrets: func() (auth.Secrets, error) { return auth.Secrets{Current: secret}, nil },
		Now:     func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }, // after the cookies that had expired
	}
	if segment == "cookie-options" {
		secret = []byte("random")
		config.Path, config.Domain, config.Persistent = "/kms", "example.com", true
	}
	clients, err := auth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	rig := kmstest.NewService(t)
	return newTLS(t, newServer(t, rest.Config{Service: rig, Clients: clients}).PublicHandler())
}

func newServer(t *testing.T, c rest.Config) *rest.Server {
	t.Helper()
	if c.Host == "" {
		c.Host = "kt01"
	}
	if c.Logger == nil {
		c.Logger = testLogger(t)
	}
	s, err := rest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newTLS serves h as keytrusteed serves its public listener.
func newTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = rest.PublicServer(h)
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func dial(server *httptest.Server) (net.Conn, error) {
	return tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
}

// replay sends a recorded request byte for byte, and returns the signature of our answer.
func replay(server *httptest.Server, all transcripts, r recorded) (string, error) {
	conn, err := dial(server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go conn.Write(requestBytes(all, r)) // the answer may come before the last byte is taken
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: r.Request.Method})
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if response.StatusCode == http.StatusContinue {
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return "", fmt.Errorf("reading the answer's body: %w", err)
		}
		return signatureOfAnswer(response, body, cut.MatchString(r.Response.Body))
	}
}

const aliceAfterLogin = `hadoop.auth="u=alice&p=alice&t=simple-dt&e=<millis>&s=<hmac>"`

// requestBytes restores a request as it was sent.
func requestBytes(all transcripts, r recorded) []byte {
	version := "HTTP/1.1"
	switch {
	case strings.HasPrefix(r.ID, "http10"):
		version = "HTTP/1.0"
	case r.ID == "http2-preface":
		return []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Request.Method, restoreTarget(r.ID, r.Request.Target), version)
	if r.ID != "http10-nohost-noauth" {
		b.WriteString("Host: kms.example.com:9600\r\n")
	}
	var body []byte
	if r.Request.Body != nil {
		body = restoreBody(r.ID, *r.Request.Body)
	}
	sized := false
	for _, h := range r.Request.Headers {
		name, value, _ := strings.Cut(h, ": ")
		if user, ok := strings.CutPrefix(h, "Cookie: @"); ok {
			value = all.Cookies[user]
		}
		value = strings.ReplaceAll(value, aliceAfterLogin, all.Cookies["alice"])
		if r.ID == "c-tampered-sig" || r.ID == "c-other-secret" { // the recording shows the good cookie in their place
			value = strings.Replace(value, "&s=J", "&s=K", 1)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", name, fill(value))
		sized = sized || name == "Content-Length" || name == "Transfer-Encoding"
	}
	if body != nil && !sized {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

var (
	cut         = regexp.MustCompile(`…<cut, (\d+) chars in all>…`)
	placeholder = regexp.MustCompile(`<b64url:(\d+)>`)
)

// fill restores a text that was cut: the character before the cut was repeated.
func fill(s string) string {
	at := cut.FindStringSubmatchIndex(s)
	if at == nil {
		return s
	}
	head, tail := s[:at[0]], s[at[1]:]
	length, _ := strconv.Atoi(s[at[2]:at[3]])
	return head + strings.Repeat(head[len(head)-1:], length-len(head)-len(tail)) + tail
}

func restoreTarget(id, target string) string {
	if id == "bulk-long" {
		names := make([]string, 1000)
		for i := range names {
			names[i] = "key=k" + strconv.Itoa(i)
		}
		return "/kms/v1/keys/metadata?" + strings.Join(names, "&")
	}
	return fill(target)
}

func restoreBody(id, body string) []byte {
	switch id {
	case "body-latin1", "ct-charset-latin1":
		return []byte(strings.ReplaceAll(body, "\ufffd", "\xfc"))
	case "body-deep":
		return []byte(`{"name":"deep","length":128,"z":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + "}")
	case "batch-2000":
		const item = `{"versionName": "k1@0", "iv": "8PHy8_T19vf4-fr7_P3-_w", "encryptedKeyVersion": {"name": null, "versionName": "EEK", "material": "AIjbsZBpfc8sNtb3QIO3RQ"}}`
		return []byte("[" + strings.Repeat(item+", ", 1999) + item + "]")
	}
	body = placeholder.ReplaceAllString(body, "dGhlIG93biBvZiBhIHRlcw")
	return []byte(fill(body))
}
