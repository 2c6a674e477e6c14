package pgstore

import (
	"bytes"

	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// cut is where a relay breaks the wire.
type cut int

const (
	nowhere cut = iota
	beforeChange
	beforeCommit // COMMIT never arrives
	afterCommit  // COMMIT arrives, its answer does not
)

// relay stands between a Store and the server's socket and can break the wire at a place in the transaction.
type relay struct {
	connString string
	listener   net.Listener
	target     string
	connecting sync.WaitGroup

	mu    sync.Mutex
	where cut
	cuts  int // how often it broke the wire
	// cancels counts the CancelRequests that came by: each would end the wait of a COMMIT.
	cancels int
}

func newRelay(t *testing.T, s *postgres.Server) *relay {
	t.Helper()
	dir := pgtest.Dir(t)
	name := ".s.PGSQL." + strconv.Itoa(s.Port)
	l, err := net.Listen("unix", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, target: filepath.Join(s.Socket, name),
		connString: postgres.ConnString("host", dir, "port", strconv.Itoa(s.Port), "user", postgres.Superuser, "dbname", "postgres")}
	r.connecting.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.connecting.Wait()
	})
	return r
}

func (r *relay) set(c cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.where, r.cuts = c, 0
}

func (r *relay) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cuts
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", r.target)
		if err != nil {
			client.Close()
			continue
		}
		r.connecting.Go(func() { r.copy(server, client, true) })
		r.connecting.Go(func() { r.copy(client, server, false) })
	}
}

// copy forwards until either side ends, or the place to cut has come.
func (r *relay) copy(to, from net.Conn, up bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		place := nowhere
		if up {
			place = r.place(buf[:n])
		}
		if place == beforeChange || place == beforeCommit {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil || place == afterCommit {
			return
		}
	}
}

// place says whether this is where to cut. The driver writes each of these messages at once.
func (r *relay) place(message []byte) cut {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.HasPrefix(message, []byte{0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e}) {
		r.cancels++
	}
	isCommit := bytes.Equal(message, []byte("Q\x00\x00\x00\x0bcommit\x00"))
	isChange := bytes.Contains(message, []byte("insert into key_version")) || bytes.HasPrefix(message, []byte("B"))
	if r.where == beforeChange && isChange || isCommit && (r.where == beforeCommit || r.where == afterCommit) {
		where := r.where
		r.where, r.cuts = nowhere, r.cuts+1
		return where
	}
	return nowhere
}
