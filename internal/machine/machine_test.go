package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSite: what one does to a host happens to that host, in that direction, and not to the other one.
func TestSite(t *testing.T) {
	s, a, b := newTestSite(t)
	echo(t, a)
	echo(t, b)
	everybody := func(t *testing.T) {
		t.Helper()
		for _, from := range []*Host{a, b, Clients} {
			for _, to := range []*Host{a, b} {
				if err := s.answers(from, to); err != nil {
					t.Fatalf("%s to %s: %v", from.address(), to.Name, err)
				}
			}
		}
	}
	everybody(t)
	t.Run("one way", func(t *testing.T) { oneWay(t, s, a, b); everybody(t) })
	t.Run("reset", func(t *testing.T) { reset(t, s, a, b); everybody(t) })
	t.Run("clients", func(t *testing.T) { clientsCut(t, s, a, b); everybody(t) })
	t.Run("wire", func(t *testing.T) {
		s.PullWire(t, b)
		vanishes(t, s.answers(Clients, b))
		must(t, s.answers(Clients, a))
		s.PutWire(t, b)
		for deadline := time.Now().Add(10 * time.Second); s.answers(Clients, b) != nil || s.answers(a, b) != nil; { // each has to find the other anew
			if time.Now().After(deadline) {
				t.Fatal("not back after 10 s")
			}
		}
		everybody(t)
	})
	t.Run("delay", func(t *testing.T) { delayed(t, s, a, b); everybody(t) })
	t.Run("disk", func(t *testing.T) { diskFull(t, a, b) })
	t.Run("processes", func(t *testing.T) { processesOf(t, a, b) })
}

// oneWay: with one direction cut, what the other way carries still arrives, as its receiver's interface counts.
func oneWay(t *testing.T, s *Site, a, b *Host) {
	conn, err := s.Dial(t.Context(), b, "tcp", a.Name+":7")
	must(t, err)
	defer conn.Close()
	must(t, says(conn, "before"))
	s.Cut(t, a, b)
	received := func() string {
		out, _, _ := a.Output(t, nil, "cat", "/sys/class/net/eth0/statistics/rx_bytes")
		return out
	}
	before := received()
	vanishes(t, says(conn, strings.Repeat("x", 1000))) // the question arrives, its answer does not
	if received() == before {
		t.Error("nothing has arrived by the way that is open")
	}
	vanishes(t, s.answers(a, b))
	must(t, s.answers(Clients, a))
	must(t, s.answers(Clients, b))
	s.Mend(t, a, b)
	must(t, s.answers(a, b))
}

func reset(t *testing.T, s *Site, a, b *Host) {
	conn, err := s.Dial(t.Context(), a, "tcp", b.Name+":7")
	must(t, err)
	defer conn.Close()
	must(t, says(conn, "before"))
	s.Reject(t, a, b)
	if err := says(conn, "again"); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a connection that stood: %v", err)
	}
	if err := s.answers(a, b); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	if err := s.answers(b, a); err == nil {
		t.Error("b was answered, though it answers a with a reset")
	}
	must(t, s.answers(Clients, b))
	s.MendAll(t)
}

func clientsCut(t *testing.T, s *Site, a, b *Host) {
	s.Cut(t, Clients, b)
	vanishes(t, s.answers(Clients, b))
	must(t, s.answers(Clients, a))
	must(t, s.answers(a, b))
	s.MendAll(t)
}

func diskFull(t *testing.T, a, b *Host) {
	free := a.DiskFree(t)
	a.FillDisk(t)
	if left := a.DiskFree(t); left != 0 {
		t.Errorf("%d bytes are free on a full disk", left)
	}
	if out, errs, status := a.Output(t, nil, "sh", "-c", "dd bs=1 count=1 if=/dev/zero of="+home+"/file"); status == 0 || !strings.Contains(errs, "No space left") {
		t.Errorf("a file was written to a full disk: %s%s", out, errs)
	}
	b.Run(t, "head -c 1000000 /dev/zero >"+home+"/file && sync "+home+"/file")
	a.Run(t, "touch /elsewhere")
	a.FreeDisk(t)
	if left := a.DiskFree(t); left < free-1<<16 {
		t.Errorf("%d of %d bytes came back", left, free)
	}
	a.Run(t, "head -c 1000000 /dev/zero >"+home+"/file && sync "+home+"/file")
}

// processesOf: the number that a process of a host has there is nobody's here, and the host knows who is meant.
func processesOf(t *testing.T, a, b *Host) {
	a.Run(t, "sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid; until grep -q ^sleep /proc/$!/cmdline; do :; done")
	text, err := os.ReadFile(a.File("/tmp/pid"))
	must(t, err)
	inner := number(t, text)
	if err := unix.Kill(inner, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("process %d of the host is somebody here: %v", inner, err)
	}
	pid, ok := a.Outside(inner)
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if !ok || string(line) != "sleep\x001000\x00" {
		t.Fatalf("process %d of the host is %d here, %q, %v", inner, pid, line, err)
	}
	if _, ok := b.Outside(inner); ok {
		t.Error("the other host has it too")
	}
}

// TestNothingIsLeft: a test's process that is killed leaves no process, no mount and no network behind.
func TestNothingIsLeft(t *testing.T) {
	if os.Getenv("MACHINE_TEST_CHILD") != "" {
		_, a, _ := newTestSite(t)
		a.Run(t, "setsid sleep 1000 >/dev/null 2>&1 &")
		os.Stdout.WriteString("\nis up\n")
		select {} // until it is killed
	}
	tmp := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestNothingIsLeft$")
	cmd.Env = append(os.Environ(), "MACHINE_TEST_CHILD=1", "TMPDIR="+tmp)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	for said, buffer := "", make([]byte, 4096); !strings.Contains(said, "is up"); {
		n, err := out.Read(buffer)
		must(t, err)
		said += string(buffer[:n])
	}
	of := func() (pids []string) {
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range all {
			text, _ := os.ReadFile(path) // it may have ended
			if strings.Contains(string(text), tmp) {
				pids = append(pids, path)
			}
		}
		return pids
	}
	if len(of()) < 3 {
		t.Fatalf("only %q", of())
	}
	loops := func() string {
		out, err := exec.Command("losetup", "--all").Output()
		must(t, err)
		return string(out)
	}
	disk := fmt.Sprintf("-for-%d", cmd.Process.Pid)
	if !strings.Contains(loops(), disk) {
		t.Fatalf("no disk of the child:\n%s", loops())
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); len(of()) > 0 || strings.Contains(loops(), disk); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %q\n%s", of(), loops())
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	must(t, err)
	if strings.Contains(string(mounts), tmp) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
}

// delayed: between the hosts everything takes longer, much of it at once too; for clients nothing does. A cut cuts a longer line as well.
func delayed(t *testing.T, s *Site, a, b *Host) {
	const delay = 100 * time.Millisecond
	took := func(from *Host, words int) time.Duration {
		conn, err := s.Dial(t.Context(), from, "tcp", b.Name+":7")
		must(t, err)
		defer conn.Close()
		begun := time.Now()
		must(t, saysWithin(conn, strings.Repeat("x", words), 10*time.Second))
		return time.Since(begun)
	}
	s.Delay(t, b, delay)
	if one := took(a, 5); one < 2*delay || one > 4*delay {
		t.Errorf("one word and its answer took %v", one)
	}
	if many := took(a, 100_000); many < 2*delay {
		t.Errorf("100 kB and their answer took %v", many)
	}
	if client := took(Clients, 5); client > delay {
		t.Errorf("a client waited for %v", client)
	}
	s.Cut(t, a, b)
	vanishes(t, s.answers(a, b))
	s.MendAll(t)
	s.Delay(t, b, 0)
	if one := took(a, 5); one > delay {
		t.Errorf("one word and its answer took %v without a delay", one)
	}
}
