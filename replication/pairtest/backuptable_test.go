package pairtest_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write down in docs/backup-faults.md what was seen")

// faultsPage says what came of each fault that befell a backup.
const faultsPage = "../../docs/backup-faults.md"

// table is what was seen, in the sections of that page.
type table struct {
	rows map[string][]string
}

// row adds what came of one fault.
func (b *table) row(section string, cells ...string) {
	if b.rows == nil {
		b.rows = map[string][]string{}
	}
	b.rows[section] = append(b.rows[section], "| "+strings.Join(cells, " | ")+" |\n")
}

// holdsPage holds the page to what was seen: in each section of which something was, the rows of its table.
func (b *table) holdsPage(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(faultsPage)
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	section, lines := "", 0 // of the table that it has come to
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if heading, is := strings.CutPrefix(line, "## "); is {
			section, lines = strings.TrimSpace(heading), 0
		}
		seen, ours := b.rows[section]
		if !ours || !strings.HasPrefix(line, "|") {
			page.WriteString(line)
			continue
		}
		if lines++; lines <= 2 { // what the columns are
			page.WriteString(line)
		}
		if lines == 2 {
			found[section] = true
			page.WriteString(strings.Join(seen, ""))
		}
	}
	for section := range b.rows {
		if !found[section] {
			t.Errorf("%s has no table of %q", faultsPage, section)
		}
	}
	if page.String() == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(faultsPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	seen, there := strings.Split(page.String(), "\n"), strings.Split(string(text), "\n")
	for _, line := range seen {
		if !slices.Contains(there, line) {
			t.Errorf("%s does not have what was seen:\n%s", faultsPage, line)
		}
	}
	for _, line := range there {
		if !slices.Contains(seen, line) {
			t.Errorf("%s has what was not seen:\n%s", faultsPage, line)
		}
	}
	t.Errorf("if what was seen is right: go test ./replication/pairtest -run %s -update", t.Name())
}
