package runbook_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// night is a pair, and the keys that were acknowledged to its clients.
type night struct {
	*pairtest.Pair
	keys map[string]string // their material
}

// TestRunbook: each page in turn, on one pair. After each, writes are open by themselves, and every key that was ever acknowledged is read from
// both hosts.
func TestRunbook(t *testing.T) {
	n := &night{pairtest.NewHosts(t, pairtest.Options{}), map[string]string{}}
	for _, page := range []struct {
		name string
		play func(*testing.T, *night, *pairtest.Page)
	}{
		{"certificate-expired.md", certificateExpired},
		{"root-key-lost.md", rootKeyLost},
		{"backup-identity-lost.md", identityLost},
		{"disk-full.md", diskFull},
		{"passive-lost.md", passiveLost},
		{"active-lost.md", activeLost},
		{"switchover.md", switchedOver},
		{"cold-start.md", coldStart},
		{"key-deleted.md", keyDeleted},
		{"restore-test-fails.md", restoreTestFails},
		{"host-stolen.md", hostStolen},
		{"upgrade.md", upgraded}, // the last one: the hosts have other programs then
	} {
		if !t.Run(page.name, func(t *testing.T) {
			n.creates(t)
			p := pairtest.OpenPage(t, page.name)
			begun := time.Now()
			page.play(t, n, p)
			n.whole(t)
			p.AllTyped(t)
			t.Logf("evidence: %s was typed in %v", page.name, time.Since(begun).Round(100*time.Millisecond))
		}) {
			return // the pair is not what the next page begins with
		}
	}
}

// creates makes keys, by way of both hosts, as soon as each takes one.
func (n *night) creates(t *testing.T) {
	t.Helper()
	for _, at := range n.Nodes {
		var name string
		pairtest.Await(t, 30*time.Second, "a key is made by way of "+at.Name, func() bool {
			name = pairtest.NewKey()
			return at.Create(t, name).Status == http.StatusCreated
		})
		n.keys[name] = at.MustServe(t, name)
	}
}

// reads reads every key from the host.
func (n *night) reads(t *testing.T, from *pairtest.Node) {
	t.Helper()
	for name, material := range n.keys {
		from.AwaitServed(t, name, material)
	}
}

// whole returns when writes are open, and finds every key on both hosts.
func (n *night) whole(t *testing.T) {
	t.Helper()
	n.Roles(t)
	pairtest.Await(t, time.Minute, "writes are open", func() bool { return n.Active.Writable(t) })
	n.creates(t)
	for _, at := range n.Nodes {
		n.reads(t, at)
	}
	n.SameContents(t)
}

// put writes a file of the host, which is whose it was, and root's if it is new.
func put(t *testing.T, at *pairtest.Node, path, text string) {
	t.Helper()
	if err := os.WriteFile(at.File(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, at *pairtest.Node, path string) string {
	t.Helper()
	text, err := os.ReadFile(at.File(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// says waits until a command of ktadmin on the host has printed all of that.
func says(t *testing.T, at *pairtest.Node, command string, want ...string) {
	t.Helper()
	var said string
	defer func() {
		if t.Failed() {
			t.Logf("ktadmin %s on %s said last:\n%s", command, at.Name, said)
		}
	}()
	pairtest.Await(t, 10*time.Second, "ktadmin "+command+" on "+at.Name+" says "+strings.Join(want, " … "), func() bool {
		out, errs, _ := at.Ktadmin(t, strings.Fields(command)...)
		said = strings.Join(strings.Fields(out+errs), " ")
		for _, w := range want {
			if !strings.Contains(said, w) {
				return false
			}
		}
		return true
	})
}

const (
	confdir     = "/var/lib/keytrustee/.keytrustee/"
	startEither = "systemctl start keytrustee-db keytrusteed"
)

// TestEveryPageIsTyped: a page of docs/runbook that shows commands in a block is opened by a test, and the index names each page.
func TestEveryPageIsTyped(t *testing.T) {
	var tests strings.Builder
	for _, dir := range []string{".", "../replication/pairtest", "../interop/disasters"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	index, err := os.ReadFile("../docs/runbook/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../docs/runbook/*.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 9 {
		t.Errorf("only %d pages", len(pages))
	}
	for _, path := range pages {
		name := filepath.Base(path)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if typed := regexp.MustCompile(`(?:[oO]penPage\(t, |^\s*\{|\{)"` + regexp.QuoteMeta(name) + `"`).MatchString(tests.String()); strings.Contains(string(text), "```") && !typed {
			t.Errorf("nobody types the commands of %s", name)
		}
		if name != "README.md" && !strings.Contains(string(index), "("+name+")") {
			t.Errorf("the index does not name %s", name)
		}
	}
}

// TestPagesThatAreNamedExist: what the product says leads to a page that there is.
func TestPagesThatAreNamedExist(t *testing.T) {
	named := regexp.MustCompile(`docs/runbook/[a-z-]+\.md`)
	found := 0
	for _, dir := range []string{"../cmd/ktadmin", "../cmd/keytrusteed", "../host", "../replication", "../backup"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, page := range named.FindAllString(string(text), -1) {
				found++
				if _, err := os.Stat("../" + page); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d pages are named anywhere", found)
	}
}
