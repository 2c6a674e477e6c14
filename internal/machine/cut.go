package machine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Clients is what a cut names for the place of the clients, which is no host.
var Clients *Host

// cut is one direction that nothing passes.
type cut struct {
	from, to *Host // nil: the clients
	reject   bool
}

// Cut lets nothing pass from one place to the other any more, not even that it is there: packets vanish on the way. What goes the other way
// still arrives.
func (s *Site) Cut(t testing.TB, from, to *Host) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = append(s.cuts, cut{from: from, to: to})
	s.apply(t)
}

// Reject lets the second host answer whatever comes from the first one with a reset, as a firewall may do: connections that stand end with
// the next word, whoever began them, new ones of the first are refused at once, and those of the second hear nothing.
func (s *Site) Reject(t testing.TB, from, to *Host) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = append(s.cuts, cut{from: from, to: to, reject: true})
	s.apply(t)
}

// Mend ends all cuts and rejections in this direction.
func (s *Site) Mend(t testing.TB, from, to *Host) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = slices.DeleteFunc(s.cuts, func(c cut) bool { return c.from == from && c.to == to })
	s.apply(t)
}

// MendAll ends all cuts and rejections.
func (s *Site) MendAll(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts = nil
	s.apply(t)
}

// Passed is how many bytes have come from the one host to the other.
func (s *Site) Passed(t testing.TB, from, to *Host) uint64 {
	t.Helper()
	out := inNetwork(t, to.pid, "", "nft", "-j", "list", "counter", "inet", "counters", counterOf(from))
	var listed struct {
		Nftables []struct{ Counter *struct{ Bytes uint64 } }
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		t.Fatal(err)
	}
	for _, l := range listed.Nftables {
		if l.Counter != nil {
			return l.Counter.Bytes
		}
	}
	t.Fatalf("no counter in %s", out)
	return 0
}

func counterOf(from *Host) string { return fmt.Sprintf("from%d", from.pid) }

// count counts what arrives at each host from the others.
func (s *Site) count(t testing.TB) {
	t.Helper()
	for _, h := range s.Hosts {
		var text strings.Builder
		for _, from := range s.Hosts {
			fmt.Fprintf(&text, "add counter inet counters %s\nadd rule inet counters input ip saddr %s counter name %s\n",
				counterOf(from), from.Address, counterOf(from))
		}
		inNetwork(t, h.pid, "add table inet counters\nadd chain inet counters input { type filter hook input priority -10; policy accept; }\n"+
			text.String(), "nft", "-f", "-")
	}
}

// apply needs the mutex. It makes the rules of the switch and of every host the ones that the cuts need, each place at once.
func (s *Site) apply(t testing.TB) {
	t.Helper()
	var forward, input, output []string
	for _, c := range s.cuts {
		switch {
		case c.reject:
		case c.from == Clients:
			output = append(output, fmt.Sprintf("oifname %s drop", c.to.ports()))
		case c.to == Clients:
			input = append(input, fmt.Sprintf("iifname %s drop", c.from.ports()))
		default:
			forward = append(forward, fmt.Sprintf("iifname %s oifname %s drop", c.from.ports(), c.to.ports()))
		}
	}
	s.rules(t, s.clients, "bridge", map[string][]string{"forward": forward, "input": input, "output": output})
	for _, h := range s.Hosts {
		var input []string
		for _, c := range s.cuts {
			if c.reject && c.to == h {
				input = append(input, "ip saddr "+c.from.address()+" meta l4proto tcp reject with tcp reset")
			}
		}
		s.rules(t, h.pid, "inet", map[string][]string{"input": input})
	}
}

// ports are the switch's ends of the host's ways to it.
func (h *Host) ports() string { return fmt.Sprintf("{ %q, %q }", h.wire(), h.port()) }

func (h *Host) address() string {
	if h == Clients {
		return ClientsAddress
	}
	return h.Address
}

// rules replaces our table where the process is, in one transaction, if it has others.
func (s *Site) rules(t testing.TB, pid int, family string, chains map[string][]string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "table %s cuts\ndelete table %s cuts\ntable %s cuts {\n", family, family, family)
	for _, hook := range slices.Sorted(maps.Keys(chains)) {
		fmt.Fprintf(&text, "chain %s { type filter hook %s priority 0; policy accept;\n%s\n}\n", hook, hook, strings.Join(chains[hook], "\n"))
	}
	text.WriteString("}\n")
	if s.ruled[pid] == text.String() {
		return
	}
	inNetwork(t, pid, text.String(), "nft", "-f", "-")
	s.ruled[pid] = text.String()
}
