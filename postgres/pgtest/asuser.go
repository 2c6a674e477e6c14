package pgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// AsUser runs the calling test once more, as User, in a process of its own, and reports true when that has been done: the
// caller returns then. Unless this process is root it does nothing and reports false. It is for what has to be one and the
// same unprivileged user throughout, as the services are.
//
//	if pgtest.AsUser(t) {
//		return
//	}
func AsUser(t *testing.T) bool {
	t.Helper()
	u := User(t)
	if u == nil {
		return false
	}
	dir := Dir(t)
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile("/proc/self/exe") // its own directory is closed to u
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.timeout=10m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)},
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as %s: %v\n%s", u.Name, err, out)
	}
	t.Logf("as %s:\n%s", u.Name, out)
	return true
}
