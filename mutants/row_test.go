package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// root is the module's directory, seen from this package.
const root = ".."

// row is one guard, switched off.
type row struct {
	guard   string // its name
	file    string // where it stands, from the module's directory
	old     string // what stands there, once
	new     string // what stands there instead
	promise string // what is broken then
	pkg     string // the tests that must notice: their package,
	run     string // and their names, with | between them
}

// all is every row.
var all = slices.Concat(repeats, service, store, horizon, start, decide, operations, seal, admission, opened, backups, ship, displayed, dumps, copies, openpgp, certificates, damage, orphaned)

// mutated is the file with its guard switched off.
func (r row) mutated() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, r.file))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), r.old); n != 1 {
		return nil, fmt.Errorf("%s: %q occurs %d times", r.file, r.old, n)
	}
	return []byte(strings.Replace(string(text), r.old, r.new, 1)), nil
}

// matches reports whether the row is one of those that are asked for.
func (r row) matches(pattern *regexp.Regexp) bool {
	return pattern.MatchString(r.guard) || pattern.MatchString(r.file)
}
