package pairtest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Page is a page of docs/runbook, or a section elsewhere, whose commands a test types: the lines of its blocks, without their comments. A line
// that the page has not ends the test that types it, and AllTyped fails the test if the page has one that nobody has typed.
type Page struct {
	name  string
	lines []string
	typed []string
}

// OpenPage reads the page of that name, such as both-lost.md.
func OpenPage(t testing.TB, name string) *Page {
	t.Helper()
	return newPage(t, name, readFile(t, "docs/runbook/"+name))
}

// OpenSection reads what stands below that heading in a file of the module, such as README.md.
func OpenSection(t testing.TB, file, heading string) *Page {
	t.Helper()
	_, section, found := strings.Cut(readFile(t, file), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return newPage(t, file, section)
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newPage(t testing.TB, name, text string) *Page {
	t.Helper()
	p := &Page{name: name}
	for i, block := range strings.Split(text, "```") {
		if strings.HasPrefix(block, "xml\n") { // what a file is to hold
			continue
		}
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, "   #")
			if line = strings.TrimSpace(line); i%2 == 1 && line != "" {
				p.lines = append(p.lines, line)
			}
		}
	}
	if len(p.lines) == 0 {
		t.Fatalf("%s shows no command", name)
	}
	return p
}

// Args is a line of the page as it is typed: what is in quotation marks is one word, and each of words, the names in capitals that the page
// uses, stands for what it is mapped to.
func (p *Page) Args(t testing.TB, line string, words map[string]string) []string {
	t.Helper()
	p.take(t, line)
	var args []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 0 {
			args = append(args, strings.Fields(part)...)
		} else {
			args = append(args, part)
		}
	}
	for i, arg := range args {
		for word, is := range words {
			if arg == word || strings.HasPrefix(arg, word+" ") {
				args[i] = is + strings.TrimPrefix(arg, word)
			}
		}
	}
	return args
}

// Ktadmin is a line that calls ktadmin: what that is given.
func (p *Page) Ktadmin(t testing.TB, line string, words map[string]string) []string {
	t.Helper()
	return p.Args(t, line, words)[1:]
}

// Type types a line of the page at the shell of the node's host, as root, with what its words stand for, and returns what was printed. It
// ends the test if the command does not end with that status.
func (p *Page) Type(t testing.TB, n *Node, status int, line string, words map[string]string) (stdout, stderr string) {
	t.Helper()
	return p.TypeIn(t, "/", n, status, line, words)
}

// TypeIn is Type in that directory of the host.
func (p *Page) TypeIn(t testing.TB, dir string, n *Node, status int, line string, words map[string]string) (stdout, stderr string) {
	t.Helper()
	p.take(t, line)
	typed := line
	for _, word := range slices.Backward(slices.Sorted(maps.Keys(words))) { // of two that begin alike the longer one first
		typed = strings.ReplaceAll(typed, word, words[word])
	}
	stdout, stderr, got := n.Run(t, "/bin/sh", "-c", "cd "+dir+" && "+typed)
	t.Logf("root@%s# %s: %d\n%s%s", n.Name, typed, got, stdout, stderr)
	if got != status {
		t.Fatalf("%s: %q on %s ended with %d; want %d", p.name, typed, n.Name, got, status)
	}
	return stdout, stderr
}

func (p *Page) take(t testing.TB, line string) {
	t.Helper()
	if !slices.Contains(p.lines, line) {
		t.Fatalf("%s does not say %q, but\n%s", p.name, line, strings.Join(p.lines, "\n"))
	}
	p.typed = append(p.typed, line)
}

// AllTyped fails the test if the page has a command that nobody has typed.
func (p *Page) AllTyped(t testing.TB) {
	t.Helper()
	for _, line := range p.lines {
		if !slices.Contains(p.typed, line) {
			t.Errorf("nobody has typed %q, which %s says", line, p.name)
		}
	}
}
