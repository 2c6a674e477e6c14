package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"testing"

	"go.uber.org/goleak"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// startEnv makes the test binary a process that starts the server it describes, and ends.
const startEnv = "KEYTRUSTEE_TEST_START"

func TestMain(m *testing.M) {
	if description := os.Getenv(startEnv); description != "" {
		os.Exit(startOnly(description))
	}
	goleak.VerifyTestMain(m)
}

func startOnly(description string) int {
	var s postgres.Server
	ctx, cancel := context.WithTimeout(context.Background(), pgtest.Patience)
	defer cancel()
	err := json.Unmarshal([]byte(description), &s)
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestStartSurvives starts a server from a process that ends.
func TestStartSurvives(t *testing.T) {
	t.Parallel()
	s := pgtest.New(t, pgtest.Options{})
	stop(t, s, postgres.Fast)
	description, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	starter := osexec.CommandContext(pgtest.Context(t), os.Args[0])
	starter.Env = append(os.Environ(), startEnv+"="+string(description))
	if out, err := starter.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := query[int](t, s, `SELECT 1`); got != 1 {
		t.Error("the server does not answer")
	}
	if _, running := s.Pid(); !running {
		t.Error("the server does not run")
	}
	stop(t, s, postgres.Fast) // by a process that is not its parent
	if pid, running := s.Pid(); running {
		t.Errorf("process %d runs", pid)
	}
}
