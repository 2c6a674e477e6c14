package backup

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keytrustee/internal/indextest"
)

// TestFaultsOfShip holds the table in docs/backup.md to the tests: every one that is named exists, and every one that sends has a row.
func TestFaultsOfShip(t *testing.T) {
	text, err := os.ReadFile("../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile("`backup\\.(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		named = append(named, m[1])
	}
	there := indextest.Tests(t, ".")
	for _, name := range named {
		if !slices.Contains(there, name) {
			t.Errorf("docs/backup.md names %s, which is not there", name)
		}
	}
	for _, name := range there {
		if strings.HasPrefix(name, "TestShip") && !slices.Contains(named, name) {
			t.Errorf("docs/backup.md does not name %s", name)
		}
	}
}
