package disasters

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestDisasterActiveLostPassiveCorrupt: pages of the passive's data are damaged on its disk. While the active lives nothing is lost: it is
// noticed, and the passive is cloned anew. When it is the active that is lost, the passive serves what it can read and nothing wrong, and
// neither it nor a copy of it becomes the active. The page's commands make the pair again out of the last backup, by way of a list of what
// that may lack; a key of that list that the passive could still read comes back by its material.
func TestDisasterActiveLostPassiveCorrupt(t *testing.T) {
	c, p := begin(t)
	page, e, a, b := pairtest.OpenPage(t, "data-damaged.md"), c.escrow, p.Active, p.Passive
	c.creates(60) // more than a page of versions
	w := words("NAME", a.Name, "OTHER", b.Name)

	b.Corrupt(t, "key_version", 0)
	pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return a.Writable(t) })
	c.readsBySite()
	_, stderr := ktadmin(t, b, 1, "backup", "create")
	if !strings.Contains(stderr, "damaged") || !strings.Contains(stderr, "block 0") || !strings.Contains(stderr, "ktadmin db check") {
		t.Errorf("a backup of what is damaged: %s", stderr)
	}
	b.Says(t, 0, "writes open at the active", "data NOT IN ORDER: pages of its data are damaged", "ktadmin init-slave --reclone")
	for _, n := range p.Nodes {
		if stdout, _ := ktadmin(t, n, 0, "cluster", "summary"); !strings.Contains(stdout, b.Name+": pages of its data are damaged") {
			t.Errorf("the pair by %s: %s", n.Name, stdout)
		}
	}
	ktadmin(t, a, 0, "db", "check")
	b.Stop(t)
	ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin init-slave --reclone", w)...)
	b.Start(t)
	c.isWhole()
	ktadmin(t, b, 0, "db", "check")
	if stdout, _ := ktadmin(t, b, 0, "status"); strings.Contains(strings.Join(strings.Fields(stdout), " "), "data NOT IN ORDER") {
		t.Errorf("cloned anew: %s", stdout)
	}

	e.takeBackup(t, b)
	if e.backup.Rows.Versions != len(c.keys) {
		t.Fatalf("the backup has %+v, and %d keys were acknowledged", e.backup.Rows, len(c.keys))
	}
	later := c.createsLater(3)
	var eek interop.EEK
	c.do(interop.Call{URI: p.KMSURI, User: "hdfs", Op: "generate", Name: later[0].name}, &eek)
	b.Corrupt(t, "key_version", 0)
	pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return a.Writable(t) })
	a.Destroy(t)
	b.AwaitComplaint(t, "active_unreachable")

	served, refused := 0, 0
	for name, material := range c.keys {
		switch r, got := b.Version(t, name, 0); {
		case r.Status == http.StatusOK && got == base64.RawURLEncoding.EncodeToString(material):
			served++
		case r.Status == http.StatusServiceUnavailable && r.Reason == "data_damaged":
			refused++
		default:
			t.Errorf("of a damaged passive: %v", r)
		}
	}
	t.Logf("evidence: %d keys are served, %d refused", served, refused)
	if served == 0 || refused == 0 {
		t.Errorf("%d keys are served, %d refused", served, refused)
	}
	b.MustRefuse(t, "active_unreachable")

	promote := []string{"cluster", "promote", "--fenced", a.Name}
	for _, args := range [][]string{promote, append(promote, "--i-confirm", a.Name+" is powered off")} {
		if _, stderr := ktadmin(t, b, 3, args...); !strings.Contains(stderr, "its data can not all be read") || !strings.Contains(stderr, "block 0") || b.Duty(t) != "passive" {
			t.Errorf("promoted: %s", stderr)
		}
	}
	ktadmin(t, b, 0, "join-token", "--out", "/root/token")
	carry(t, root(b, "token"), root(a, "token"))
	if _, stderr := ktadmin(t, a, 1, "restore", "--from-survivor", b.Address, "--token-file", "/root/token"); !strings.Contains(stderr, "is damaged") || !strings.Contains(stderr, "block 0") || !strings.Contains(stderr, "restore --abort") {
		t.Errorf("restored from a damaged passive: %s", stderr)
	}
	ktadmin(t, a, 0, page.Ktadmin(t, "ktadmin restore --abort", w)...)

	stdout, _ := ktadmin(t, b, 1, append(page.Ktadmin(t, "ktadmin db check --since TIME", words("TIME", e.backup.Manifest.Started.Format(time.RFC3339))), "-o", "json")...)
	var check struct {
		Versions int
		Lost     []struct{ Name string } `json:"not_whole"`
		Since    []struct {
			Name, Why string
			At        time.Time
		}
	}
	if err := json.Unmarshal([]byte(stdout), &check); err != nil {
		t.Fatal(err)
	}
	var since, want []string
	for _, v := range check.Since {
		_, had := c.keys[strings.TrimSuffix(v.Name, "@0")]
		if had && v.At.Truncate(time.Second).Equal(e.backup.Manifest.Started) { // by that time, which is of whole seconds, the backup may lack it
			continue
		}
		since = append(since, v.Name+v.Why)
	}
	for _, k := range later {
		want = append(want, k.name+"@0")
	}
	slices.Sort(since)
	slices.Sort(want)
	if check.Versions != served+len(later) || len(check.Lost) != refused || !slices.Equal(since, want) {
		t.Errorf("it lists %d versions that are whole, %d that are not, and since the backup %q; want %q", check.Versions, len(check.Lost), since, want)
	}
	var rescued interop.KeyVersion
	c.do(interop.Call{URI: c.at(b), User: "hdfs", Op: "current", Name: later[0].name}, &rescued)
	if !bytes.Equal(rescued.Material, later[0].material) {
		t.Error("the passive serves another material")
	}

	const look = "ktadmin restore --from-backup BACKUP --identity IDENTITY --recovery-key RECOVERY --name NAME"
	e.bring(t, a)
	shell(t, a, "rm -f /root/token; mkdir /root/given-up && mv /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* /root/given-up/")
	if _, stderr := ktadmin(t, a, 3, page.Ktadmin(t, look, w)...); !strings.Contains(stderr, b.Name+" answers at ") || !strings.Contains(stderr, "data-damaged.md") {
		t.Errorf("beside a passive that is damaged: %s", stderr)
	}
	b.Stop(t)
	shell(t, b, "mkdir /root/damaged && mv /var/lib/keytrustee/* /var/lib/keytrustee/.[!.]* /root/damaged/")
	ktadmin(t, a, 0, page.Ktadmin(t, look, w)...)
	stdout, _ = ktadmin(t, a, 0, page.Ktadmin(t, look+` --i-confirm "OTHER is powered off"`, w)...)
	if !strings.Contains(stdout, fmt.Sprintf("%d versions of %[1]d keys, with the new root key", len(c.keys))) {
		t.Errorf("%d keys were acknowledged before the backup, and it opened: %s", len(c.keys), stdout)
	}
	a.Start(t)
	c.awaitsAt(a)
	ktadmin(t, a, 0, page.Ktadmin(t, "ktadmin join-token --out FILE", w)...)
	carry(t, root(a, "token"), root(b, "token"))
	ktadmin(t, b, 0, page.Ktadmin(t, "ktadmin init-slave --token-file FILE", w)...)
	b.Start(t)
	p.Roles(t)
	c.isWhole()
	c.lacks(later)

	var again, opened interop.KeyVersion
	c.do(interop.Call{URI: p.KMSURI, User: "hdfs", Op: "create", Name: later[0].name, Bits: 256, Material: rescued.Material}, &again)
	c.do(interop.Call{URI: p.KMSURI, User: "hdfs", Op: "decrypt", EEK: &eek}, &opened)
	if again.VersionName != rescued.VersionName || !bytes.Equal(again.Material, rescued.Material) || len(opened.Material) == 0 {
		t.Errorf("made again, %s is %s; what was encrypted with it is %d bytes", rescued.VersionName, again.VersionName, len(opened.Material))
	}
	c.keys[again.Name] = again.Material
	c.reads(p.Nodes...)
	page.AllTyped(t)
}
