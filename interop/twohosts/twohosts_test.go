package twohosts

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/internal/machine"
)

// manual is the section "Configuring Key Trustee Server High Availability Using the Command Line" of Key Trustee Server's manual, down to
// "Enable Synchronous Replication": its lines, in its order, each where it says.
var manual = procedure{
	{active, "sudo ktadmin init --external-address keytrustee01.example.com"},
	{active, "sudo rsync -zav --exclude .ssl /var/lib/keytrustee/.keytrustee root@keytrustee02.example.com:/var/lib/keytrustee/."},
	{active, "sudo ktadmin db --bootstrap --port 11381 --pg-rootdir /var/lib/keytrustee/db --slave keytrustee02.example.com"},
	{active, "sudo service keytrustee-db stop"},
	{active, "sudo service keytrustee-db start"},
	{active, "sudo service keytrusteed start"},

	{passive, "sudo ktadmin init-slave --master keytrustee01.example.com --pg-rootdir /var/lib/keytrustee/db --no-import-key --no-start"},
	{passive, "sudo service keytrustee-db start"},
	{passive, "sudo ktadmin init --external-address keytrustee02.example.com"},
	{passive, "sudo service keytrusteed start"},

	{active, "sudo ktadmin enable-synchronous-replication --pg-rootdir /var/lib/keytrustee/db"},
}

// manualElsewhere is the same section for a database with another port and another directory, and for a host with systemctl.
var manualElsewhere = procedure{
	{active, "sudo ktadmin init --external-address keytrustee01.example.com --db-connect postgresql://localhost:<port>/keytrustee?host=/tmp"},
	{active, "sudo rsync -zav --exclude .ssl /var/lib/keytrustee/.keytrustee root@keytrustee02.example.com:/var/lib/keytrustee/."},
	{active, "sudo ktadmin db --bootstrap --port <port> --pg-rootdir /path/to/db --slave keytrustee02.example.com"},
	{active, sysconfig},
	{active, "sudo systemctl stop keytrustee-db"},
	{active, "sudo systemctl start keytrustee-db"},
	{active, "sudo systemctl start keytrusteed"},

	{passive, "sudo ktadmin init-slave --master keytrustee01.example.com --pg-port <port> --pg-rootdir /path/to/db --no-import-key --no-start"},
	{passive, sysconfig},
	{passive, "sudo systemctl start keytrustee-db"},
	{passive, "sudo ktadmin init --external-address keytrustee02.example.com"},
	{passive, "sudo systemctl start keytrusteed"},

	{active, "sudo ktadmin enable-synchronous-replication --pg-rootdir /path/to/db"},
}

// sysconfig is how an operator does what the manual says in prose: "create or edit the /etc/sysconfig/keytrustee-db file and add …".
const sysconfig = `echo 'ARGS="--pg-rootdir /path/to/db"' >>/etc/sysconfig/keytrustee-db`

// readme is "A pair on two hosts" of our README.
var readme = procedure{
	{active, "ktadmin init --external-address kt01.example.com --recovery-key-out /root/recovery.key"},
	{active, "ktadmin db --bootstrap --slave kt02.example.com"},
	{active, "systemctl start keytrustee-db"},
	{active, "systemctl start keytrusteed"},
	{active, "ktadmin join-token --out /root/join.token"},

	{active, "rsync /root/join.token root@kt02.example.com:/root/join.token"},
	{passive, "ktadmin init-slave --external-address kt02.example.com --token-file /root/join.token"},
	{passive, "systemctl start keytrustee-db"},
	{passive, "systemctl start keytrusteed"},

	{active, "ktadmin root-key confirm-recovery --key-file /root/recovery.key"},
	{active, "ktadmin enable-synchronous-replication"},
}

// procedure is lines to type, in this order.
type procedure []struct {
	on   where
	line string
}

type where int

const (
	active where = iota
	passive
)

// follow types the lines and checks that the last one, which makes replication synchronous, has restarted nothing.
func (s *site) follow(t *testing.T, p procedure) {
	t.Helper()
	last := len(p) - 1
	s.enter(t, p[:last])
	before := s.processes(t)
	s.enter(t, p[last:])
	if diff := cmp.Diff(before, s.processes(t)); diff != "" {
		t.Errorf("enabling synchronous replication has restarted services (-before +after):\n%s", diff)
	}
}

func (s *site) enter(t *testing.T, p procedure) {
	t.Helper()
	for _, step := range p {
		s.hosts()[step.on].Run(t, strings.ReplaceAll(step.line, "<port>", "15433"))
	}
}

// processes are the main processes of all services.
func (s *site) processes(t *testing.T) map[string]string {
	t.Helper()
	pids := map[string]string{}
	for _, h := range s.hosts() {
		for _, name := range machine.Services {
			pid, ok := h.MainProcess(name)
			if !ok {
				t.Fatalf("%s: %s does not run", h.Name, name)
			}
			pids[h.Name+" "+name] = strconv.Itoa(pid)
		}
	}
	return pids
}

func TestManual(t *testing.T) {
	s := newSite(t, "keytrustee01.example.com", "keytrustee02.example.com")
	s.installed(t)
	s.follow(t, manual)
	client := s.works(t)
	s.sameRoot(t, true)
	s.restart(t, client)
}

func TestManualElsewhere(t *testing.T) {
	s := newSite(t, "keytrustee01.example.com", "keytrustee02.example.com")
	s.installed(t)
	for _, h := range s.hosts() {
		h.Run(t, "mkdir -p /path/to")
	}
	s.follow(t, manualElsewhere)
	client := s.works(t)
	for _, h := range s.hosts() {
		h.Run(t, "test -f /path/to/db/PG_VERSION && ! test -e /var/lib/keytrustee/db")
		h.Run(t, "test -S /run/keytrustee/.s.PGSQL.15433") // which is what the manual's /tmp means
	}
	s.restart(t, client)
}

func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range readme {
		if strings.HasPrefix(step.line, "ktadmin ") && !strings.Contains(string(text), step.line) {
			t.Errorf("the README does not say: %s", step.line)
		}
	}
	s := newSite(t, "kt01.example.com", "kt02.example.com")
	s.follow(t, readme)
	client := s.works(t)
	s.sameRoot(t, false)
	s.wireCut(t, client)
	s.restart(t, client)
}

// installed makes the home as the package does; our README's lines can do without.
func (s *site) installed(t *testing.T) {
	t.Helper()
	for _, h := range s.hosts() {
		h.Run(t, "install -d -m 0700 -o keytrustee -g keytrustee /var/lib/keytrustee")
	}
}

// sameRoot checks whether the hosts have one root key, copied, or each its own.
func (s *site) sameRoot(t *testing.T, want bool) {
	t.Helper()
	var roots []string
	for _, h := range s.hosts() {
		text, err := os.ReadFile(h.File("/var/lib/keytrustee/.keytrustee/root.key"))
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, string(text))
	}
	if (roots[0] == roots[1]) != want {
		t.Errorf("one root key on both hosts: %v; want %v", !want, want)
	}
}
