package twohosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// host is a machine of its own: files, names, processes and network. All of it ends with its first process, which ends with the test,
// however that ends.
type host struct {
	name    string
	address string
	pid     int // of its first process, as this machine numbers it
}

// site is two hosts and the network between them, which has a third place for clients.
type site struct {
	active, passive *host
	clients         int // a process in the clients' network
}

// The addresses are of the network that is kept for documentation.
const (
	activeAddress  = "192.0.2.1"
	passiveAddress = "192.0.2.2"
	clientsAddress = "192.0.2.3"
)

// names is what /etc/hosts holds, everywhere on the site. The manual calls the hosts keytrustee01 and keytrustee02, our README kt01 and kt02.
const names = "127.0.0.1 localhost\n" +
	activeAddress + " keytrustee01.example.com kt01.example.com\n" +
	passiveAddress + " keytrustee02.example.com kt02.example.com\n"

// newSite starts two hosts with nothing of ours on them but the programs and the units, as a package would install them.
func newSite(t *testing.T, activeName, passiveName string) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make two hosts out of namespaces")
	}
	bin := build(t)
	s := &site{
		active:  startHost(t, bin, activeName, activeAddress, 391),
		passive: startHost(t, bin, passiveName, passiveAddress, 392), // users are numbered as they come, on each host anew
		clients: startNetwork(t),
	}
	s.connect(t)
	return s
}

var programs struct {
	sync.Once
	dir string // holds ktadmin and keytrusteed; TestMain removes it
}

// build compiles both programs, once for all tests, and returns their directory.
func build(t *testing.T) string {
	t.Helper()
	programs.Do(func() {
		dir, err := os.MkdirTemp("", "twohosts-")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir = dir
		cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "keytrustee/cmd/...")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building: %v\n%s", err, out)
		}
	})
	return programs.dir
}

// startHost starts a host's first process and returns when its root directory is in place. It has no network yet.
func startHost(t *testing.T, bin, name, address string, user int) *host {
	t.Helper()
	units, err := filepath.Abs("../../packaging/systemd")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := json.Marshal(birth{Name: name, Root: t.TempDir(), Bin: bin, Units: units, User: user})
	if err != nil {
		t.Fatal(err)
	}
	ready, born, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"init"}
	cmd.Env = []string{"BIRTH=" + string(plan)}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.ExtraFiles = []*os.File{born}
	err = start(t, cmd, syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS|syscall.CLONE_NEWIPC|syscall.CLONE_NEWPID|syscall.CLONE_NEWNET)
	born.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatalf("%s did not come up", name)
	}
	h := &host{name: name, address: address, pid: cmd.Process.Pid}
	t.Cleanup(func() {
		if t.Failed() {
			h.logs(t)
		}
	})
	return h
}

// logs shows how every log ends, for a test that failed.
func (h *host) logs(t *testing.T) {
	t.Helper()
	files := []string{h.file("/var/lib/keytrustee/log/postgresql.log")}
	for _, name := range services {
		files = append(files, h.file(logFile(name)))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // not begun
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		t.Logf("%s: %s ends:\n%s", h.name, filepath.Base(file), strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
}

var services = []string{"keytrustee-db", "keytrusteed"}

// startNetwork starts a process that does nothing, in a network of its own.
func startNetwork(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	if err := start(t, cmd, syscall.CLONE_NEWPID|syscall.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// start starts cmd in namespaces of its own. With it all of their processes end: at the test's end, or with this process.
func start(t *testing.T, cmd *exec.Cmd, namespaces uintptr) error {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skip("root of this machine may not make namespaces: ", err)
	} else if err != nil {
		return err
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // returns when every process of the namespace is gone
	})
	return nil
}

func (s *site) hosts() []*host { return []*host{s.active, s.passive} }

// wire is the switch's end of the host's wire.
func (h *host) wire() string { return fmt.Sprintf("wire%d", h.pid) }

// connect makes the network: a bridge where the clients are, and a wire from each host to it.
func (s *site) connect(t *testing.T) {
	t.Helper()
	ip(t, s.clients, "link add switch type bridge")
	ip(t, s.clients, "address add "+clientsAddress+"/24 dev switch")
	ip(t, s.clients, "link set switch up")
	ip(t, s.clients, "link set lo up")
	for _, h := range s.hosts() {
		ip(t, s.clients, fmt.Sprintf("link add %s type veth peer name eth0 netns %d", h.wire(), h.pid))
		ip(t, s.clients, "link set "+h.wire()+" master switch up")
		ip(t, h.pid, "address add "+h.address+"/24 dev eth0")
		ip(t, h.pid, "link set eth0 up")
		ip(t, h.pid, "link set lo up")
	}
}

// ip runs ip where the process is.
func ip(t *testing.T, pid int, line string) {
	t.Helper()
	args := append([]string{"--target", strconv.Itoa(pid), "--net", "ip"}, strings.Fields(line)...)
	if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", line, err, out)
	}
}

// run types a line at the host's shell, as root, and shows what it printed.
func (h *host) run(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(h.pid), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--root", "--wd", "/bin/sh", "-c", line)
	cmd.Env = shellEnvironment
	cmd.WaitDelay = time.Second
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	t.Logf("root@%s# %s\n%s(%v)", h.name, line, out, time.Since(begun).Round(time.Millisecond))
	if err != nil {
		t.Fatalf("%s: %s: %v", h.name, line, err)
	}
}

var shellEnvironment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}

// file is where this machine finds a file of the host.
func (h *host) file(path string) string {
	return filepath.Join("/proc", strconv.Itoa(h.pid), "root", path)
}
