package main

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsThatAreNamedExist: whatever sends somebody to a command of ktadmin, a sentence of ours or a page, sends them to
// one that there is.
func TestCommandsThatAreNamedExist(t *testing.T) {
	command := regexp.MustCompile(`\bktadmin ((?:[a-z]+-)*[a-z]+)(?: ((?:[a-z]+-)*[a-z]+))?`)
	prose := map[string]bool{"administers": true, "as": true, "is": true, "was": true} // what is said of ktadmin itself
	root, named := newRootCommand(new(app)), 0
	check := func(place, text string) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if prose[m[1]] {
				continue
			}
			named++
			found, _, err := root.Find(m[1:2])
			if err != nil || found == root {
				t.Errorf("%s: there is no ktadmin %s", place, m[1])
			} else if found.HasSubCommands() && m[2] != "" {
				if _, rest, err := found.Find(m[2:3]); err != nil || len(rest) > 0 {
					t.Errorf("%s: there is no ktadmin %s %s", place, m[1], m[2])
				}
			}
		}
	}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "target" || d.Name() == "testdata" || d.Name() == "tools"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			text, err := os.ReadFile(path)
			for i, part := range strings.Split(string(text), "`") {
				if i%2 == 1 { // code, in line or in a block
					check(path, part)
				}
			}
			return err
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var s scanner.Scanner
			s.Init(token.NewFileSet().AddFile(path, -1, len(text)), text, nil, 0)
			for {
				_, tok, literal := s.Scan()
				if tok == token.EOF {
					return nil
				} else if tok == token.STRING {
					check(path, literal)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named < 50 {
		t.Errorf("only %d commands are named anywhere: the pattern finds nothing any more", named)
	}
}
