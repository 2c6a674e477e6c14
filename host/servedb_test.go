package host

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestServeDBProcess is no test but the process that service starts.
func TestServeDBProcess(t *testing.T) {
	text := os.Getenv("KEYTRUSTEE_TEST_SERVICE")
	if text == "" {
		return
	}
	var h Host
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	status, err := h.ServeDB(t.Context(), DBService{
		Wait: os.Getenv("KEYTRUSTEE_TEST_WAIT") != "", Signals: signals, Environment: []string{"LC_ALL=C", "TZ=UTC"},
		Say: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "said: "+format+"\n", args...) },
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "said: %v\n", err)
		status = 99
	}
	os.Exit(status)
}

// service is a process that runs ServeDB.
type service struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	said string
}

func startService(t *testing.T, h *Host, wait string) *service {
	t.Helper()
	plain := *h
	plain.Settings = nil
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{cmd: exec.Command(os.Args[0], "-test.run=^TestServeDBProcess$"), ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "KEYTRUSTEE_TEST_SERVICE="+string(text), "KEYTRUSTEE_TEST_WAIT="+wait)
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			s.mu.Lock()
			s.said += lines.Text() + "\n"
			s.mu.Unlock()
		}
	}()
	go func() {
		defer close(s.ended)
		s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.ended
	})
	return s
}

// says reports whether a line of the service does.
func (s *service) says(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.said, text)
}

func (s *service) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// status waits for the end.
func (s *service) status(t *testing.T) int {
	t.Helper()
	select {
	case <-s.ended:
	case <-pgtest.Context(t).Done():
		t.Fatal("the service does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// accepting waits until the server accepts connections, in another process than before, and returns that.
func accepting(t *testing.T, server *postgres.Server, before int) (pid int) {
	t.Helper()
	pgtest.Await(t, "the database accepts connections", func() bool {
		var running bool
		pid, running = server.Pid()
		return running && pid != before && server.Start(pgtest.Context(t)) == nil // returns when it accepts, for it runs
	})
	return pid
}

// gone reports whether the process has ended, waited for or not.
func gone(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return errors.Is(err, fs.ErrNotExist)
}

func newService(t *testing.T) (*Host, *postgres.Server) {
	t.Helper()
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	if err := h.Bootstrap(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	server, err := h.Server(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return h, server
}

// TestServeDB: signals reach PostgreSQL, its exit status comes back, a second service is refused, and whoever kills the
// parent has killed the server.
func TestServeDB(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h, server := newService(t)
	s := startService(t, h, "")
	pid := accepting(t, server, 0)

	second := startService(t, h, "yes")
	if status := second.status(t); status != 99 || !second.says("runs PostgreSQL on this host already") {
		t.Errorf("a second service: %d, %s", status, second.said)
	}
	loaded := ask[string](t, server, "postgres", "select pg_conf_load_time()::text")
	s.signal(t, syscall.SIGHUP)
	pgtest.Await(t, "the settings are read again", func() bool {
		return ask[string](t, server, "postgres", "select pg_conf_load_time()::text") != loaded
	})
	s.signal(t, syscall.SIGTERM) // with no client it would end on that too; its state says how it did
	if status := s.status(t); status != 0 || !gone(pid) {
		t.Errorf("stopped with status %d, its process is gone: %t", status, gone(pid))
	}

	s = startService(t, h, "")
	pid = accepting(t, server, pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := s.status(t); status != 128+int(syscall.SIGKILL) {
		t.Errorf("a killed server: status %d", status)
	}

	s = startService(t, h, "")
	pid = accepting(t, server, pid)
	s.signal(t, syscall.SIGKILL)
	s.status(t)
	s = startService(t, h, "") // waits for what is left of the other
	next := accepting(t, server, pid)
	if !gone(pid) {
		t.Errorf("process %d outlives its parent, beside process %d", pid, next)
	}
	s.signal(t, syscall.SIGINT)
	if status := s.status(t); status != 0 {
		t.Errorf("stopped with status %d", status)
	}
	if control, err := postgres.ReadControl(pgtest.Context(t), server.Installation, server.Data); err != nil || control.State != "shut down" {
		t.Errorf("after SIGINT the data is %q, %v", control.State, err)
	}
}

// TestServeDBStartsAgain: what the daemon has stopped for an operation comes back when it may, and what it has not does not.
func TestServeDBStartsAgain(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h, server := newService(t)
	file, err := replication.OpenState(h.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	update := func(change func(*replication.State)) {
		t.Helper()
		if err := file.Update(func(s *replication.State) error { change(s); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	s := startService(t, h, "yes")
	pid := accepting(t, server, 0)
	start, err := replication.StartID(pid)
	if err != nil {
		t.Fatal(err)
	}
	update(func(s *replication.State) {
		s.Stopped, s.Fenced = start, &replication.Fence{Reason: replication.EpochConflict, Detail: "two epochs"}
	})
	if err := server.Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "it waits", func() bool {
		return s.says("waiting to start PostgreSQL: kt01 is fenced (epoch_conflict): two epochs; hint: Find out which of them is current: ktadmin status on both hosts")
	})
	if _, running := server.Pid(); running {
		t.Fatal("a fenced host's database runs")
	}
	update(func(s *replication.State) { s.Fenced = nil })
	accepting(t, server, pid)

	if err := server.Stop(pgtest.Context(t), postgres.Fast); err != nil { // not the daemon's doing
		t.Fatal(err)
	}
	if status := s.status(t); status != 0 {
		t.Errorf("stopped by its administrator: status %d", status)
	}
	update(func(s *replication.State) { s.Fenced = &replication.Fence{Reason: replication.EpochConflict} })
	if s := startService(t, h, ""); s.status(t) != 99 {
		t.Error("one that is not to wait does")
	}
	s = startService(t, h, "yes")
	pgtest.Await(t, "it waits", func() bool { return s.says("is fenced") })
	s.signal(t, syscall.SIGTERM)
	if status := s.status(t); status != 0 {
		t.Errorf("a service that waited ended with status %d", status)
	}
}
