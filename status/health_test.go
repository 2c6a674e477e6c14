package status

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthCodes(t *testing.T) {
	active := Health{Initialized: true, Writes: Writes{Open: true}}
	closed := Health{Initialized: true, Writes: Writes{Reason: "passive_unreachable"}}
	passive := Health{Initialized: true, Standby: true}
	sealed := Health{Initialized: true, Sealed: true, Standby: true}
	for _, row := range []struct {
		name   string
		health Health
		query  string
		want   int
	}{
		{"active, gate open", active, "", 200},
		{"active, gate closed: still alive", closed, "", 200},
		{"active, gate closed, asked for writes", closed, "?writable=true", 503},
		{"active, gate open, asked for writes", active, "?writable=true", 200},
		{"passive", passive, "", 429},
		{"passive, standby is fine", passive, "?standbyok=true", 200},
		{"passive, standby is fine, with the active's code", passive, "?standbyok=1&activecode=299", 299},
		{"passive, empty flag is false", passive, "?standbyok", 429},
		{"passive, own code", passive, "?standbycode=473", 473},
		{"sealed comes before standby", sealed, "?standbyok=true", 503},
		{"sealed, own code", sealed, "?sealedcode=599", 599},
		{"not initialised", Health{}, "", 501},
		{"not initialised, own code", Health{}, "?uninitcode=200", 200},
		{"a flag that is none", passive, "?standbyok=yes", 400},
		{"a code that is none", active, "?activecode=abc", 400},
		{"a code that would stop the server", active, "?activecode=5", 400},
		{"a code out of range", active, "?standbycode=600", 400},
	} {
		w := httptest.NewRecorder()
		HealthHandler(func() Health { return row.health }).ServeHTTP(w, httptest.NewRequest("GET", "/v1/sys/health"+row.query, nil))
		if w.Code != row.want {
			t.Errorf("%s: %d, want %d", row.name, w.Code, row.want)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: body is not JSON: %s", row.name, w.Body)
		}
	}
}

func TestHealthMethods(t *testing.T) {
	h := HealthHandler(func() Health { return Health{Initialized: true} })
	head := httptest.NewRecorder()
	h.ServeHTTP(head, httptest.NewRequest(http.MethodHead, "/v1/sys/health", nil))
	if head.Code != 200 || head.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes, want 200 with none", head.Code, head.Body.Len())
	}
	post := httptest.NewRecorder()
	h.ServeHTTP(post, httptest.NewRequest(http.MethodPost, "/v1/sys/health", nil))
	if post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", post.Code, post.Header().Get("Allow"))
	}
}
