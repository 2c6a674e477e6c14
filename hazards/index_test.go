package hazards_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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
			if len(found) == 0 && match[1] != "T20" {
				t.Errorf("no test holds %s", match[1])
			}
		}
		for _, f := range found {
			if !slices.Contains(testsOf(t, f[1]), f[2]) {
				t.Errorf("package %s has no %s", f[1], f[2])
			}
			here[f[2]] = here[f[2]] || f[1] == "hazards"
		}
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the page has rows for %v, want %v", rows, want)
	}
	for _, name := range testsOf(t, "hazards") {
		if !here[name] && name != "TestMain" && name != "TestIndex" {
			t.Errorf("the page does not name %s", name)
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsOf returns the tests of a package of this module.
func testsOf(t *testing.T, room string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", room, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s: %d files of tests, %v", room, len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range testFunc.FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
	}
	return names
}
