package keytrustee

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "keytrustee"

// A room is a package of this module, the sentence that says what it is for, and the packages of this module that it may
// import. Its tests may import those, itself, and what inTests names beside them.
type room struct {
	name, sentence string
	imports        string
	inTests        string
}

const everything = "*"

var house = []room{
	{"kms", "the vocabulary: keys, versions, principals, errors, and Service, the one door to them",
		"", "kms/kmstest"},
	{"kms/rest", "HTTP in, HTTP out: Hadoop's KMS protocol",
		"kms internal/durable", "kms/kmstest kms/auth"},
	{"kms/auth", "who calls: simple authentication, the signed cookie, the peer's assertion",
		"kms internal/durable", ""},
	{"kms/acl", "who may: the Policy",
		"kms internal/durable", ""},
	{"kms/audit", "what was asked and what came of it: the Recorder",
		"kms internal/durable", ""},
	{"kms/seal", "root keys, the key-encryption key, sealing, proofs",
		"kms internal/durable", ""},
	{"kms/pgstore", "kms.Store on PostgreSQL",
		"kms postgres internal/durable", "kms/kmstest postgres/pgtest"},
	{"kms/kmstest", "kms.Store in memory, and the conformance test that every store passes",
		"kms internal/durable", ""},
	{"postgres", "one PostgreSQL server of this host",
		"internal/durable", "postgres/pgtest"},
	{"postgres/pgtest", "real PostgreSQL servers for tests",
		"postgres internal/durable", ""},
	{"replication", "the pair: states, gate, horizon, gated start; knows no keys",
		"postgres internal/durable", "postgres/pgtest replication/peer"},
	{"replication/peer", "the protocol between the two daemons",
		"replication postgres internal/durable", "certs"},
	{"replication/pairtest", "a real pair for tests, with faults",
		"postgres", ""},
	{"certs", "the cluster's authority and each host's certificates",
		"internal/durable", ""},
	{"host", "a host's life: init, bootstrap, join, enable",
		"kms/seal postgres replication replication/peer certs internal/durable", "postgres/pgtest"},
	{"status", "one report for ktadmin and for load balancers",
		"replication certs internal/durable", ""},
	{"internal/durable", "writes, renames and removes files so that power loss keeps them",
		"", ""},
	{"internal/config", "keytrustee.yaml and node.yaml in one struct, validated whole",
		"internal/durable", ""},
	{"internal/release", "names what is running",
		"", ""},
	{"cmd/internal/thishost", "the host that a program runs on, out of its configuration",
		"host internal/config", ""},
	{"cmd/keytrusteed", "the daemon: introduces the rooms to each other",
		everything, ""},
	{"cmd/ktadmin", "the operator's tool",
		everything, ""},
	{"interop", "the stock Hadoop client, as a program to run",
		"", "replication/pairtest"},
	{"interop/twohosts", "the original's command lines, between two hosts made of namespaces",
		"", "interop"},
	{"demo", "shows a newcomer the promises, with the stock Hadoop client",
		"interop", ""},
}

// outside names the packages that only some rooms may reach for.
var outside = map[string][]string{
	"github.com/spf13/viper": {"internal/config"},
	"github.com/spf13/cobra": {"cmd/ktadmin", "cmd/keytrusteed"},
}

// TestArrows reads what every file of the module imports, and holds it against the house.
func TestArrows(t *testing.T) {
	rooms := map[string]room{}
	for _, r := range house {
		rooms[r.name] = r
		if r.sentence == "" {
			t.Errorf("%s: no sentence says what it is for", r.name)
		}
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
