package disasters

import "testing"

// passiveGone are the reasons why an active refuses writes whose passive is gone.
var passiveGone = []string{"passive_unreachable", "passive_daemon_down", "passive_not_streaming"}

// TestDisasterPassiveLost: meanwhile the active serves every key and refuses writes; afterwards nothing is missing.
func TestDisasterPassiveLost(t *testing.T) {
	c, p := begin(t)
	p.Passive.Destroy(t)
	p.Active.AwaitComplaint(t, passiveGone...)
	p.Active.MustRefuse(t, passiveGone...)
	c.reads(p.Active)
	p.Passive.Rebuild(t)
	c.isWhole()
}

// TestDisasterActiveLost: meanwhile the passive serves every key and refuses writes; afterwards nothing is missing, also of what was
// acknowledged last.
func TestDisasterActiveLost(t *testing.T) {
	c, p := begin(t)
	p.Active.Destroy(t)
	p.Passive.AwaitComplaint(t, "active_unreachable")
	c.reads(p.Passive)
	p.Passive.MustRefuse(t, "active_unreachable")
	p.Active.Rebuild(t)
	c.isWhole()
}
