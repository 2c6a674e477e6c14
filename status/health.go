package status

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Health is what GET /v1/sys/health says of this host. The first members and the status codes are Vault's and OpenBao's,
// so that load balancers need no new recipe; the others say what is ours.
type Health struct {
	Initialized bool   `json:"initialized"`
	Sealed      bool   `json:"sealed"` // this host reads no key at present: it is starting, or fenced
	Standby     bool   `json:"standby"`
	ServerTime  int64  `json:"server_time_utc"` // seconds
	Version     string `json:"version"`
	ClusterName string `json:"cluster_name,omitempty"`
	ClusterID   string `json:"cluster_id,omitempty"`

	Host   string     `json:"host"`
	Active string     `json:"active,omitempty"` // external address of the active, as far as this host knows
	Writes Writes     `json:"writes"`
	Peer   PeerHealth `json:"peer"`
}

// Writes says whether a write that comes now is attempted, and if not, why.
type Writes struct {
	Open     bool      `json:"open"`
	Reason   string    `json:"reason,omitempty"`
	Sentence string    `json:"message,omitempty"`
	Since    time.Time `json:"since"`
}

// PeerHealth says what this host knows of the other.
type PeerHealth struct {
	Name    string     `json:"name,omitempty"`
	Answers bool       `json:"answers"`
	Heard   *time.Time `json:"heard,omitempty"` // nil: never since this daemon started
}

// HealthHandler answers for this host alone and is never forwarded: GET and HEAD, without authentication.
//
// 200 on an active, 429 on a passive (200 with standbyok=true), 503 when sealed, 501 before initialisation; activecode,
// standbycode, sealedcode and uninitcode replace these, within 200-599. writable=true turns the 200 of a host on which a
// write would be refused into 503. A parameter that can not be read is 400.
func HealthHandler(observe func() Health) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeJSON(w, r, http.StatusMethodNotAllowed, healthFault("method", "must be GET or HEAD"))
			return
		}
		h := observe()
		code, fault := healthCode(h, r.URL.Query())
		if fault != nil {
			writeJSON(w, r, http.StatusBadRequest, fault)
			return
		}
		writeJSON(w, r, code, h)
	})
}

type faults struct {
	Errors []string `json:"errors"`
}

func healthFault(field, reason string) *faults {
	return &faults{Errors: []string{field + " " + reason}}
}

func healthCode(h Health, query url.Values) (int, *faults) {
	codes := map[string]int{"activecode": http.StatusOK, "standbycode": http.StatusTooManyRequests,
		"sealedcode": http.StatusServiceUnavailable, "uninitcode": http.StatusNotImplemented}
	for name := range codes {
		if !query.Has(name) {
			continue
		}
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || n < 200 || n > 599 {
			return 0, healthFault(name, "must be a status code from 200 to 599")
		}
		codes[name] = n
	}
	flags := map[string]bool{"standbyok": false, "writable": false}
	for name := range flags {
		if v := query.Get(name); v != "" {
			b, err := strconv.ParseBool(strings.ToLower(v))
			if err != nil {
				return 0, healthFault(name, "must be true or false")
			}
			flags[name] = b
		}
	}
	switch {
	case !h.Initialized:
		return codes["uninitcode"], nil
	case h.Sealed:
		return codes["sealedcode"], nil
	case h.Standby && !flags["standbyok"]:
		return codes["standbycode"], nil
	case flags["writable"] && !h.Writes.Open:
		return http.StatusServiceUnavailable, nil
	}
	return codes["activecode"], nil
}

func writeJSON(w http.ResponseWriter, r *http.Request, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		json.NewEncoder(w).Encode(v)
	}
}
