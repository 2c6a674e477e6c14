package spare

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// actEnv makes the test binary a process that was started to take what others leave.
const actEnv = "KEYTRUSTEE_TEST_SPARE"

func TestMain(m *testing.M) {
	if os.Getenv(actEnv) == "" {
		os.Exit(m.Run())
	}
	Session()
	cmd := exec.Command("sleep", "600") // as a server process of PostgreSQL, it begins a session
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	err := cmd.Start()
	fmt.Println(cmd.Process.Pid, Used(0), err)
	io.Copy(io.Discard, os.Stdin)
}

// start starts that process, and returns its number and that of the one it has started, and whether it takes what others leave.
func start(t *testing.T, begin func(func() error) error) (pid, below int, used bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), actEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = t.Output()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := begin(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	if _, err := fmt.Sscan(line, &below, &used); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return cmd.Process.Pid, below, used
}

// plainly starts a process as any other.
func plainly(f func() error) error { return f() }

// how is what the kernel gives to a process: class, niceness, number of processors, and the weight of its session.
func how(t *testing.T, pid int) string {
	t.Helper()
	attr, err1 := unix.SchedGetAttr(pid, 0)
	nice, err2 := unix.Getpriority(unix.PRIO_PROCESS, pid)
	var may unix.CPUSet
	err3 := unix.SchedGetaffinity(pid, &may)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	session, _ := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	_, weight, _ := strings.Cut(strings.TrimSpace(string(session)), " ")
	return fmt.Sprintf("class %d, nice %d, %d processors, session %s", attr.Policy, 20-nice, may.Count(), weight)
}

// low is how it is for those who take what others leave.
func low() string {
	if sessionsCount() {
		return fmt.Sprintf("class %d, nice 19, 1 processors, session nice 19", unix.SCHED_IDLE)
	}
	return fmt.Sprintf("class %d, nice 19, %d processors, session ", unix.SCHED_BATCH, runtime.NumCPU())
}

// TestDo: a process that is started so takes what others leave, and so does one below it that begins a session. Who starts it does not.
func TestDo(t *testing.T) {
	before := how(t, os.Getpid())
	pid, below, used := start(t, Do)
	if !used {
		t.Error("it does not know of itself")
	}
	for _, p := range []int{pid, below} {
		if got := how(t, p); !strings.HasPrefix(got, low()) {
			t.Errorf("%s, want %s", got, low())
		}
	}
	if sessionsCount() {
		if session, err := unix.Getsid(below); err != nil || session != pid {
			t.Errorf("what it has started is in the session %d, not %d: %v", session, pid, err)
		}
	}
	if after := how(t, os.Getpid()); after != before {
		t.Errorf("who started it: %s, before %s", after, before)
	}
}

// TestAnyOther: a process that was not started so is one like others, with all that it starts.
func TestAnyOther(t *testing.T) {
	other := exec.Command("sleep", "600") // not this process: it may be of the machine's first session, which has no weight
	other.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	want := how(t, other.Process.Pid)
	pid, below, used := start(t, plainly)
	if used {
		t.Error("it takes itself for one that leaves others the processor")
	}
	for _, p := range []int{pid, below} {
		if got := how(t, p); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if session, err := unix.Getsid(below); err != nil || session != below {
		t.Errorf("what begins a session is in that of %d: %v", session, err)
	}
}

// TestOther: another process is made to take what others leave, as this one does.
func TestOther(t *testing.T) {
	pid, _, _ := start(t, plainly)
	if err := Do(func() error { return Other(pid) }); err != nil {
		t.Fatal(err)
	}
	if got := how(t, pid); !strings.HasPrefix(got, low()) {
		t.Errorf("%s, want %s", got, low())
	}
}

func TestLastOf(t *testing.T) {
	for _, cpus := range [][]int{{0}, {0, 1}, {3, 200}} {
		var set unix.CPUSet
		for _, cpu := range cpus {
			set.Set(cpu)
		}
		last := lastOf(set)
		if want := cpus[len(cpus)-1]; last.Count() != 1 || !last.IsSet(want) {
			t.Errorf("of %v: %d of them, %d is one: %v", cpus, last.Count(), want, last.IsSet(want))
		}
	}
}
