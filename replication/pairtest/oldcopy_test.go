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

// The data alone, beside the state of now.
func oldData(t *testing.T, p *pairtest.Pair) { putOldCopyBack(t, p, p.Active.PGData, func() {}) }

// Everything of the host, as a restored snapshot of a machine is.
func oldHost(t *testing.T, p *pairtest.Pair) { putOldCopyBack(t, p, p.Active.Home, func() {}) }

// One that has overtaken the passive: positions alone would say that the passive is behind.
func oldHostAhead(t *testing.T, p *pairtest.Pair) {
	putOldCopyBack(t, p, p.Active.Home, func() {
		passive := position(t, p.Passive, "coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())")
		p.Active.Start(t, pairtest.PostgreSQL)
		admin := p.Active.SQL(t)
		for p.Active.Position(t) <= passive {
			execute(t, admin, "CHECKPOINT")
			execute(t, admin, "SELECT pg_switch_wal()")
		}
		t.Logf("the old copy is at %v, the passive at %v", p.Active.Position(t), passive)
		p.Active.Stop(t, pairtest.PostgreSQL)
	})
}

// putOldCopyBack replaces dir, a directory of the active, by an older copy, to which more may be done, and checks that nothing opens, that
// nothing of the passive is overwritten, also when it is started anew, that the message says where the good copy is, and that everything
// works when the newer copy is put back.
func putOldCopyBack(t *testing.T, p *pairtest.Pair, dir string, more func()) {
	t.Helper()
	p.Active.Stop(t)
	old, good := dir+".old", dir+".good"
	command(t, "cp", "-a", dir, old)
	p.Up(t)
	name, material := create(t, p.Active) // the old copy knows nothing of it
	p.Settle(t)
	p.Active.Stop(t)
	before, files := walOf(t, p.Passive), contents(t, p.Passive.PGData)

	rename(t, dir, good)
	rename(t, old, dir)
	more()
	p.Active.Start(t)

	message := awaitComplaint(t, p.Active, "history_differs", "passive_ahead", "fenced")
	const page = "docs/runbook/restore-from-passive.md"
	if text := strings.ReplaceAll(message, page, ""); text == message || !strings.Contains(text, "good one") && !strings.Contains(text, "good copy") ||
		!strings.Contains(text, p.Passive.Name) {
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
	sameBytes(t, p, files)
	p.Passive.Kill(t) // what follows an old copy loses its own at the next start
	p.Passive.Start(t)
	servedCold(t, p.Passive, name, material)
	if after := walOf(t, p.Passive); after != before {
		t.Errorf("the passive's log was %+v and is, after its restart, %+v", before, after)
	}

	p.Active.Kill(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	rename(t, good, dir)
	p.Up(t)
	create(t, p.Active)
	for _, n := range p.Nodes {
		if served(t, n, name) != material {
			t.Errorf("with the newer copy back, the %s serves other material", n.Name)
		}
	}
}

// awaitComplaint returns the sentence with which the host says that it takes no writes, once it does so for one of the reasons.
func awaitComplaint(t *testing.T, n *pairtest.Node, reasons ...string) string {
	t.Helper()
	var health struct {
		Writes struct{ Reason, Message string }
	}
	pairtest.Await(t, 15*time.Second, n.Name+" says what is wrong", func() bool {
		a := n.Do(t, http.MethodGet, "/v1/sys/health", nil, nil)
		return a.Err == nil && json.Unmarshal(a.Body, &health) == nil && slices.Contains(reasons, health.Writes.Reason)
	})
	t.Logf("%s says %s: %s", n.Name, health.Writes.Reason, health.Writes.Message)
	return health.Writes.Message
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
