package machine

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// newTestSite starts two hosts with programs that nobody runs.
func newTestSite(t *testing.T) (*Site, *Host, *Host) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"ktadmin", "keytrusteed"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := New(t, Plan{Bin: bin, Units: "../../packaging/systemd", Names: ActiveAddress + " a.example.com a\n" + PassiveAddress + " b.example.com b\n",
		Hosts: []Birth{
			{Name: "a.example.com", Address: ActiveAddress, User: 391, Disk: 64 << 20},
			{Name: "b.example.com", Address: PassiveAddress, User: 392, Disk: 64 << 20},
		}})
	return s, s.Hosts[0], s.Hosts[1]
}

// echo says at the host, to whoever comes, what it is told.
func echo(t *testing.T, h *Host) {
	t.Helper()
	var l net.Listener
	err := inNetworkOf(h.pid, func() (err error) {
		l, err = net.Listen("tcp", ":7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(conn, conn)
		}
	}()
}

// answers tells why the second place does not answer the first one's new connection.
func (s *Site) answers(from, to *Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	conn, err := s.Dial(ctx, from, "tcp", to.Name+":7")
	if err != nil {
		return err
	}
	defer conn.Close()
	return says(conn, "hello")
}

func says(conn net.Conn, word string) error { return saysWithin(conn, word, 500*time.Millisecond) }

func saysWithin(conn net.Conn, word string, limit time.Duration) error {
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Write([]byte(word)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, len(word)))
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func vanishes(t *testing.T, err error) {
	t.Helper()
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("answered %v; want silence", err)
	}
}

func number(t *testing.T, text []byte) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	return n
}
