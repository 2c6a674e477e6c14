package keytrustee

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "keytrustee"

// A room is a package of this module, and the packages of this module that it may import. Its tests may import those,
// itself, and what inTests names beside them. What each room is for, doc.go says.
type room struct {
	name    string
	imports string
	inTests string
}

const everything = "*"

var house = []room{
	{"kms", "", "kms/kmstest internal/indextest"},
	{"kms/rest", "kms", "kms/kmstest kms/auth replication replication/peer"},
	{"kms/auth", "kms", ""},
	{"kms/acl", "kms", ""},
	{"kms/audit", "kms internal/durable", "internal/freeport"},
	{"kms/seal", "kms internal/durable", ""},
	{"kms/pgstore", "kms postgres", "kms/kmstest postgres/pgtest"},
	{"kms/kmstest", "kms", ""},
	{"postgres", "internal/durable", "postgres/pgtest"},
	{"postgres/pgtest", "postgres internal/cached internal/freeport", ""},
	{"replication", "postgres internal/durable", "postgres/pgtest replication/peer"},
	{"replication/peer", "replication", "certs internal/durable"},
	{"replication/pairtest", "postgres replication/forgetfs internal/freeport internal/machine", "postgres/pgtest internal/sshtest kms/seal"},
	{"replication/forgetfs", "", "internal/durable postgres postgres/pgtest"},
	{"faults", "postgres postgres/pgtest replication/pairtest", ""},
	{"backup", "postgres internal/durable internal/seam", "postgres/pgtest internal/sshtest internal/gpgtest internal/indextest replication/forgetfs"},
	{"certs", "", ""},
	{"host", "kms/seal postgres replication certs internal/durable internal/seam", "postgres/pgtest replication/peer"},
	{"status", "", ""},
	{"metrics", "replication", "postgres"},
	{"internal/cached", "", ""},
	{"internal/config", "internal/durable", ""},
	{"internal/durable", "", ""},
	{"internal/freeport", "", ""},
	{"internal/gpgtest", "", ""},
	{"internal/indextest", "", ""},
	{"internal/machine", "", ""},
	{"internal/progress", "", ""},
	{"internal/release", "", ""},
	{"internal/seam", "", ""},
	{"internal/spare", "", ""},
	{"internal/sshtest", "postgres postgres/pgtest", ""},
	{"internal/undumped", "", ""},
	{"cmd/internal/auditlog", "host kms/audit cmd/internal/thishost internal/config internal/durable", ""},
	{"cmd/internal/thishost", "host replication backup internal/config", ""},
	{"cmd/keytrusteed", everything, ""},
	{"cmd/ktadmin", everything, ""},
	{"hazards", "", "replication/pairtest replication postgres postgres/pgtest kms/seal internal/indextest"},
	{"runbook", "", "kms/seal replication/pairtest"},
	{"interop", "internal/cached", "replication/pairtest"},
	{"interop/twohosts", "", "interop internal/machine"},
	{"interop/disasters", "", "interop replication/pairtest postgres/pgtest"},
	{"mutants", "", "internal/indextest"},
	{"bench", "", "kms kms/seal postgres replication/pairtest"},
	{"demo", "interop internal/freeport", ""},
}

// outside names the packages that only some rooms may reach for.
var outside = map[string][]string{
	"github.com/spf13/viper": {"internal/config"},
	"github.com/spf13/cobra": {"cmd/ktadmin", "cmd/keytrusteed"},
}

// TestMap holds doc.go to the house: the same rooms in the same order, each with a line that says what it is for.
func TestMap(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var onMap []string
	for line := range strings.Lines(parsed.Doc.Text()) {
		if row, ok := strings.CutPrefix(line, "\t"); ok {
			name, sentence, _ := strings.Cut(row, " ")
			if strings.TrimSpace(sentence) == "" {
				t.Errorf("doc.go does not say what %s is for", name)
			}
			onMap = append(onMap, name)
		}
	}
	var rooms []string
	for _, r := range house {
		rooms = append(rooms, r.name)
	}
	if !slices.Equal(onMap, rooms) {
		t.Errorf("doc.go has the rooms\n%q\nthe house has\n%q", onMap, rooms)
	}
}

// TestFilesOnTheMap holds the map of each room, if its doc.go has one, to the files that are there.
func TestFilesOnTheMap(t *testing.T) {
	listed, there := map[string][]string{}, map[string][]string{}
	names := regexp.MustCompile(`\b[a-z_]+\.go\b`)
	for _, file := range goFiles(t) {
		dir, name := filepath.Split(file)
		if name != "doc.go" {
			there[dir] = append(there[dir], name)
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(parsed.Doc.Text()) {
			if strings.HasPrefix(line, "\t") {
				listed[dir] = append(listed[dir], names.FindAllString(line, -1)...)
			}
		}
	}
	for dir, onMap := range listed {
		for _, name := range onMap {
			if !slices.Contains(there[dir], name) {
				t.Errorf("%sdoc.go lists %s, which is not there", dir, name)
			}
		}
		for _, name := range there[dir] {
			if !strings.HasSuffix(name, "_test.go") && !slices.Contains(onMap, name) {
				t.Errorf("%sdoc.go does not list %s", dir, name)
			}
		}
	}
}

// TestArrows reads what every file of the module imports, and holds it against the house.
func TestArrows(t *testing.T) {
	rooms := map[string]room{}
	for _, r := range house {
		rooms[r.name] = r
	}
	found := map[string]bool{}
	for _, file := range goFiles(t) {
		name := filepath.ToSlash(filepath.Dir(file))
		if name == "." {
			continue
		}
		found[name] = true
		r, ok := rooms[name]
		if !ok {
			continue // reported below, once
		}
		for _, path := range imports(t, file) {
			if why := r.refuses(path, strings.HasSuffix(file, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
		}
	}
	for name := range found {
		if _, ok := rooms[name]; !ok {
			t.Errorf("package %s has no row in the house", name)
		}
	}
	for _, r := range house {
		if !found[r.name] {
			t.Errorf("the house has a row for %s, which has no package", r.name)
		}
	}
}

// refuses says why a file of r may not import path, or nothing.
func (r room) refuses(path string, inTest bool) string {
	if only := outside[path]; only != nil && !slices.Contains(only, r.name) {
		return "only " + strings.Join(only, ", ") + " may"
	}
	name, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		if r.name == "kms" && !inTest && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
			return "kms imports the standard library only"
		}
		return ""
	}
	allowed := strings.Fields(r.imports)
	if inTest {
		allowed = append(append(allowed, r.name), strings.Fields(r.inTests)...)
	}
	if r.imports != everything && !slices.Contains(allowed, name) {
		return "its row allows " + strings.Join(allowed, ", ")
	}
	return ""
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch base := filepath.Base(path); {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (base == "testdata" || base == "target" || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestArrowsAreHeld shows that the check above can fail: each row is an import that must be refused.
func TestArrowsAreHeld(t *testing.T) {
	for _, wrong := range []struct {
		room   string
		path   string
		inTest bool
	}{
		{"kms", "keytrustee/internal/durable", false},
		{"kms", "github.com/jackc/pgx/v5", false},
		{"kms/rest", "keytrustee/kms/pgstore", true},
		{"replication", "keytrustee/kms", true},
		{"postgres", "keytrustee/postgres/pgtest", false},
		{"host", "keytrustee/internal/config", false},
		{"status", "github.com/spf13/viper", false},
	} {
		at := slices.IndexFunc(house, func(r room) bool { return r.name == wrong.room })
		if house[at].refuses(wrong.path, wrong.inTest) == "" {
			t.Errorf("%s may import %s", wrong.room, wrong.path)
		}
	}
}
