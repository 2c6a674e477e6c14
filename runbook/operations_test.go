package runbook_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

const summary = "ktadmin cluster summary"

// switchedOver: the duties change and change back, by each host.
func switchedOver(t *testing.T, n *night, page *pairtest.Page) {
	const switchover = "ktadmin cluster switchover"
	for _, at := range n.Nodes {
		next := n.Passive
		if out, _ := page.Type(t, at, 0, switchover+" --check", nil); !strings.Contains(out, "would be done") || next.Duty(t) != "passive" {
			t.Errorf("the check left %s and said %s", next.Duty(t), out)
		}
		if _, errs := page.Type(t, at, 3, switchover+" --abort", nil); !strings.Contains(errs, "no switchover") {
			t.Errorf("nothing to give up: %s", errs)
		}
		page.Type(t, at, 0, switchover, nil)
		n.Roles(t)
		if n.Active != next {
			t.Fatalf("the active is %s", n.Active.Name)
		}
		if out, _ := page.Type(t, at, 0, "ktadmin cluster info", nil); !strings.Contains(out, next.Name) {
			t.Errorf("who is the active: %s", out)
		}
		n.whole(t)
	}
}

// coldStart: both hosts are off. The passive comes alone, then the active alone, then both; at last the passive's disk is gone, and another
// takes its place.
func coldStart(t *testing.T, n *night, page *pairtest.Page) {
	a, b := n.Active, n.Passive
	comes := func(at *pairtest.Node, want ...string) {
		t.Helper()
		page.Type(t, at, 0, "date -u", nil)
		page.Type(t, at, 0, startEither, nil)
		at.Says(t, 0, want...)
		page.Type(t, at, 0, "ktadmin status", nil)
	}
	lists := func(at *pairtest.Node) int { return at.Do(t, http.MethodGet, "/kms/v1/keys/names", nil, nil).Status }

	n.Down(t)
	comes(b, "writes CLOSED since ", "active_unreachable", "reads served")
	n.reads(t, b)
	if status := lists(b); status != http.StatusOK {
		t.Errorf("the passive alone answers a list with %d", status)
	}
	b.MustRefuse(t, "active_unreachable")

	b.Kill(t)
	comes(a, "writes CLOSED since ", "passive_unreachable", "reads known keys are served; lists and unknown names are not")
	n.reads(t, a)
	if status := lists(a); status != http.StatusServiceUnavailable {
		t.Errorf("the active alone answers a list with %d", status)
	}
	if out, errs, status := a.Ktadmin(t, "cluster", "remove", b.Name); status != 3 {
		t.Errorf("a passive that the active could not compare itself with is given up: %d, %s%s", status, out, errs)
	}
	comes(b, "writes open at the active")
	n.whole(t)
	page.Type(t, a, 0, summary, nil)
	for _, at := range n.Nodes {
		page.Type(t, at, 0, "ktadmin db check", nil)
	}

	n.Down(t)
	b.Destroy(t)
	comes(a, "writes CLOSED since ", "passive_unreachable")
	words := map[string]string{"FILE": "/root/token"}
	put(t, b, "/root/token", a.Token(t))
	if _, errs, status := b.Ktadmin(t, "init-slave", "--token-file", "/root/token"); status != 3 || !strings.Contains(errs, "--replace") {
		t.Errorf("with a token that replaces nobody: %d, %s", status, errs)
	}
	a.Run(t, "rm", "-f", "/root/token")
	page.Type(t, a, 0, "ktadmin join-token --replace --out FILE", words)
	put(t, b, "/root/token", read(t, a, "/root/token"))
	page.Type(t, b, 0, join, words)
	page.Type(t, b, 0, startEither, nil)
}

// upgraded: the pair gets a later release, the passive first, and then one that speaks another cluster protocol.
func upgraded(t *testing.T, n *night, page *pairtest.Page) {
	install := func(at *pairtest.Node, bin string) {
		t.Helper()
		for from, dir := range map[string]string{bin: "bin", "../packaging": "packaging"} {
			if err := os.RemoveAll(at.File("/root/" + dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(at.File("/root/"+dir), os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{
			"systemctl stop keytrusteed keytrustee-db",
			"install -m 0755 bin/keytrusteed packaging/ktbackup.sh bin/ktadmin /usr/bin",
			"install -m 0644 packaging/systemd/*.service packaging/systemd/*.timer /etc/systemd/system",
			"systemctl daemon-reload",
			startEither,
		} {
			page.TypeIn(t, "/root", at, 0, line, nil)
		}
		for _, from := range n.Nodes {
			n.reads(t, from)
		}
	}
	differ := func(versions string) {
		t.Helper()
		says(t, n.Active, "cluster summary", " BAD ", "the hosts run different releases: "+versions)
	}

	var ours string
	if out, _, _ := n.Active.Ktadmin(t, "version"); len(strings.Fields(out)) > 1 {
		ours = strings.Fields(out)[1]
	}
	const switchover = "ktadmin cluster switchover"
	later := release(t, "9.1.0", "")
	for i := range 2 {
		at := n.Passive
		install(at, later)
		pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return n.Active.Writable(t) })
		page.Type(t, at, 0, summary, nil)
		if i == 0 {
			differ(ours + ", 9.1.0")
		}
		page.Type(t, at, 0, switchover, nil)
		n.Roles(t)
		if n.Active != at {
			t.Fatalf("the active is %s", n.Active.Name)
		}
		n.whole(t)
	}

	another := release(t, "9.2.0", "99")
	a, b := n.Active, n.Passive
	install(b, another)
	says(t, a, "status", "version_mismatch", "cluster protocol")
	differ("9.1.0, 9.2.0")
	a.MustRefuse(t, "version_mismatch")
	page.Ktadmin(t, switchover, nil)
	if out, errs, status := b.Ktadmin(t, "cluster", "switchover"); status != 3 {
		t.Errorf("a switchover: %d, %s%s", status, out, errs)
	}
	install(a, another)
}

// release is a directory with the programs of another release, which speaks that cluster protocol; empty: this one's.
func release(t *testing.T, version, protocol string) (bin string) {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	edit := func(file, pattern, now string) {
		t.Helper()
		path, err := filepath.Abs("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		constant := regexp.MustCompile(pattern)
		if err != nil || len(constant.FindAll(text, -1)) != 1 {
			t.Fatalf("%s, with one %q: %v", file, pattern, err)
		}
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], constant.ReplaceAll(text, []byte(now)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("internal/release/release.go", `const Version = ".*"`, `const Version = "`+version+`"`)
	if protocol != "" {
		edit("replication/heartbeat.go", `const Protocol = \d+`, "const Protocol = "+protocol)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(dir, "bin")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin+string(filepath.Separator), "../cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}
