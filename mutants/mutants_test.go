package mutants

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	wanted = flag.Bool("mutants", false, "run the mutants")
	rows   = flag.String("rows", "", "only the rows whose name or file matches this regular expression")
)

// TestMutants switches off one guard after the other, and fails for each that nothing notices. The tests are first run as
// they are: one that fails anyway notices nothing.
func TestMutants(t *testing.T) {
	if !*wanted {
		t.Skip("it takes long: make mutants")
	}
	pattern, err := regexp.Compile(*rows)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]result{}
	ran := 0
	for _, r := range all {
		if !r.matches(pattern) {
			continue
		}
		ran++
		t.Run(r.guard, func(t *testing.T) {
			tests := r.pkg + " " + r.run
			if _, known := whole[tests]; !known {
				whole[tests] = r.test(t, "", 10*time.Minute)
			}
			before := whole[tests]
			if before.err != nil {
				t.Fatalf("%s fails with every guard in place: %v", tests, before.err)
			}
			// What waits for ever has noticed too.
			switch after := r.test(t, r.overlay(t), 20*time.Second+4*before.ran()); {
			case after.err == nil:
				t.Errorf("nothing noticed. Without it %s, and %s says nothing", r.promise, tests)
			case strings.Contains(after.out, "[build failed]") || !strings.Contains(after.out, "FAIL"):
				t.Errorf("it could not be tried: %v\n%s", after.err, after.out)
			default:
				t.Logf("noticed in %.1f s: %s", after.took.Seconds(), first(after.out))
			}
		})
	}
	if ran == 0 {
		t.Errorf("no row matches %q", *rows)
	}
}

// overlay returns a file that tells the go command to read the mutant instead of what is on the disk.
func (r row) overlay(t *testing.T) string {
	t.Helper()
	text, err := r.mutated()
	if err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(filepath.Join(root, r.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mutant, overlay := filepath.Join(dir, filepath.Base(r.file)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{mutant: text, overlay: list} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// result is what came of a run of tests.
type result struct {
	out  string
	err  error
	took time.Duration
}

var okLine = regexp.MustCompile(`(?m)^ok\s+\S+\s+([\d.]+s)`)

// ran is how long the tests themselves took, which have passed.
func (r result) ran() time.Duration {
	if m := okLine.FindStringSubmatch(r.out); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil {
			return d
		}
	}
	return r.took
}

// test runs the row's tests. The overlay lies in the environment, for the builds of programs that a test starts.
func (r row) test(t *testing.T, overlay string, limit time.Duration) result {
	t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-vet=off", "-failfast", "-timeout="+limit.String(), "-run=^("+r.run+")$", "./"+r.pkg)
	cmd.Dir = root
	cmd.Env = os.Environ()
	if overlay != "" {
		cmd.Env = append(cmd.Env, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(text.String()))
	}
	return result{text.String(), err, time.Since(began)}
}

// logged are lines that say what happened, or that another process of the test failed, and not what is wrong.
var logged = regexp.MustCompile(`level=|evidence: |exit status`)

// first is the first sentence of a test that failed.
func first(out string) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if logged.MatchString(line) {
			continue
		}
		if strings.Contains(line, "_test.go:") || strings.HasPrefix(line, "panic:") {
			return line
		}
	}
	return strings.TrimSpace(tail(out))
}

func tail(out string) string { return out[max(0, len(out)-1500):] }
