package hazards_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/postgres"
	"keytrustee/replication/pairtest"
)

// staleCopy is how an older copy of the active comes to lie where its data was.
type staleCopy struct {
	name string
	dirs []string                                                       // of the home, that are replaced
	take func(t *testing.T, p *pairtest.Pair, copies map[string]string) // of each directory, where it goes
	more func(t *testing.T, p *pairtest.Pair)                           // what happens to it before its services start
	says []string
}

// TestH08StaleCopy: an older copy of the active is started in its place. PostgreSQL would call the passive, which is ahead of it, its
// synchronous standby, and overwrite it. Here it serves nothing that it could be wrong about, acknowledges nothing, and the passive keeps its
// data, byte for byte.
func TestH08StaleCopy(t *testing.T) {
	p := confirmed(t)
	data, host := []string{"db"}, []string{"db", "node"}
	for _, c := range []staleCopy{
		{"the data, beside the state of now", data, whileDown, nil, []string{"fenced"}},
		{"an old base backup, started plain", data, baseBackup, nil, []string{"fenced", "history_differs"}},
		{"data and state, as in a snapshot of a machine", host, whileDown, nil, []string{"passive_ahead", "history_differs"}},
		{"one that has overtaken the passive by control writes", host, whileDown, overtakes, []string{"history_differs"}},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.isPutBack(t, p) }) {
			return
		}
	}
}

func whileDown(t *testing.T, p *pairtest.Pair, copies map[string]string) {
	p.Active.Stop(t)
	for from, to := range copies {
		run(t, "cp", "-a", from, to)
	}
	p.Up(t)
}

func baseBackup(t *testing.T, p *pairtest.Pair, copies map[string]string) {
	installation, err := postgres.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const inside = "/var/lib/keytrustee/backup"
	out, errs, status := p.Active.Run(t, "runuser", "-u", "keytrustee", "--", installation.Path("pg_basebackup"), "-d", p.Active.AdminDSN, "-D", inside, "-c", "fast")
	if status != 0 {
		t.Fatalf("pg_basebackup: %s%s", out, errs)
	}
	rename(t, filepath.Join(p.Active.Home, "backup"), copies[p.Active.PGData])
}

// overtakes lets the copy write until it is ahead of the passive: positions alone would say that all is well.
func overtakes(t *testing.T, p *pairtest.Pair) {
	passive := position(t, p.Passive, "coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())")
	p.Active.Start(t, pairtest.PostgreSQL)
	admin := p.Active.SQL(t)
	for p.Active.Position(t) <= passive {
		execute(t, admin, "CHECKPOINT")
		execute(t, admin, "SELECT pg_switch_wal()")
	}
	t.Logf("the old copy is at %v, the passive at %v", p.Active.Position(t), passive)
	p.Active.Stop(t, pairtest.PostgreSQL)
}

// isPutBack replaces the directories of the active by the older copy, and in the end puts the good ones back.
func (c staleCopy) isPutBack(t *testing.T, p *pairtest.Pair) {
	at := func(dir, suffix string) string { return filepath.Join(p.Active.Home, dir+suffix) }
	copies := map[string]string{}
	for _, dir := range c.dirs {
		copies[at(dir, "")] = at(dir, ".old")
	}
	c.take(t, p, copies)
	name, material := p.Active.MustCreate(t) // the old copy knows nothing of it
	p.Settle(t)
	p.Active.Stop(t)
	before, files := walOf(t, p.Passive), contents(t, p.Passive.PGData)
	for _, dir := range c.dirs {
		rename(t, at(dir, ""), at(dir, ".good"))
		rename(t, at(dir, ".old"), at(dir, ""))
	}
	if c.more != nil {
		c.more(t, p)
	}
	p.Active.Start(t)
	reason, message := p.Active.AwaitComplaint(t, c.says...)
	t.Logf("%s: %s", reason, message)
	namesTheGoodCopy(t, p, message)
	stays(t, 2*time.Second, "nothing is acknowledged, the lost key is not denied, and the passive serves it", func() error {
		if a, _ := p.Active.Version(t, name, 0); a.Status != http.StatusServiceUnavailable {
			t.Fatalf("the old copy says of a key that it lost: %v", a)
		}
		if p.Passive.MustServe(t, name) != material {
			t.Fatal("the passive serves other material")
		}
		return acknowledged(p.Active.Create(t, pairtest.NewKey()))
	})
	sameBytes(t, p.Passive, files)
	p.Passive.Kill(t) // what follows an old copy loses its own at the next start
	p.Passive.Start(t)
	p.Passive.AwaitServed(t, name, material)
	if after := walOf(t, p.Passive); after != before {
		t.Errorf("the passive's log was %+v and is, after its restart, %+v", before, after)
	}

	p.Passive.Stop(t, pairtest.PostgreSQL) // its daemon says so before it ends
	p.Passive.Stop(t)
	nobodyIsGivenUp(t, p)
	if after := walOf(t, p.Passive); after != before {
		t.Errorf("the passive's log was %+v and is, after nobody was given up, %+v", before, after)
	}

	p.Active.Kill(t)
	for _, dir := range c.dirs {
		if err := os.RemoveAll(at(dir, "")); err != nil {
			t.Fatal(err)
		}
		rename(t, at(dir, ".good"), at(dir, ""))
	}
	p.Up(t)
	p.Active.MustCreate(t)
	for _, n := range p.Nodes {
		if n.MustServe(t, name) != material {
			t.Errorf("with the newer copy back, %s serves other material", n.Name)
		}
	}
}

// nobodyIsGivenUp shows that the passive, which is stopped, is neither removed by the older copy nor cloned from it, without a word of the
// operator, also when nobody remembers what was found while it ran.
func nobodyIsGivenUp(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	refused := func(n *pairtest.Node, says []string, args ...string) {
		t.Helper()
		var out, errs string
		defer func() {
			if t.Failed() {
				t.Logf("%s on %s said last: %s%s", strings.Join(args, " "), n.Name, out, errs)
			}
		}()
		pairtest.Await(t, 20*time.Second, strings.Join(args, " ")+" is refused", func() bool {
			var status int
			if out, errs, status = n.Ktadmin(t, args...); status == 0 {
				t.Fatalf("%s on %s: %s%s", strings.Join(args, " "), n.Name, out, errs)
			}
			return slices.ContainsFunc(says, func(s string) bool { return strings.Contains(errs, s) })
		})
		t.Logf("%s on %s: %s", strings.Join(args, " "), n.Name, errs)
	}
	for range 2 {
		refused(p.Active, []string{p.Passive.Name + " is not given up"}, "cluster", "remove", p.Passive.Name, "--i-confirm", p.Passive.Name+" was not promoted")
		refused(p.Passive, []string{"may lack acknowledged keys", "older copy", "it holds what " + p.Active.Name + " does not"}, "init-slave", "--reclone")
		p.Active.Kill(t, pairtest.Keytrusteed)
		p.Active.Start(t)
	}
}

// namesTheGoodCopy fails the test if somebody who reads the message would not know which copy to keep, and what to do.
func namesTheGoodCopy(t *testing.T, p *pairtest.Pair, message string) {
	t.Helper()
	const page = "docs/runbook/restore-from-passive.md"
	if text := strings.ReplaceAll(message, page, ""); text == message || !strings.Contains(text, "good one") && !strings.Contains(text, "good copy") ||
		!strings.Contains(text, p.Passive.Name) || !strings.Contains(text, "ktadmin restore --from-survivor") {
		t.Errorf("the message does not name the good copy, the command to run and the runbook's page: %s", message)
	}
}

func position(t *testing.T, n *pairtest.Node, sql string) postgres.LSN {
	t.Helper()
	lsn, err := postgres.ParseLSN(query[string](t, n.SQL(t), "SELECT ("+sql+")::text"))
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}
