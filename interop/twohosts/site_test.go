package twohosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"keytrustee/internal/machine"
)

// site is two hosts and the network between them, which has a third place for clients.
type site struct {
	*machine.Site
	active, passive *machine.Host
}

func (s *site) hosts() []*machine.Host { return []*machine.Host{s.active, s.passive} }

// names is what /etc/hosts holds, everywhere on the site. The manual calls the hosts keytrustee01 and keytrustee02, our README kt01 and kt02.
const names = machine.ActiveAddress + " keytrustee01.example.com kt01.example.com\n" +
	machine.PassiveAddress + " keytrustee02.example.com kt02.example.com\n"

// newSite starts two hosts with nothing of ours on them but the programs and the units, as a package would install them.
func newSite(t *testing.T, activeName, passiveName string) *site {
	t.Helper()
	units, err := filepath.Abs("../../packaging/systemd")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Site: machine.New(t, machine.Plan{Bin: build(t), Units: units, Names: names, Hosts: []machine.Birth{
		{Name: activeName, Address: machine.ActiveAddress, User: 391},
		{Name: passiveName, Address: machine.PassiveAddress, User: 392}, // users are numbered as they come, on each host anew
	}})}
	s.active, s.passive = s.Hosts[0], s.Hosts[1]
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

func TestMain(m *testing.M) {
	status := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(status)
}
