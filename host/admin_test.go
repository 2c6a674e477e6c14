package host

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"keytrustee/certs"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

func TestAdminSocket(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	client := AdminClient{a.AdminSocket()}
	s, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !s.Daemon || s.Name != "kt01" || s.Report == nil || s.Report.Reason != replication.NoPassive || s.State.Duty != replication.Active {
		t.Errorf("status %+v", s)
	}
	answer, err := client.NewToken(t.Context(), TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := certs.ParseToken(answer.Token)
	if err != nil {
		t.Fatal(err)
	}
	if token.Address != a.ClusterAddress() || !token.Expires.Equal(answer.Expires) {
		t.Errorf("token for %s until %v", token.Address, token.Expires)
	}
	refused := (*HintedError)(nil)
	if err := client.EnableSync(t.Context()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "has no passive") {
		t.Errorf("enabling: %v", err)
	}
	info, err := os.Stat(a.AdminSocket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	down := AdminClient{a.AdminSocket() + ".not"}
	if _, err := down.Status(t.Context()); !errors.Is(err, ErrDaemonDown) || hintOf(err) == "" {
		t.Errorf("without a daemon: %v", err)
	}
	if _, err := listenAdmin(a.AdminSocket()); err == nil || !strings.Contains(err.Error(), "another keytrusteed") {
		t.Errorf("a second daemon: %v", err)
	}
}

// TestAdminSocketTellsUsersApart asks in the name of each user, as the kernel reports it.
func TestAdminSocketTellsUsersApart(t *testing.T) {
	h := newHost(t, "kt01", 1)
	admin := &Admin{Host: h, Pair: noPair{}, Logger: slog.New(slog.DiscardHandler)}
	for uid, want := range map[uint32]int{0: 200, uint32(os.Geteuid()): 200, 12345: 403} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, statusPath, nil)
		admin.handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, uid)))
		if w.Code != want {
			t.Errorf("uid %d: %d, want %d: %s", uid, w.Code, want, w.Body)
		}
	}
	w := httptest.NewRecorder()
	admin.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, statusPath, nil))
	if w.Code != 403 {
		t.Errorf("nobody knows who: %d", w.Code)
	}
}

// TestAnOldCommandIsNotCarriedOut: a command that waited for a daemon that stood still is refused when that goes on.
func TestAnOldCommandIsNotCarriedOut(t *testing.T) {
	pair := new(counting)
	admin := &Admin{Host: newHost(t, "kt01", 1), Pair: pair, Logger: slog.New(slog.DiscardHandler)}
	for _, row := range []struct {
		sent time.Time
		code int
	}{{time.Now().Add(-time.Minute), 409}, {time.Now(), 200}} {
		r := httptest.NewRequest(http.MethodPost, clusterPath+"hold", strings.NewReader(`{"note": "x"}`))
		r.Header.Set(sentHeader, row.sent.UTC().Format(time.RFC3339Nano))
		w := httptest.NewRecorder()
		admin.handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, uint32(0))))
		if w.Code != row.code {
			t.Errorf("sent %v ago: %d, want %d: %s", time.Since(row.sent), w.Code, row.code, w.Body)
		}
	}
	if pair.n != 1 {
		t.Errorf("%d commands were carried out, want 1", pair.n)
	}
}

// counting counts the commands that it was given.
type counting struct {
	Pair
	n int
}

func (c *counting) Operate(context.Context, replication.Command) (replication.Operated, error) {
	c.n++
	return replication.Operated{}, nil
}

type noPair struct{ Pair }

func (noPair) Report() replication.Report { return replication.Report{} }
