package machine

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLives: a process that was killed runs no longer, though nobody has taken note of its end.
func TestLives(t *testing.T) {
	cmd := exec.Command("sleep", "infinity")
	must(t, cmd.Start())
	if !lives(cmd.Process.Pid) {
		t.Error("a process that runs has ended")
	}
	must(t, cmd.Process.Kill())
	must(t, unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	if lives(cmd.Process.Pid) {
		t.Error("a zombie runs")
	}
	cmd.Wait()
	if lives(cmd.Process.Pid) {
		t.Error("a process that nobody knows any more runs")
	}
}
