package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestLimitedListener: one connection too many is closed at once, whether in all or of one address, and a place that is left
// can be taken again.
func TestLimitedListener(t *testing.T) {
	for name, c := range map[string]struct{ places, each int }{"in all": {2, 9}, "of one address": {9, 2}} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := limit(inner, c.places, c.each)
			defer l.Close()
			accepted := make(chan net.Conn, 9)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					accepted <- conn
				}
			}()
			dial := func() net.Conn {
				t.Helper()
				conn, err := net.Dial("tcp", inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn
			}
			dial()
			first := <-accepted
			dial()
			<-accepted
			third := dial()
			third.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := third.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the third connection: %v, want it closed", err)
			}
			first.Close()
			first.Close() // gives its place up once
			dial()
			select {
			case <-accepted:
			case <-time.After(20 * time.Second):
				t.Fatal("a place that was left is not taken again")
			}
			if l.total != 2 || len(l.taken) != 1 {
				t.Errorf("%d places of %v are taken", l.total, l.taken)
			}
		})
	}
}
