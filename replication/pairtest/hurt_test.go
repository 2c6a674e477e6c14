package pairtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestForgetful: what a pair can do that has asked for more. Each leaves it confirmed.
func TestForgetful(t *testing.T) {
	p := pairtest.NewHosts(t, pairtest.Options{Forgetful: true, Clock: true})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *pairtest.Pair)
	}{
		{"what was not synced is forgotten", forgotten},
		{"a clock is wrong", clockWrong},
		{"nothing is written in clear", nothingInClear},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, p) }) {
			return
		}
		p.Up(t)
	}
}

// replayFrozen: one process stands still, and no other one.
func replayFrozen(t *testing.T, p *pairtest.Pair) {
	p.Passive.Freeze(t, pairtest.Replay)
	states := map[string]string{}
	for title, state := range titles(t, p.Passive.Pids[pairtest.PostgreSQL]) {
		switch {
		case strings.Contains(title, "startup"):
			states["startup"] = state
		case state == "T":
			t.Errorf("%s stands still too", title)
		}
	}
	if states["startup"] != "T" {
		t.Errorf("the process that replays is %q", states["startup"])
	}
	p.AwaitShut(t, time.Now(), "passive_stale", "passive_not_streaming", "passive_unreachable", "passive_daemon_down")
	p.Passive.Thaw(t, pairtest.Replay)
	p.AwaitOpen(t, time.Now())
}

// titles are the states of PostgreSQL's processes by what they call themselves.
func titles(t *testing.T, postmaster int) map[string]string {
	t.Helper()
	out, err := exec.Command("ps", "-o", "stat=,args=", "--ppid", strconv.Itoa(postmaster)).Output()
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for line := range strings.Lines(string(out)) {
		state, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		states[strings.TrimSpace(title)] = state[:1]
	}
	return states
}

// backendKilled: the number that PostgreSQL tells is the one that is meant, and nobody elsewhere.
func backendKilled(t *testing.T, p *pairtest.Pair) {
	conn := p.Active.SQL(t)
	p.Active.Kill(t, pairtest.Backend(int(conn.PgConn().PID())))
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the connection is still served")
	}
	pairtest.Await(t, 10*time.Second, "the server has ended, as it does when one of its own dies", func() bool {
		_, err := p.Active.Connect(t.Context())
		return err != nil
	})
	if _, err := p.Passive.Connect(t.Context()); err != nil {
		t.Errorf("the other host's server: %v", err)
	}
}

func diskFull(t *testing.T, p *pairtest.Pair) {
	p.Passive.FillDisk(t)
	if free := p.Passive.DiskFree(t); free != 0 {
		t.Errorf("%d bytes are free", free)
	}
	if free := p.Active.DiskFree(t); free < 1<<30 {
		t.Errorf("the other host has only %d bytes", free)
	}
	file := filepath.Join(p.Passive.Home, "file")
	if err := os.WriteFile(file, make([]byte, 1<<16), 0o600); err == nil {
		t.Error("a file was written to a full disk")
	}
	p.Passive.FreeDisk(t)
	if err := os.WriteFile(file, make([]byte, 1<<16), 0o600); err != nil {
		t.Error(err)
	}
}

func namesForgotten(t *testing.T, p *pairtest.Pair) {
	knows := func() bool {
		text, err := os.ReadFile(p.Active.File("/etc/hosts"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), p.Passive.Address)
	}
	p.Active.ForgetNames(t)
	if knows() {
		t.Error("the name of the passive is still there")
	}
	p.Active.MustCreate(t) // what is connected needs no name
	p.Active.RememberNames(t)
	if !knows() {
		t.Error("the name of the passive did not come back")
	}
}

// powerLost: nobody is told, not even by the end of a connection.
func powerLost(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	p.Passive.PowerOff(t)
	off := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := p.Dial(ctx, "tcp", strings.TrimPrefix(p.Passive.URL, "https://")); !os.IsTimeout(err) {
		t.Errorf("a host without power answers %v; want silence", err)
	}
	p.AwaitShut(t, off, silent...)
	p.Active.MustRefuse(t, silent...)
	p.Passive.PowerOn(t)
	open(t, p)
	pairtest.Await(t, 5*time.Second, "it serves what it served before", func() bool {
		_, got := p.Passive.Version(t, name, 0)
		return got == material
	})
}

// destroyed: nothing is left on the host, and an operator's one command brings it back from the survivor, as what it was.
func destroyed(t *testing.T, p *pairtest.Pair) {
	for _, n := range p.Nodes {
		duty := n.Duty(t)
		name, material := p.Active.MustCreate(t)
		n.Destroy(t)
		left, err := os.ReadDir(n.Home)
		if err != nil || len(left) > 0 {
			t.Fatalf("left in its home: %v, %v", left, err)
		}
		if len(n.Pids) > 0 || n.Duty(t) != "" {
			t.Errorf("it runs %v as %q", n.Pids, n.Duty(t))
		}
		if n.Other().MustServe(t, name) != material {
			t.Error("the survivor serves other material")
		}
		n.Rebuild(t)
		open(t, p)
		if now := n.Duty(t); now != duty {
			t.Errorf("%s was the %s and is the %s", n.Name, duty, now)
		}
		if n.MustServe(t, name) != material {
			t.Error("the host that came back serves other material")
		}
		p.SameContents(t)
	}
}

func forgotten(t *testing.T, p *pairtest.Pair) {
	name, material := p.Active.MustCreate(t)
	lost, kept := filepath.Join(p.Passive.Home, "lost"), filepath.Join(p.Passive.Home, "kept")
	write := func(file string, sync bool) {
		f, err := os.Create(file)
		if err == nil {
			_, err = f.WriteString("what was written")
		}
		if err == nil && sync {
			err = f.Sync()
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	write(lost, false)
	write(kept, true)
	p.Passive.ForgetUnsynced(t)
	if text, err := os.ReadFile(lost); err == nil && len(text) > 0 {
		t.Errorf("what was not synced is still there: %q", text)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "what was written" {
		t.Errorf("what was synced is gone: %q, %v", text, err)
	}
	p.Up(t)
	if p.Passive.MustServe(t, name) != material {
		t.Error("other material")
	}
}

func clockWrong(t *testing.T, p *pairtest.Pair) {
	says := func(n *pairtest.Node) time.Time {
		var h struct {
			Time int64 `json:"server_time_utc"`
		}
		a := n.Do(t, http.MethodGet, "/v1/sys/health", nil, nil)
		if err := json.Unmarshal(a.Body, &h); err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		return time.Unix(h.Time, 0)
	}
	p.Passive.SetClock(t, time.Hour)
	if late := time.Until(says(p.Passive)); late < 59*time.Minute || late > 61*time.Minute {
		t.Errorf("the clock of the passive is wrong by %v", late)
	}
	if late := time.Until(says(p.Active)).Abs(); late > time.Minute {
		t.Errorf("the clock of the active is wrong by %v", late)
	}
	p.Passive.SetClock(t, 0)
	if late := time.Until(says(p.Passive)).Abs(); late > time.Minute {
		t.Errorf("the clock of the passive is still wrong by %v", late)
	}
}
