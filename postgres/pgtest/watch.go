package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres"
)

// Watch returns a directory of programs that do as those of inst, and what was begun of it until then: the program, its first argument, "with it"
// where it had that file beside its standard streams, otherwise "without", and the directory that it began in. To ask for a version does not count.
func Watch(t testing.TB, inst postgres.Installation) (binDir string, begun func(file string) []string) {
	t.Helper()
	binDir = Dir(t)
	note := filepath.Join(binDir, "begun")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, note)
	entries, err := os.ReadDir(inst.BinDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		Script(t, filepath.Join(binDir, e.Name()),
			fmt.Sprintf(`[ "$1" = --version ] || echo %s "$1" ":$(readlink /proc/self/fd/3):" in "$(pwd -P)" >>%s`, e.Name(), note),
			fmt.Sprintf(`exec %s "$@"`, inst.Path(e.Name())))
	}
	return binDir, func(file string) (all []string) {
		text, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			what, rest, _ := strings.Cut(strings.TrimSpace(line), " :")
			had, where, _ := strings.Cut(rest, ": ")
			with := "without" // that it has another one is the business of who has begun this process
			if had == file {
				with = "with it"
			}
			all = append(all, what+" "+with+" "+where)
		}
		return all
	}
}

// Beginning runs, until the test's end or until it is ended, what is as a server that has just begun: it works in that data directory, and does
// not say yet that it is the server. It returns its process, and what is closed when that has ended.
func Beginning(t testing.TB, data string) (pid int, ended <-chan struct{}) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(Dir(t), "postgres")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "600")
	cmd.Dir = data
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		<-gone
	})
	return cmd.Process.Pid, gone
}

// Script makes a program that everybody may run, out of lines of the shell.
func Script(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
