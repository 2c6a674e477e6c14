// Package cached keeps what tests and the demo fetch from package registries, so that it is fetched once on a machine.
package cached

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Once returns the directory of this user's cache that fill has made of content, now or at an earlier time. A directory with that name is
// complete: fill works in another one, which is then renamed.
func Once(name string, content []byte, fill func(dir string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a directory to keep %s in: %w; set XDG_CACHE_HOME", name, err)
	}
	cache = filepath.Join(cache, "keytrustee")
	done := filepath.Join(cache, fmt.Sprintf("%s-%x", name, sha256.Sum256(content))[:len(name)+17])
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, name+".partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := fill(dir); err != nil {
		return "", err
	}
	if err := os.Rename(dir, done); err != nil {
		if _, lost := os.Stat(done); lost == nil { // another process was as quick
			return done, nil
		}
		return "", err
	}
	return done, nil
}

// Run runs a program in dir without a terminal, and returns what it said if it did not succeed.
func Run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
