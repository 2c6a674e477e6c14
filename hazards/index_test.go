package hazards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keytrustee/internal/indextest"
)

// TestIndex holds docs/hazards.md to the tests: every hazard and case has a row, every test that is named exists, and every test of this package
// is named.
func TestIndex(t *testing.T) {
	text, err := os.ReadFile("../docs/hazards.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, rows []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("H%d", i+1))
	}
	for i := range 21 {
		want = append(want, fmt.Sprintf("T%d", i+1))
	}
	row := regexp.MustCompile(`^\| ([HT]\d+) \|`)
	named := regexp.MustCompile("`([a-z/]+)\\.(Test\\w+)`")
	here := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		found := named.FindAllStringSubmatch(line, -1)
		if match := row.FindStringSubmatch(line); match != nil {
			rows = append(rows, match[1])
			if len(found) == 0 {
				t.Errorf("no test holds %s", match[1])
			}
		}
		for _, f := range found {
			if !slices.Contains(indextest.Tests(t, filepath.Join("..", f[1])), f[2]) {
				t.Errorf("package %s has no %s", f[1], f[2])
			}
			here[f[2]] = here[f[2]] || f[1] == "hazards"
		}
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the page has rows for %v, want %v", rows, want)
	}
	for _, name := range indextest.Tests(t, ".") {
		if !here[name] && name != "TestMain" && name != "TestIndex" {
			t.Errorf("the page does not name %s", name)
		}
	}
}
