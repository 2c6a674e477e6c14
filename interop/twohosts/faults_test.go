package twohosts

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"keytrustee/internal/machine"
	"keytrustee/interop"
)

// wireCut pulls the passive's wire out and puts it back: meanwhile writes are refused with a sentence that names the passive, and reads
// go on.
func (s *site) wireCut(t *testing.T, c *client) {
	t.Helper()
	s.PullWire(t, s.passive)
	t.Logf("%s is cut off", s.passive.Name)
	passive, _, _ := strings.Cut(s.passive.Name, ".")
	var (
		sentence string
		tries    int
	)
	c.eventually("a write is refused, naming the passive", func() error {
		tries++ // a name of its own: what became of the first, which may have been under way, stays unknown until the passive is back
		err := c.do(uri(s.active), interop.Call{Op: "create", Name: fmt.Sprintf("refused-%d", tries), Bits: 256}, nil)
		java := (*interop.JavaError)(nil)
		if !errors.As(err, &java) || java.Class != "java.lang.IllegalStateException" || !strings.Contains(java.Message, "passive "+passive) {
			return fmt.Errorf("answered %w", err)
		}
		sentence = java.Message
		return nil
	})
	t.Logf("the stock client says: %s", sentence)
	c.hasKeys(s.active)
	s.PutWire(t, s.passive)
	t.Logf("%s is back", s.passive.Name)
	c.creates(s.passive, "after-the-cut")
	for _, h := range s.hosts() {
		c.hasKeys(h)
	}
}

// restart stops all services, the active's first, and starts them again: nothing is lost, and no other command is needed.
func (s *site) restart(t *testing.T, c *client) {
	t.Helper()
	before := s.processes(t)
	for _, verb := range []string{"stop", "start"} {
		for _, h := range s.hosts() {
			for _, name := range machine.Services {
				h.Run(t, "sudo service "+name+" "+verb)
			}
		}
	}
	for service, pid := range s.processes(t) {
		if pid == before[service] {
			t.Errorf("%s was not restarted", service)
		}
	}
	for _, h := range s.hosts() {
		c.creates(h, "after-the-restart-"+h.Address)
	}
	for _, h := range s.hosts() {
		c.hasKeys(h)
	}
}
