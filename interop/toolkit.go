package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed pom.xml src
var files embed.FS

// Toolkit is the stock Hadoop client on this machine. It may be used concurrently.
type Toolkit struct {
	classPath string
}

// Prepare returns the toolkit. The first call on a machine fetches the libraries of pom.xml with Maven and compiles the driver, into
// the user's cache, under names made of their contents; later ones find them there.
func Prepare(ctx context.Context) (*Toolkit, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("looking for a directory to keep the Hadoop client in: %w; set XDG_CACHE_HOME", err)
	}
	cache = filepath.Join(cache, "keytrustee")
	pom, err := files.ReadFile("pom.xml")
	if err != nil {
		return nil, err
	}
	libraries, err := once(cache, "hadoop", pom, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
			return err
		}
		return run(ctx, dir, "mvn", "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	if err != nil {
		return nil, err
	}
	jars := filepath.Join(libraries, "lib", "*")
	const java = "src/main/java/keytrustee/interop/Driver.java"
	driver, err := files.ReadFile(java)
	if err != nil {
		return nil, err
	}
	logging, err := files.ReadFile("src/main/resources/log4j.properties")
	if err != nil {
		return nil, err
	}
	classes, err := once(cache, "driver", bytes.Join([][]byte{pom, driver, logging}, nil), func(dir string) error {
		source := filepath.Join(dir, "Driver.java")
		if err := os.WriteFile(source, driver, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "log4j.properties"), logging, 0o644); err != nil {
			return err
		}
		return run(ctx, dir, "javac", "--release", "17", "-cp", jars, "-d", dir, source)
	})
	if err != nil {
		return nil, err
	}
	return &Toolkit{classPath: classes + ":" + jars}, nil
}

// once returns the directory of cache that fill has made of content, now or at an earlier time. A directory with that name is
// complete: fill works in another one, which is then renamed.
func once(cache, name string, content []byte, fill func(dir string) error) (string, error) {
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

// run runs a program in dir without a terminal, and returns what it said if it did not succeed.
func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w\n%s", program, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
