package main

import (
	"context"
	"errors"
	"keytrustee/host"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script is a program that stands for ktadmin.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ktadmin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBackupChild: the process yields to others, is logged, says why there is no backup, and ends when it is told to, or is killed.
func TestBackupChild(t *testing.T) {
	log := &testLog{}
	child := func(text string, args ...string) backupChild {
		return backupChild{script(t, text), args, slog.New(slog.NewTextHandler(log, nil))}
	}
	nice := func() int {
		t.Helper()
		n, err := syscall.Getpriority(syscall.PRIO_PROCESS, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return 20 - n
	}
	own := nice()
	if err := child(`echo "nice $(cut -d' ' -f19 /proc/self/stat), led by $(($$ - $(cut -d' ' -f6 /proc/$$/stat))), told $*" >&2`, "backup", "create").Run(t.Context()); err != nil {
		t.Error(err)
	}
	if want := "nice 19, led by 0, told backup create"; !strings.Contains(log.String(), want) || nice() != own {
		t.Errorf("want %q of it, and %d of this process, which has %d: %s", want, own, nice(), log)
	}
	err := child(`echo "copying the database…" >&2; echo "ktadmin: the configuration is wrong: a" >&2; echo "  b" >&2; echo "hint: put it right" >&2; exit 2`).Run(t.Context())
	if hinted, ok := errors.AsType[*host.HintedError](err); !ok || err.Error() != "the configuration is wrong: a b" || hinted.Hint != "put it right" {
		t.Errorf("one that fails: %v", err)
	}
	if err := child(`kill -9 $$`).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("one that is killed: %v", err)
	}
	absent := child("")
	absent.program += "absent"
	if err := absent.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for name, text := range map[string]string{"that cleans up": `trap 'echo "ktadmin: interrupted" >&2; exit 1' TERM; echo ready >&2; while :; do sleep 0.05; done`, "that does not listen": `trap '' TERM; echo ready >&2; while :; do sleep 0.05; done`} {
		ctx, stop := context.WithCancel(t.Context())
		log.reset()
		go func() {
			eventually(t, "it is ready", func() bool { return strings.Contains(log.String(), "ready") })
			stop()
		}()
		begin := time.Now()
		if err := child(text).Run(ctx); err == nil || time.Since(begin) > 10*time.Second {
			t.Errorf("one %s: %v after %v", name, err, time.Since(begin))
		}
		if strings.Contains(log.String(), "interrupted") != (name == "that cleans up") {
			t.Errorf("one %s: %s", name, log)
		}
	}
}

// childEnv makes the test binary a daemon that has such a process and is killed.
const childEnv = "KEYTRUSTEE_TEST_BACKUP_CHILD"

// TestBackupChildOfKilled: a daemon that is killed leaves no process that makes a backup.
func TestBackupChildOfKilled(t *testing.T) {
	if program := os.Getenv(childEnv); program != "" {
		backupChild{program, nil, slog.New(slog.DiscardHandler)}.Run(t.Context())
		return
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0], "-test.run=^TestBackupChildOfKilled$")
	cmd.Env = append(os.Environ(), childEnv+"="+script(t, `echo $$ > `+pidFile+`.new; mv `+pidFile+`.new `+pidFile+`; while :; do sleep 0.05; done`))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	eventually(t, "it runs", func() bool {
		text, err := os.ReadFile(pidFile)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "it is gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}
