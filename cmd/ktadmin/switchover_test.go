package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestSwitchoverEndsWhenWritesAreOpen: status 0 says that they are. A new active whose gate is about to open is waited for.
func TestSwitchoverEndsWhenWritesAreOpen(t *testing.T) {
	socket := filepath.Join(pgtest.Dir(t), "admin.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var asked, shut atomic.Int32 // so many questions find the gate shut
	daemon := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := host.Cluster{Writes: host.Writes{State: host.WritesOpen, Host: "kt02"}}
		if asked.Add(1) <= shut.Load() {
			c.Writes = host.Writes{State: host.WritesRefused, Host: "kt02", Why: replication.PassiveUnreachable, What: "the passive kt01 can not be reached", Do: "Start it."}
		}
		json.NewEncoder(w).Encode(c)
	})}
	go daemon.Serve(l)
	defer daemon.Close()

	shut.Store(3)
	view, err := awaitOpen(t.Context(), host.AdminClient{Socket: socket})
	if err != nil || unopened("done", view.Writes) != nil || asked.Load() != 4 {
		t.Errorf("after %d questions: %+v, %v", asked.Load(), view.Writes, err)
	}

	shut.Store(1 << 20)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if view, err = awaitOpen(ctx, host.AdminClient{Socket: socket}); view.Writes.State == host.WritesOpen {
		t.Fatalf("a gate that is shut: %+v, %v", view.Writes, err)
	}
	err = unopened("kt02 has taken over from kt01, which does not follow it yet", host.Writes{State: host.WritesRefused, Host: "kt02", What: "the passive kt01 can not be reached", Do: "Start it."})
	var b strings.Builder
	if got := explain(&b, new(cobra.Command), err); got != exitFailed {
		t.Errorf("exit status %d, want %d", got, exitFailed)
	}
	want := "ktadmin: kt02 has taken over from kt01, which does not follow it yet; writes are not open at kt02: the passive kt01 can not be reached\n" +
		"hint: do not repeat the command, a second switchover takes the duties back. Start it.\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

// TestUnsureHint: where it is not known what became of a switchover, the hint is not that of what was in the way.
func TestUnsureHint(t *testing.T) {
	err := &host.UnsureError{Err: fmt.Errorf("asking: %w", &host.HintedError{Err: errors.New("down"), Hint: "repeat it"}), Do: host.SecondSwitchover("kt01")}
	if got := hint(new(cobra.Command), err); !strings.Contains(got, "only if that is still kt01") {
		t.Errorf("the hint is %q", got)
	}
	if got := exitStatus(&host.UnsureError{Err: context.Canceled}); got != exitFailed {
		t.Errorf("exit status %d, want %d", got, exitFailed)
	}
}
