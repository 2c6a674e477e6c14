package main

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// limited is a listener with so many places. A connection for which there is none is closed at once: a client that is
// refused asks the other host, one that is kept waiting does not for its whole timeout. Without it anybody could take all
// descriptors, and with them the audit log, the state file and the database.
type limited struct {
	net.Listener
	places, each int // in all, and for one address

	mu    sync.Mutex // guards taken
	taken map[string]int
	total int
}

func limit(l net.Listener, places, each int) *limited {
	return &limited{Listener: l, places: places, each: each, taken: map[string]int{}}
}

// descriptors is how many this process may have.
func descriptors() (int, error) {
	var r unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
	return int(min(r.Cur, 1<<20)), err
}

// Accept returns the next connection for which there is a place.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err == nil && l.take(from) {
			return &placed{Conn: c, leave: sync.OnceFunc(func() { l.give(from) })}, nil
		}
		c.Close()
	}
}

func (l *limited) take(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.places || l.taken[from] >= l.each {
		return false
	}
	l.total++
	l.taken[from]++
	return true
}

func (l *limited) give(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.taken[from]--; l.taken[from] == 0 {
		delete(l.taken, from)
	}
}

// placed is a connection that has a place until it is closed.
type placed struct {
	net.Conn
	leave func()
}

func (c *placed) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
