package pairtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builds are the programs that this process has built, by their tags: the directory, or why there is none.
var builds struct {
	sync.Mutex
	dirs map[string]string
}

// build compiles both programs from the checkout, once for all tests of a process, and returns their directory.
func build(t testing.TB, tags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := strings.Join(tags, ",")
	if dir, ok := builds.dirs[key]; ok {
		return dir
	}
	dir, err := buildPrograms(key)
	if err != nil {
		t.Fatal(err)
	}
	if builds.dirs == nil {
		builds.dirs = map[string]string{}
	}
	builds.dirs[key] = dir
	return dir
}

func buildPrograms(tags string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin")
	if tags != "" {
		dir = filepath.Join(dir, tags)
	}
	cmd := exec.Command("go", "build", "-tags", tags, "-o", dir+string(filepath.Separator), "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, out)
	}
	return dir, nil
}

func moduleRoot() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}
