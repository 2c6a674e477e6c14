package pairtest

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// Life is a testing.TB that ends after the test that began it, with a pair that several tests hurt in turn: with the process, or when the pair
// can not be used any more. TB is the test that began it; nil once that may have ended.
type Life struct {
	testing.TB
	ends   []func()
	failed bool
}

func (l *Life) Helper()          {}
func (l *Life) Failed() bool     { return l.failed }
func (l *Life) Cleanup(f func()) { l.ends = append(l.ends, f) }

func (l *Life) TempDir() string {
	dir, err := os.MkdirTemp("", "kt-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Setenv is testing.TB's, until the end of the life.
func (l *Life) Setenv(key, value string) {
	before, had := os.LookupEnv(key)
	if err := os.Setenv(key, value); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if had {
			os.Setenv(key, before)
			return
		}
		os.Unsetenv(key)
	})
}

func (l *Life) Logf(format string, args ...any) {
	if l.TB != nil {
		l.TB.Logf(format, args...)
	}
}

func (l *Life) Errorf(format string, args ...any) {
	l.failed = true
	if l.TB != nil {
		l.TB.Errorf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (l *Life) Fatal(args ...any) { l.Fatalf("%s", fmt.Sprintln(args...)) }

func (l *Life) Fatalf(format string, args ...any) {
	if l.TB != nil {
		l.failed = true
		l.TB.Fatalf(format, args...)
	}
	panic(fmt.Sprintf(format, args...))
}

// FailIn lets the life end as that of a test which has failed: t.
func (l *Life) FailIn(t testing.TB) { l.TB, l.failed = t, true }

// End ends it, with what was begun for it.
func (l *Life) End() {
	for _, f := range slices.Backward(l.ends) {
		f()
	}
	l.ends = nil
}
