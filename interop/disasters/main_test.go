package disasters

import (
	"os"
	"testing"

	"keytrustee/replication/pairtest"
)

// site is the pair that the tests lose in turn, with its client and with what is kept away from it. life is as long as it.
type site struct {
	*client
	escrow *escrow
	life   *pairtest.Life
}

var shared *site

func TestMain(m *testing.M) {
	status := m.Run()
	if shared != nil {
		shared.life.End()
	}
	os.Exit(status)
}

// begin returns the site, with a confirmed pair, and some keys. When the test has failed, the next one begins with another site.
func begin(t *testing.T) (s *site, p *pairtest.Pair) {
	t.Helper()
	if shared == nil {
		life := &pairtest.Life{TB: t}
		p := pairtest.NewHosts(life, pairtest.Options{})
		shared = &site{newClient(life, p), takesBackups(life, p), life}
		life.TB = nil
	}
	s = shared
	s.client.T, p = t, s.pair
	t.Cleanup(func() {
		if t.Failed() {
			s.life.FailIn(t)
			s.life.End() // and shows the ends of all logs
			shared = nil
		}
	})
	p.Roles(t)
	for _, n := range p.Nodes {
		shell(t, n, "rm -rf /root/token /root/old /root/damaged /root/given-up")
	}
	s.creates(5)
	return s, p
}
