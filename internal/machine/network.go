package machine

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// wire is the switch's end of the host's wire.
func (h *Host) wire() string { return fmt.Sprintf("wire%d", h.pid) }

// connect makes the network: a bridge where the clients are, and a wire from each host to it.
func (s *Site) connect(t testing.TB) {
	t.Helper()
	ip(t, s.clients, "link add switch type bridge")
	ip(t, s.clients, "address add "+ClientsAddress+"/24 dev switch")
	ip(t, s.clients, "link set switch up")
	ip(t, s.clients, "link set lo up")
	for _, h := range s.Hosts {
		ip(t, s.clients, fmt.Sprintf("link add %s type veth peer name eth0 netns %d", h.wire(), h.pid))
		ip(t, s.clients, "link set "+h.wire()+" master switch up")
		ip(t, h.pid, "address add "+h.Address+"/24 dev eth0")
		ip(t, h.pid, "link set eth0 up")
		ip(t, h.pid, "link set lo up")
	}
	s.count(t)
}

// PullWire takes the host off the network until PutWire: its own interface is down then, as with a cable that is pulled out.
func (s *Site) PullWire(t testing.TB, h *Host) {
	t.Helper()
	ip(t, s.clients, "link set "+h.wire()+" down")
}

// PutWire puts the host's wire back.
func (s *Site) PutWire(t testing.TB, h *Host) {
	t.Helper()
	ip(t, s.clients, "link set "+h.wire()+" up")
}

// ip runs ip where the process is.
func ip(t testing.TB, pid int, line string) {
	t.Helper()
	inNetwork(t, pid, "", append([]string{"ip"}, strings.Fields(line)...)...)
}

// inNetwork runs a command in the network of the process and returns what it printed. It ends the test if it fails.
func inNetwork(t testing.TB, pid int, input string, argv ...string) string {
	t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(pid), "--net"}, argv...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, input, out)
	}
	return string(out)
}
