package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"keytrustee/internal/indextest"
)

// TestRows: the guard stands where its row says, the house compiles without it, and the tests that must notice exist.
func TestRows(t *testing.T) {
	house := listed(t)
	named := map[string]bool{}
	tests := map[string][]string{}
	for _, r := range all {
		if named[r.guard] {
			t.Errorf("two rows are named %q", r.guard)
		}
		named[r.guard] = true
		if r.promise == "" || r.old == r.new {
			t.Errorf("%s: the row has no promise, or changes nothing", r.guard)
		}
		text, err := r.mutated()
		if err != nil {
			t.Errorf("%s: %v", r.guard, err)
			continue
		}
		if err := house.check(r.file, text); err != nil {
			t.Errorf("%s: %v", r.guard, err)
		}
		if tests[r.pkg] == nil {
			tests[r.pkg] = indextest.Tests(t, filepath.Join(root, r.pkg))
		}
		for name := range strings.SplitSeq(r.run, "|") {
			if !slices.Contains(tests[r.pkg], name) {
				t.Errorf("%s: there is no %s in %s", r.guard, name, r.pkg)
			}
		}
	}
}

// packages are those of the module, and what they import, as the go command has compiled them.
type packages struct {
	files  map[string][]string // by directory, from the module's
	export map[string]string   // by import path
	set    *token.FileSet
	parsed map[string]*ast.File
	types  types.Importer
}

func listed(t *testing.T) *packages {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,GoFiles,Export", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	above, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	p := &packages{files: map[string][]string{}, export: map[string]string{}, set: token.NewFileSet(), parsed: map[string]*ast.File{}}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var one struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
		}
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.export[one.ImportPath] = one.Export
		if dir, err := filepath.Rel(above, one.Dir); err == nil && !strings.HasPrefix(dir, "..") {
			p.files[dir] = one.GoFiles
		}
	}
	p.types = importer.ForCompiler(p.set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(p.export[path]) })
	return p
}

// check compiles the file's package with that text in the file's place.
func (p *packages) check(file string, text []byte) error {
	var files []*ast.File
	for _, name := range p.files[filepath.Dir(file)] {
		path := filepath.Join(filepath.Dir(file), name)
		if path == file {
			mutant, err := parser.ParseFile(p.set, path, text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files = append(files, mutant)
			continue
		}
		if p.parsed[path] == nil {
			other, err := parser.ParseFile(p.set, filepath.Join(root, path), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			p.parsed[path] = other
		}
		files = append(files, p.parsed[path])
	}
	config := types.Config{Importer: p.types, Sizes: types.SizesFor("gc", runtime.GOARCH)}
	_, err := config.Check("mutant", p.set, files, nil)
	return err
}
