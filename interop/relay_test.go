package interop_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"keytrustee/replication/pairtest"
)

// relay stands between a client and the pair: its own port on a host's address leads to that host. It knows nothing of what it carries.
type relay struct {
	port      int
	listeners []net.Listener
	busy      sync.WaitGroup

	mu    sync.Mutex
	asked int // how often a client has sent something
	links map[*link]struct{}
}

type link struct {
	node           string
	client, server *net.TCPConn
	asked          int // when its client last sent something
}

func newRelay(t *testing.T, pair *pairtest.Pair) *relay {
	t.Helper()
	r := &relay{links: map[*link]struct{}{}}
	for tries := 0; len(r.listeners) == 0; tries++ {
		if err := r.listen(pair); err != nil && tries == 100 {
			t.Fatal(err)
		}
	}
	for i, l := range r.listeners {
		r.busy.Go(func() { r.accept(l, pair.Nodes[i]) })
	}
	t.Cleanup(func() {
		for _, l := range r.listeners {
			l.Close()
		}
		r.mu.Lock()
		for l := range r.links {
			l.close(0)
		}
		r.mu.Unlock()
		r.busy.Wait()
	})
	return r
}

// listen takes one port on the addresses of both hosts.
func (r *relay) listen(pair *pairtest.Pair) error {
	first, err := net.Listen("tcp", net.JoinHostPort(pair.Nodes[0].Address, "0"))
	if err != nil {
		return err
	}
	r.port = first.Addr().(*net.TCPAddr).Port
	second, err := net.Listen("tcp", fmt.Sprintf("%s:%d", pair.Nodes[1].Address, r.port))
	if err != nil {
		first.Close()
		return err
	}
	r.listeners = []net.Listener{first, second}
	return nil
}

// uri is where a client finds the hosts through the relay.
func (r *relay) uri(nodes ...*pairtest.Node) string {
	var hosts []string
	for _, n := range nodes {
		hosts = append(hosts, n.Address)
	}
	return fmt.Sprintf("kms://https@%s:%d/kms", strings.Join(hosts, ";"), r.port)
}

func (r *relay) accept(listener net.Listener, n *pairtest.Node) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "https://"))
		if err != nil {
			client.Close()
			continue
		}
		l := &link{node: n.Name, client: client.(*net.TCPConn), server: server.(*net.TCPConn)}
		r.mu.Lock()
		r.links[l] = struct{}{}
		r.mu.Unlock()
		r.busy.Go(func() { r.copy(l, l.server, l.client) })
		r.busy.Go(func() { r.copy(l, l.client, l.server) })
	}
}

// copy carries bytes until either side ends.
func (r *relay) copy(l *link, to, from *net.TCPConn) {
	defer func() {
		to.Close()
		from.Close()
		r.mu.Lock()
		delete(r.links, l)
		r.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if from == l.client {
			r.mu.Lock()
			r.asked++
			l.asked = r.asked
			r.mu.Unlock()
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// breakOff breaks the connection on which a client sent something last, on both sides, and returns whose it was: with an RST, or with a
// FIN, as a client that closes in an orderly way.
func (r *relay) breakOff(t *testing.T, reset bool) (node string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var last *link
	for l := range r.links {
		if last == nil || l.asked > last.asked {
			last = l
		}
	}
	if last == nil {
		t.Fatal("no connection to break")
	}
	delete(r.links, last)
	linger := -1
	if reset {
		linger = 0
	}
	last.close(linger)
	return last.node
}

func (l *link) close(linger int) {
	for _, c := range []*net.TCPConn{l.client, l.server} {
		c.SetLinger(linger)
		c.Close()
	}
}
