package pairtest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/replication/pairtest"
)

// ghosts are changes that the active's PostgreSQL has made and the passive has not.
type ghosts struct {
	*testing.T
	pair     *pairtest.Pair
	created  [3]string         // keys that nobody was told of
	rolled   string            // an acknowledged key, whose second version is not
	deleted  string            // an acknowledged key, whose deletion is not
	known    map[string]string // materials of the acknowledged keys
	answers  chan pairtest.Answer
	backends []int
}

// TestGhosts: create, roll and delete wait in their COMMIT for a passive that stands still, and each wait is ended in another way. What
// PostgreSQL then shows is never acknowledged and never served, through the active's crashes alone, until the passive has it too.
func TestGhosts(t *testing.T) {
	p := pairtest.New(t)
	g := &ghosts{T: t, pair: p, known: map[string]string{}}
	for range 3 {
		name, material := p.Active.MustCreate(t)
		g.known[name] = material
		g.rolled, g.deleted = g.deleted, name
	}
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	g.begin()
	admin, err := p.Active.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())

	execute(t, admin, "SELECT pg_cancel_backend($1)", g.backends[0])
	execute(t, admin, "SELECT pg_terminate_backend($1)", g.backends[1])
	g.wantHidden("cancel and terminate", 2)

	if err := unix.Kill(g.backends[2], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitDown(t, p.Active)
	g.refused()
	p.Passive.Kill(t)
	p.Active.Start(t, pairtest.PostgreSQL)
	g.wantHidden("kill -9 of a backend", 5)

	if err := unix.Kill(p.Active.Pids[pairtest.PostgreSQL], unix.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	awaitDown(t, p.Active)
	p.Active.Start(t, pairtest.PostgreSQL)
	g.wantHidden("immediate stop", 5)

	p.Active.Kill(t)
	p.Active.Start(t)
	g.wantHidden("both hosts killed, the active alone started", 5)

	p.Up(t)
	pairtest.Await(t, 5*time.Second, "the active has confirmed what the passive got", func() bool { // with the next canary
		_, material := p.Active.Version(t, g.rolled, 1)
		return material != ""
	})
	for _, n := range p.Nodes {
		if got := g.made(n); got != 5 {
			t.Errorf("in the end the %s has %d of the 5 changes", n.Name, got)
		}
		for _, name := range g.created {
			everyRead(t, n, name, nil)
		}
		if paths := shows(t, n, g.rolled, g.rolled+"@1"); len(paths) != 4 { // two versions, the current one, its encrypted keys
			t.Errorf("the roll that both hosts have is shown by %q on the %s", paths, n.Name)
		}
		hidden(t, n, g.deleted, `"name":"`+g.deleted)
	}
	for _, name := range g.created {
		if p.Active.MustServe(t, name) != p.Passive.MustServe(t, name) {
			t.Errorf("%s differs between the hosts", name)
		}
	}
	rollOfADeadDaemon(t, p)
}

// rollOfADeadDaemon: nobody is left to be told of a roll that both hosts get in the end, and both remember what the key was before.
func rollOfADeadDaemon(t *testing.T, p *pairtest.Pair) {
	t.Helper()
	name, _ := p.Active.MustCreate(t)
	path := "/kms/v1/key/" + name
	current := func(n *pairtest.Node) string {
		return string(n.Do(t, http.MethodGet, path+"/_currentversion", nil, nil).Body)
	}
	old := current(p.Passive)
	if old != current(p.Active) || !strings.Contains(old, name+"@0") {
		t.Fatalf("the passive says that the current version is %s", old)
	}
	p.Passive.Freeze(t, pairtest.PostgreSQL)
	gone := make(chan pairtest.Answer, 1)
	go func() { gone <- p.Active.Do(t, http.MethodPost, path, nil, map[string]any{}) }()
	admin := p.Active.SQL(t)
	pairtest.Await(t, 5*time.Second, "the roll waits for the passive", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	p.Active.Kill(t, pairtest.Keytrusteed)
	t.Logf("the roll's client: %v", <-gone)
	if current(p.Passive) != old {
		t.Error("the passive does not remember the key")
	}
	p.Passive.Thaw(t, pairtest.PostgreSQL)
	p.Active.Start(t)
	for _, n := range p.Nodes { // the active shows it once the passive does
		pairtest.Await(t, 10*time.Second, "the current version of the "+n.Name, func() bool {
			return strings.Contains(current(n), name+"@1")
		})
		if n == p.Active && current(p.Passive) != current(n) {
			t.Error("the passive still shows the version before")
		}
	}
}

// begin lets five changes wait for the passive.
func (g *ghosts) begin() {
	g.Helper()
	writes := []func() pairtest.Answer{
		func() pairtest.Answer {
			return g.pair.Active.Do(g, http.MethodPost, "/kms/v1/key/"+g.rolled, nil, map[string]any{})
		},
		func() pairtest.Answer {
			return g.pair.Active.Do(g, http.MethodDelete, "/kms/v1/key/"+g.deleted, nil, nil)
		},
	}
	for i := range g.created {
		g.created[i] = pairtest.NewKey()
		writes = append(writes, func() pairtest.Answer { return g.pair.Active.Create(g, g.created[i]) })
	}
	g.answers = make(chan pairtest.Answer, len(writes))
	for _, write := range writes {
		go func() { g.answers <- write() }()
	}
	admin := g.pair.Active.SQL(g)
	pairtest.Await(g, 5*time.Second, "five COMMITs wait for the passive", func() bool {
		err := admin.QueryRow(g.Context(), "SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ILIKE 'commit%'").
			Scan(&g.backends)
		return err == nil && len(g.backends) == len(writes)
	})
	g.Logf("backends %v wait in their COMMIT (SyncRep)", g.backends)
}

// refused checks that none of them was acknowledged.
func (g *ghosts) refused() {
	g.Helper()
	for range cap(g.answers) {
		a := <-g.answers
		g.Logf("a client was told: %v", a)
		if a.Status != http.StatusServiceUnavailable || a.Reason != "outcome_unknown" || a.Class != "java.lang.IllegalStateException" {
			g.Errorf("want outcome_unknown, got %v", a)
		}
	}
}

// wantHidden checks that PostgreSQL shows that many of the changes and the active none, and that it serves all that was acknowledged.
func (g *ghosts) wantHidden(fault string, there int) {
	g.Helper()
	active := g.pair.Active
	pairtest.Await(g, 10*time.Second, "PostgreSQL shows what the passive has not", func() bool { return g.made(active) == there })
	g.Logf("%s: %d of 5 changes are visible in PostgreSQL", fault, there)
	pairtest.Await(g, 10*time.Second, "the active serves all that was acknowledged", func() bool {
		for name, material := range g.known {
			a, got := active.Version(g, name, 0)
			if a.Status == http.StatusOK && got != material {
				g.Fatalf("%s has other material, or none, after: %s", name, fault)
			}
			metadata := active.Do(g, http.MethodGet, "/kms/v1/key/"+name+"/_metadata", nil, nil)
			if metadata.Status == http.StatusOK && !strings.Contains(string(metadata.Body), `"versions":1`) {
				g.Fatalf("%s after %s: %s", name, fault, metadata.Body)
			}
			if a.Status != http.StatusOK || metadata.Status != http.StatusOK {
				return false // it has not noticed its database yet
			}
		}
		return true
	})
	for _, name := range g.created {
		hidden(g.T, active, name, name)
	}
	hidden(g.T, active, g.rolled, g.rolled+"@1")
	if a := active.Create(g, pairtest.NewKey()); a.Status != http.StatusServiceUnavailable {
		g.Errorf("a create after %s: %v", fault, a)
	}
}

// made counts which of the changes a host's PostgreSQL shows; -1 if it does not answer.
func (g *ghosts) made(n *pairtest.Node) (count int) {
	conn, err := n.Connect(g.Context())
	if err != nil {
		return -1
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(g.Context(), `SELECT count(*) FROM key_change c JOIN key k ON k.id = c.key_id
		WHERE k.name = ANY ($1) AND c.kind = 'created' OR k.name = $2 AND c.kind = 'rolled' OR k.name = $3 AND c.kind = 'deleted'`,
		g.created[:], g.rolled, g.deleted).Scan(&count)
	if err != nil {
		return -1
	}
	return count
}
