package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/replication"
)

// TestCommandsAreAudited: a command is noted before it is carried out and when it has ended; a question is not.
func TestCommandsAreAudited(t *testing.T) {
	var got []string
	var full error
	a := &Admin{Logger: slog.New(slog.DiscardHandler), Note: func(act Act) error {
		got = append(got, fmt.Sprint(act.Stage, " ", act.UID, " ", act.Command, " ", act.Request, act.Error))
		if len(act.ID) < 12 {
			t.Errorf("no id: %+v", act)
		}
		return full
	}}
	served := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/hold", func(w http.ResponseWriter, r *http.Request) {
		served++
		text, err := io.ReadAll(r.Body)
		switch {
		case err != nil || strings.Contains(string(text), "longer"):
			a.refuse(w, &replication.RefusedError{Sentence: "a hold lasts at most a week"})
		case strings.Contains(string(text), "fails"):
			a.refuse(w, errors.New("the disk is gone"))
		default:
			writeJSON(w, http.StatusOK, struct{}{})
		}
	})
	ask := func(method, path, body string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body))
		a.audited(mux).ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, uint32(7))))
		return w.Code
	}
	for _, step := range []struct {
		method, path, body string
		status             int
		want               []string
	}{
		{"POST", "/v1/hold", "{\n  \"note\": \"disks\"\n}", 200, []string{`attempt 7 /v1/hold {"note":"disks"}`, "done 7 /v1/hold "}},
		{"POST", "/v1/hold", `{"note":"longer"}`, 409, []string{`attempt 7 /v1/hold {"note":"longer"}`, "refused 7 /v1/hold a hold lasts at most a week"}},
		{"POST", "/v1/hold", `{"note":"fails"}`, 500, []string{`attempt 7 /v1/hold {"note":"fails"}`, "failed 7 /v1/hold the disk is gone"}},
		{"POST", "/v1/nothing", "", 404, []string{"attempt 7 /v1/nothing ", "refused 7 /v1/nothing status 404"}},
		{"POST", "/v1/hold", strings.Repeat("x", maxCommand+1), 400, nil},
		{"GET", "/v1/hold", "", 200, nil},
	} {
		got = nil
		if status := ask(step.method, step.path, step.body); status != step.status {
			t.Errorf("%s %s %.20s: status %d, want %d", step.method, step.path, step.body, status, step.status)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s %s %.20s:\n%s", step.method, step.path, step.body, diff)
		}
	}
	served, full = 0, errors.New("no space left")
	if status := ask("POST", "/v1/hold", "{}"); status != 409 || served != 0 {
		t.Errorf("a command that can not be noted: status %d, carried out %d times", status, served)
	}
}

// TestCommandsDoNotHang: with an audit log that stands still a command is refused, and not carried out.
func TestCommandsDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		a := &Admin{Logger: slog.New(slog.DiscardHandler), Note: func(Act) error { <-release; return nil }}
		w := httptest.NewRecorder()
		begun := time.Now()
		a.audited(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was carried out") })).
			ServeHTTP(w, httptest.NewRequest("POST", "/v1/cluster/hold", strings.NewReader("{}")))
		if took := time.Since(begun); w.Code != http.StatusConflict || took > 2*noteLimit || !strings.Contains(w.Body.String(), "audit log") {
			t.Errorf("%d after %v: %s", w.Code, took, w.Body)
		}
	})
}
