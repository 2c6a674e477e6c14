package rest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestASlowBodyEndsItsConnection: nobody holds a connection by sending half a body, whether a handler waits for the rest or
// has answered without it.
func TestASlowBodyEndsItsConnection(t *testing.T) {
	const limit = 200 * time.Millisecond
	for name, h := range map[string]http.HandlerFunc{
		"a handler that reads it": func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
		"one that refuses it":     func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(inTime(h, limit))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("the connection is still there: %v", err)
			}
		})
	}
}

// TestAnAnswerMayTakeLongerThanABody: once the body is there, the client does not look gone when its time is over.
func TestAnAnswerMayTakeLongerThanABody(t *testing.T) {
	const limit = 100 * time.Millisecond
	server := httptest.NewServer(inTime(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusGone)
		case <-time.After(5 * limit):
		}
	}), limit))
	defer server.Close()
	for _, body := range []io.Reader{strings.NewReader("whole"), io.MultiReader(strings.NewReader("in "), strings.NewReader("chunks")), http.NoBody} {
		response, err := http.Post(server.URL, "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("answered %s", response.Status)
		}
	}
}

// TestDecodedBodiesStaySmall: what a body holds beside what is asked for is not kept.
func TestDecodedBodiesStaySmall(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"name":"k"`)
	for i := range 10_000 {
		fmt.Fprintf(&body, `,"%x":0`, i)
	}
	o, err := parseObject([]byte(body.String()+"}"), "body")
	if err != nil || len(o) != 1 || string(o["name"]) != `"k"` {
		t.Errorf("%d members, %v", len(o), err)
	}
	var items eekItems
	if err := items.UnmarshalJSON([]byte("[" + strings.Repeat("{},", 10_000) + "{}]")); err != nil || items.fault == nil || len(items.es) != 0 {
		t.Errorf("%d items, %v, %v", len(items.es), items.fault, err)
	}
}
