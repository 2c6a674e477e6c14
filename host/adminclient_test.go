package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestStatusOfFrozenDaemon: a daemon that takes the connection and says nothing holds nobody up for long.
func TestStatusOfFrozenDaemon(t *testing.T) {
	socket := filepath.Join(pgtest.Dir(t), "admin.sock")
	l, err := net.Listen("unix", socket) // its queue takes connections that nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := time.Now()
	_, err = AdminClient{Socket: socket}.Status(t.Context())
	if !errors.Is(err, ErrDaemonStuck) {
		t.Errorf("error %v, want %v", err, ErrDaemonStuck)
	}
	if took := time.Since(begun); took > statusLimit+2*time.Second {
		t.Errorf("took %v", took)
	}
	l.Close()
	if _, err := (AdminClient{Socket: socket}).Status(t.Context()); !errors.Is(err, ErrDaemonDown) {
		t.Errorf("with nobody there: %v, want %v", err, ErrDaemonDown)
	}
}

// TestSwitchoverIsNotRepeatedBlindly: whoever does not hear what became of a switchover is told not to repeat it before he has looked:
// a second one would take the duties back. Other commands are repeated.
func TestSwitchoverIsNotRepeatedBlindly(t *testing.T) {
	const still = "repeat the command only if that is still kt01"
	socket := filepath.Join(pgtest.Dir(t), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	daemon := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != statusPath { // it dies, told
			panic(http.ErrAbortHandler)
		}
		writeJSON(w, http.StatusOK, Status{State: &replication.State{Self: "kt02", Duty: replication.Passive, Peer: &replication.Peer{Name: "kt01"}}})
	})}
	go daemon.Serve(l)
	defer daemon.Close()
	admin := &Admin{Host: newHost(t, "kt02", 1), Pair: away{}, Logger: slog.New(slog.DiscardHandler)}
	for _, row := range []struct {
		command replication.Command
		twice   bool // may be given twice
	}{
		{replication.Command{Act: replication.ActSwitchover}, false},
		{replication.Command{Act: replication.ActSwitchover, Check: true}, true},
		{replication.Command{Act: replication.ActHold}, true},
	} {
		_, err := AdminClient{Socket: socket}.Operate(t.Context(), row.command)
		unsure, ok := errors.AsType[*UnsureError](err)
		if err == nil || ok == row.twice || ok && !strings.Contains(unsure.Do, still) {
			t.Errorf("%+v, the daemon dies: %v, %+v", row.command, err, unsure)
		}
		text := `{"check": false}`
		if row.command.Check {
			text = `{"check": true}`
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, clusterPath+string(row.command.Act), strings.NewReader(text))
		r.Header.Set(sentHeader, time.Now().UTC().Format(time.RFC3339Nano))
		admin.handler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, uint32(0))))
		if said := w.Body.String(); w.Code != http.StatusBadGateway || strings.Contains(said, "repeating it is safe") != row.twice || strings.Contains(said, still) == row.twice {
			t.Errorf("%+v, the other host's answer is lost: %d %s", row.command, w.Code, said)
		}
	}
}

// away has a peer, kt01, that took a command and did not answer.
type away struct{ Pair }

func (away) Operate(context.Context, replication.Command) (replication.Operated, error) {
	return replication.Operated{}, &replication.UnrelayedError{Host: "kt01", Err: errors.New("no answer")}
}
