package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Version is a version of PostgreSQL, such as 15.18.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// ParseVersion finds the version in what a program of PostgreSQL prints for --version.
func ParseVersion(s string) (Version, error) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("%q names no version of PostgreSQL", strings.TrimSpace(s))
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Version{}, err
	}
	minor, _ := strconv.Atoi(m[2]) // none in a beta such as 18beta1
	return Version{major, minor}, nil
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d{1,4})(?:\.(\d{1,4}))?`)

// oldest is, for each major version, the first minor one whose backends wait for the standby from the first moment after
// a start: earlier ones might not, though synchronous_standby_names was set.
var oldest = map[int]int{15: 13, 16: 9, 17: 5}

// Supported reports whether v is 15.13 or later, 16.9 or later, 17.5 or later, or of a later major version.
func (v Version) Supported() bool {
	minor, listed := oldest[v.Major]
	return listed && v.Minor >= minor || v.Major >= 18
}

// Installation is a directory with the programs of one version of PostgreSQL.
type Installation struct {
	BinDir  string
	Version Version
}

// Path is where a program of the installation lies.
func (i Installation) Path(program string) string { return filepath.Join(i.BinDir, program) }

// programs are those that this package runs.
var programs = []string{"postgres", "initdb", "pg_basebackup", "pg_controldata", "pg_dump", "pg_dumpall", "pg_resetwal", "pg_restore", "pg_verifybackup", "pg_waldump"}

// Find returns the newest supported installation, of those on PATH and where Debian and Red Hat put them. If there is
// none, the *SetupError says which versions are there and which package to install.
func Find(ctx context.Context) (Installation, error) {
	return find(ctx, candidates(), func(Version) bool { return true })
}

// ErrNoVersion means that a data directory does not say of which version it is, so that no server runs in it: it was laid out when the power
// was lost.
var ErrNoVersion = errors.New("names no version of PostgreSQL")

// FindFor is Find for an existing data directory, which only its own major version can open. ErrNoVersion: it does not say which.
func FindFor(ctx context.Context, data string) (Installation, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return Installation{}, fmt.Errorf("finding the version of a data directory: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return Installation{}, fmt.Errorf("%s %w", filepath.Join(data, "PG_VERSION"), ErrNoVersion)
	}
	return FindMajor(ctx, "the data directory "+data, major)
}

// FindMajor is Find for one major version, which what needs: the *SetupError says so.
func FindMajor(ctx context.Context, what string, major int) (Installation, error) {
	inst, err := find(ctx, candidates(), func(v Version) bool { return v.Major == major })
	if setup, ok := err.(*SetupError); ok {
		setup.Problem = fmt.Sprintf("%s is of PostgreSQL %d, and %s", what, major, setup.Problem)
		setup.Remedy = packages(major)
	}
	return inst, err
}

// candidates are the directories that may hold an installation, without duplicates.
func candidates() []string {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		found, _ := filepath.Glob(pattern) // fails only for a bad pattern
		dirs = append(dirs, found...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func find(ctx context.Context, dirs []string, wanted func(Version) bool) (Installation, error) {
	var best Installation
	var refused []string
	for _, dir := range dirs {
		inst := Installation{BinDir: dir}
		out, err := exec.CommandContext(ctx, inst.Path("postgres"), "--version").Output()
		if ctx.Err() != nil {
			return Installation{}, ctx.Err()
		}
		if err != nil {
			continue
		}
		if inst.Version, err = ParseVersion(string(out)); err != nil || !wanted(inst.Version) {
			continue
		}
		if !inst.Version.Supported() {
			refused = append(refused, fmt.Sprintf("%s in %s is too old", inst.Version, dir))
		} else if missing := inst.missing(); missing != "" {
			refused = append(refused, fmt.Sprintf("%s in %s has no %s", inst.Version, dir, missing))
		} else if best.BinDir == "" || newer(inst.Version, best.Version) {
			best = inst
		}
	}
	switch {
	case best.BinDir != "":
		return best, nil
	case refused != nil:
		return Installation{}, &SetupError{Problem: "no suitable PostgreSQL is installed: " + strings.Join(refused, "; "), Remedy: packages(0)}
	}
	return Installation{}, &SetupError{Problem: "PostgreSQL is not installed", Remedy: packages(0)}
}

// packages names what to install for that major version, or for the one that is best known here.
func packages(major int) string {
	if major < 15 {
		major = 15
	}
	return fmt.Sprintf("install the package postgresql-%d (Debian, Ubuntu) or postgresql%d-server (Red Hat), version %d.%d or later",
		major, major, major, oldest[major])
}

// missing names a program that the installation lacks, or nothing.
func (i Installation) missing() string {
	for _, program := range programs {
		if _, err := exec.LookPath(i.Path(program)); err != nil {
			return program
		}
	}
	return ""
}

func newer(a, b Version) bool {
	return a.Major > b.Major || a.Major == b.Major && a.Minor > b.Minor
}
