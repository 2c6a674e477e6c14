package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// yieldEnv makes the test binary a process that backs up the server of that socket and port.
const yieldEnv = "KEYTRUSTEE_TEST_YIELD"

// TestYieldWithAll: with a process that yields do the sessions below it, and what sends the base backup of a standby, and nothing else of
// that. A process that does not yield touches nobody's priority.
func TestYieldWithAll(t *testing.T) {
	if s := os.Getenv(yieldEnv); s != "" {
		yieldUntilEOF(t, s)
		return
	}
	if pgtest.AsUser(t) {
		return
	}
	if weightOf(os.Getpid()) == "" {
		t.Skip("the kernel does not group processes by their sessions")
	}
	primary := pgtest.New(t, pgtest.Options{})
	standby := pgtest.Clone(t, primary, "kt_standby", pgtest.Options{})
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, standby.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, yields := range []bool{false, true} {
		session, end := startYielding(t, standby, yields)
		sender := 0
		if err := standby.StreamBaseBackup(ctx, writer(func() {
			if sender != 0 {
				return
			}
			if err := conn.QueryRow(ctx, "select pid from pg_stat_activity where application_name = 'pg_basebackup'").Scan(&sender); err != nil {
				t.Error(err)
				return
			}
			if yields {
				pgtest.Await(t, "what sends the base backup yields", func() bool { return weightOf(sender) == "nice 19" })
				pgtest.Await(t, "the session below it yields", func() bool { return weightOf(session) == "nice 19" })
				if nice, err := unix.Getpriority(unix.PRIO_PROCESS, sender); err != nil || 20-nice != least {
					t.Errorf("the niceness of what sends the base backup is %d, %v", 20-nice, err)
				}
			}
		})); err != nil {
			t.Error(err)
		}
		end()
		if got := weightOf(session); !yields && got != "nice 0" {
			t.Errorf("the session below a process that does not yield: %s", got)
		}
		if got := weightOf(int(conn.PgConn().PID())); got != "nice 0" {
			t.Errorf("another process of the server, with yields %v: %s", yields, got)
		}
	}
}

// startYielding starts a process for a backup of the server and, below it, a session that lasts as long as the test; end ends the process.
func startYielding(t *testing.T, s *postgres.Server, yields bool) (session int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestYieldWithAll$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", yieldEnv, s.Port, s.Socket))
	cmd.Stderr = t.Output()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // which ends with this goroutine, for it can not be raised again
		if yields {
			if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: least}, 0); err != nil {
				t.Error(err)
			}
		}
		started <- cmd.Start()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, err2 := fmt.Sscan(line, &session); err != nil || err2 != nil {
		t.Fatalf("%q: %v, %v", line, err, err2)
	}
	t.Cleanup(func() { syscall.Kill(session, syscall.SIGKILL) })
	return session, func() { in.Close(); cmd.Wait() }
}

// yieldUntilEOF is that process.
func yieldUntilEOF(t *testing.T, where string) {
	var s postgres.Server
	if _, err := fmt.Sscan(where, &s.Port, &s.Socket); err != nil {
		t.Fatal(err)
	}
	session := exec.Command("sleep", "600")
	session.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	stop := yieldWithAll(&s)
	fmt.Println(session.Process.Pid)
	io.Copy(io.Discard, os.Stdin)
	stop()
}

// weightOf is how much a process's session counts; empty: sessions do not.
func weightOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	if err != nil {
		return ""
	}
	_, nice, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return nice
}

// writer is called at each write.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

// TestYieldWhoWorks: of several sessions the one that works yields first, for the kernel takes few of these at a time.
func TestYieldWhoWorks(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	if !grouped() {
		t.Skip("the kernel does not group processes by their sessions")
	}
	busy := 0
	for _, script := range []string{"sleep 600", "sleep 600", "while :; do :; done", "sleep 600", "sleep 600"} {
		cmd := exec.Command("sh", "-c", "exec 2>&-; "+script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); cmd.Wait() })
		if !strings.HasPrefix(script, "sleep") {
			busy = cmd.Process.Pid
		}
	}
	pgtest.Await(t, "one of them works", func() bool { return worked(busy) > 20 })
	y := yielding{done: map[int]bool{}}
	pgtest.Await(t, "one of them yields", func() bool { y.look(t.Context()); return len(y.done) > 0 })
	if !y.done[busy] {
		t.Errorf("%v yield, and not %d, which works", y.done, busy)
	}
	if got := weightOf(busy); got != "nice 19" {
		t.Errorf("what works has %s", got)
	}
}
