package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ktadmin": main,
	})
}

// TestScripts runs testdata/script: each command's output, errors and exit statuses, and what must not exist after a failure.
func TestScripts(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	user, err := postgres.CurrentOSUser()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			dir := pgtest.Dir(t) // short enough for sockets
			one, err1 := age.GenerateX25519Identity()
			two, err2 := age.GenerateX25519Identity()
			quantum, err3 := age.GenerateHybridIdentity()
			if err := errors.Join(err1, err2, err3); err != nil {
				return err
			}
			for key, value := range map[string]string{
				"DIR": dir, "CONF": filepath.Join(dir, "kt01", ".keytrustee"), "CONF2": filepath.Join(dir, "kt02", ".keytrustee"), "NODE": filepath.Join(dir, "kt01", "node"),
				"KEYTRUSTEE_USER": user.Name, "KEYTRUSTEE_SOCKET_DIR": filepath.Join(dir, "s"), "KEYTRUSTEE_LISTEN_ADDRESS": "127.0.0.1",
				"KEYTRUSTEE_DB_PORT": strconv.Itoa(pgtest.FreePort(t)), "KEYTRUSTEE_CLUSTER_PORT": strconv.Itoa(pgtest.FreePort(t)),
				"AGE1": one.Recipient().String(), "AGE2": two.Recipient().String(), "AGEPQ": quantum.Recipient().String(), "AGESECRET": one.String(),
			} {
				e.Setenv(key, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "mode": mode, "secretless": secretless},
	})
}

// fails STATUS PROGRAM ARGS: the command ends with that status, prints no result, and its last line is a hint.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails status program [args]")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status = exit.ExitCode()
	}
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("a command that fails printed a result: %q", out)
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "hint: ") || len(last) < len("hint: ...") {
		ts.Fatalf("the last line is no hint: %q", last)
	}
}

// mode OCTAL FILE...: each file has these permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	for _, path := range args[1:] {
		info, err := os.Stat(ts.MkAbs(path))
		ts.Check(err)
		if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", path, got, args[0])
		}
	}
}

// secretless SECRET FILE...: no file holds what is in SECRET.
func secretless(ts *testscript.TestScript, neg bool, args []string) {
	secret := strings.TrimSpace(ts.ReadFile(args[0]))
	for _, path := range args[1:] {
		if strings.Contains(ts.ReadFile(path), secret) {
			ts.Fatalf("%s holds the secret that is in %s", path, args[0])
		}
	}
}
