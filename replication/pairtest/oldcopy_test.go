package pairtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication/pairtest"
)

func oldCopy(t *testing.T, p *pairtest.Pair) { putOldCopyBack(t, p, func() {}) }

// An old copy that has overtaken the passive: positions alone would say that the passive is behind.
func oldCopyAhead(t *testing.T, p *pairtest.Pair) {
	putOldCopyBack(t, p, func() {
		passive := position(t, p.Passive, "coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())")
		p.Active.Start(t, pairtest.PostgreSQL)
		admin := p.Active.SQL(t)
		for position(t, p.Active, "pg_current_wal_flush_lsn()") <= passive {
			if _, err := admin.Exec(t.Context(), "CHECKPOINT"); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.Exec(t.Context(), "SELECT pg_switch_wal()"); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("the old copy is at %v, the passive at %v", position(t, p.Active, "pg_current_wal_flush_lsn()"), passive)
		p.Active.Stop(t, pairtest.PostgreSQL)
	})
}

// putOldCopyBack replaces the active's data by an older copy, to which more may be done, and checks that nothing opens, that nothing of
// the passive is overwritten, and that the message says where the good copy is.
func putOldCopyBack(t *testing.T, p *pairtest.Pair, more func()) {
	t.Helper()
	p.Active.Stop(t)
	old, good := p.Active.PGData+".old", p.Active.PGData+".good"
	command(t, "cp", "-a", p.Active.PGData, old)
	p.Up(t)
	name, material := create(t, p.Active) // the old copy knows nothing of it
	p.Active.Stop(t)
	before := walOf(t, p.Passive)

	rename(t, p.Active.PGData, good)
	rename(t, old, p.Active.PGData)
	defer func() {
		p.Active.Kill(t)
		if err := os.RemoveAll(p.Active.PGData); err != nil {
			t.Fatal(err)
		}
		rename(t, good, p.Active.PGData)
	}()
	more()
	p.Active.Start(t)

	reasons := []string{"history_differs", "passive_ahead", "fenced"}
	var message string
	pairtest.Await(t, 15*time.Second, "the active says what is wrong", func() bool {
		a := p.Active.Do(t, http.MethodGet, "/v1/sys/health", nil, nil)
		var health struct {
			Writes struct{ Reason, Message string }
		}
		if a.Err != nil || json.Unmarshal(a.Body, &health) != nil {
			return false
		}
		message = health.Writes.Reason + ": " + health.Writes.Message
		return slices.Contains(reasons, health.Writes.Reason)
	})
	t.Log(message)
	if !strings.Contains(message, p.Passive.Name) || !strings.Contains(message, "docs/runbook/restore-from-passive.md") {
		t.Error("the message does not name the good copy and the runbook's page")
	}
	if a := p.Active.Create(t, pairtest.NewKey()); a.Status != http.StatusServiceUnavailable {
		t.Errorf("create on an old copy: %v", a)
	}
	if a, _ := p.Active.Version(t, name, 0); a.Status != http.StatusServiceUnavailable {
		t.Errorf("the old copy says of a key that it lost: %v", a)
	}
	if served(t, p.Passive, name) != material {
		t.Error("the passive serves other material")
	}
	if after := walOf(t, p.Passive); after != before {
		t.Errorf("the passive's log was %+v and is %+v", before, after)
	}
}

// wal is what a host's PostgreSQL has of the log: where it ends, and the bytes from the last whole segment to that end.
type wal struct {
	end      postgres.LSN
	timeline postgres.Timeline
	hash     string
}

func walOf(t *testing.T, n *pairtest.Node) wal {
	t.Helper()
	installation, err := postgres.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end, timeline, err := postgres.WALEnd(t.Context(), installation, n.PGData)
	if err != nil {
		t.Fatal(err)
	}
	from, err := postgres.FirstWAL(n.PGData, timeline, end)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := postgres.HashWAL(n.PGData, timeline, from, end)
	if err != nil {
		t.Fatal(err)
	}
	return wal{end, timeline, string(hash)}
}

func position(t *testing.T, n *pairtest.Node, sql string) postgres.LSN {
	t.Helper()
	var text string
	if err := n.SQL(t).QueryRow(t.Context(), "SELECT ("+sql+")::text").Scan(&text); err != nil {
		t.Fatal(err)
	}
	lsn, err := postgres.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
