package sshtest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Relay stands between a host and a server, and stops what is sent to the server after so many bytes.
type Relay struct {
	Port  int          // of its listener
	Left  atomic.Int64 // bytes that still pass
	Stall atomic.Bool  // then nothing passes any more; otherwise the connection is cut
}

// Everything is more than a test sends.
const Everything = 1 << 50

// NewRelay starts one to a port of 127.0.0.1. It runs until the test ends.
func NewRelay(t testing.TB, to int) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return RelayAt(t, listener, to)
}

// RelayAt is NewRelay, and the relay is where listener is, which it closes.
func RelayAt(t testing.TB, listener net.Listener, to int) *Relay {
	t.Helper()
	r := &Relay{Port: listener.Addr().(*net.TCPAddr).Port}
	r.Left.Store(Everything)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.pass(conn, to) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return r
}

func (r *Relay) pass(conn net.Conn, to int) {
	defer conn.Close()
	server, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", to))
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan struct{})
	go func() { // what the server says passes
		defer close(over)
		io.Copy(conn, server)
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			break
		}
		if r.Left.Add(-int64(n)) < 0 {
			if r.Stall.Load() {
				io.Copy(io.Discard, conn) // until the other side gives up
			}
			break
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			break
		}
	}
	server.Close()
	conn.Close()
	<-over
}
