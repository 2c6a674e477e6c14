package disasters

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// TestDisasterBothLost: both hosts are destroyed, and what is left is a backup of the passive, an identity and the recovery key. The page's
// commands make the pair again on two bare hosts: every key of the backup is there, those that were made later are not, and what the lost
// disks have, put back, changes nothing.
func TestDisasterBothLost(t *testing.T) {
	c, p := begin(t)
	page, e, a, b := pairtest.OpenPage(t, "both-lost.md"), c.escrow, p.Active, p.Passive
	e.takeBackup(t, b)
	later := c.createsLater(2)
	w := words("NAME", a.Name)

	// Somebody who believes the hosts lost is told when one lives.
	const look = "ktadmin restore --from-backup BACKUP --identity IDENTITY --recovery-key RECOVERY"
	b.Kill(t)
	keep(t, b)
	b.Destroy(t)
	e.bring(t, b)
	_, stderr := ktadmin(t, b, 3, page.Ktadmin(t, look, w)...)
	if !strings.Contains(stderr, a.Name+" answers at ") || !strings.Contains(stderr, "--from-survivor "+a.Address) {
		t.Errorf("beside a host that lives: %s", stderr)
	}

	a.Kill(t)
	keep(t, a)
	a.Destroy(t)
	begun := time.Now()
	stdout, _ := ktadmin(t, b, 0, page.Ktadmin(t, look, w)...)
	if !strings.Contains(stdout, "everything that was acknowledged after "+e.backup.Manifest.Started.UTC().Format("2006-01-02 15:04:05 UTC")+" is lost") ||
		!strings.Contains(stdout, `--i-confirm "`+a.Name+` is powered off"`) || b.Duty(t) != "" {
		t.Errorf("the dry run left %q and said %s", b.Duty(t), stdout)
	}
	ktadmin(t, b, 3, append(page.Ktadmin(t, look, w), "--i-confirm", b.Name+" is powered off")...)
	stdout = killedThenDone(t, b, page.Ktadmin(t, look+` --i-confirm "NAME is powered off"`, w))
	if stdout != "" && !strings.Contains(stdout, fmt.Sprintf("%d versions of %[1]d keys, with the new root key", len(c.keys))) {
		t.Errorf("%d keys were acknowledged before the backup, and it opened: %s", len(c.keys), stdout)
	}
	ktadmin(t, b, 3, page.Ktadmin(t, "ktadmin restore --abort", w)...) // it has ended
	b.Start(t)
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads known keys are served")
	c.awaitsAt(b)
	c.reads(b)
	b.MustRefuse(t, "no_passive")
	ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin join-token --out FILE", w)...)
	carry(t, root(b, "token"), root(a, "token"))
	ktadmin(t, a, 0, page.Ktadmin(t, "ktadmin init-slave --token-file FILE", w)...)
	a.Start(t)
	p.Roles(t)
	c.isWhole()
	t.Logf("evidence: the pair is there again %v after both hosts were lost", time.Since(begun).Round(time.Millisecond))
	c.lacks(later)
	if b != p.Active || stateOn(t, b).Former != nil {
		t.Errorf("the active is %s: %+v", p.Active.Name, stateOn(t, b))
	}
	ktadmin(t, a, 0, "backup", "create") // its recipients came back

	for _, n := range []*pairtest.Node{a, b} {
		before := stateOn(t, n.Other())
		n.Stop(t)
		shell(t, n, "mkdir /root/now && mv /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* /root/now/ && cp -a /root/old/. /var/lib/keytrustee/")
		n.Start(t)
		n.Says(t, 0, "writes CLOSED")
		for _, at := range p.Nodes {
			if r := at.Create(t, pairtest.NewKey()); r.Status == http.StatusCreated || r.Status == 0 {
				t.Errorf("beside the lost disk of %s, a create at %s: %v", n.Name, at.Name, r)
			} else {
				t.Logf("evidence: beside the lost disk of %s, a create at %s: %v", n.Name, at.Name, r)
			}
		}
		if now := stateOn(t, n.Other()); now.Epoch != before.Epoch || now.Incarnation != before.Incarnation || now.Fenced != nil {
			t.Errorf("beside the lost disk of %s, %s was %+v and is %+v", n.Name, n.Other().Name, before, now)
		}
		n.Stop(t)
		shell(t, n, "rm -r /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* && cp -a /root/now/. /var/lib/keytrustee/ && rm -r /root/now")
		n.Start(t)
		c.isWhole()
	}
	page.AllTyped(t)
}
