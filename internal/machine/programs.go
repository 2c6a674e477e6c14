package machine

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func init() {
	for name, run := range map[string]func() error{
		"init": runInit, "sshd": runSSHD, "ssh": runSSH, "sudo": runSudo, "service": runService, "systemctl": runSystemctl, "unit": runUnit,
		"notified": runNotified,
	} {
		Program(name, run)
	}
}

// Program says what the test's own program is where a host calls it by that name: what a program of a host is called tells what it is. It
// is called from an init, and does not return where the program is that one, so that it never reaches a test.
func Program(name string, run func() error) {
	if filepath.Base(os.Args[0]) != name {
		return
	}
	if path, err := os.Executable(); (err != nil || path != self) && os.Getenv(originVariable) == "" {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runSudo is `sudo PROGRAM ARG…`, for somebody who is root already.
func runSudo() error {
	path, err := exec.LookPath(os.Args[1])
	if err != nil {
		return err
	}
	return syscall.Exec(path, os.Args[1:], os.Environ())
}

// runSSHD runs, as root and for anybody on the network, one command a connection, whose standard input and output the connection is.
func runSSHD() error {
	l, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := serveSSH(conn.(*net.TCPConn)); err != nil {
				fmt.Fprintln(os.Stderr, "sshd:", err)
			}
		}()
	}
}

func serveSSH(conn *net.TCPConn) error {
	defer conn.Close()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	text := make([]byte, int(length[0])<<8|int(length[1]))
	if _, err := io.ReadFull(conn, text); err != nil {
		return err
	}
	var argv []string
	if err := json.Unmarshal(text, &argv); err != nil {
		return err
	}
	stream, err := conn.File()
	if err != nil {
		return err
	}
	defer stream.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stream, stream, os.Stderr
	return cmd.Run()
}

// runSSH is `ssh [-l USER] HOST COMMAND ARG…`, as rsync calls it.
func runSSH() error {
	args := os.Args[1:]
	if args[0] == "-l" {
		args = args[2:]
	}
	dialed, err := net.Dial("tcp", net.JoinHostPort(args[0], "22"))
	if err != nil {
		return err
	}
	conn := dialed.(*net.TCPConn)
	text, err := json.Marshal(args[1:])
	if err != nil {
		return err
	}
	if _, err := conn.Write(append([]byte{byte(len(text) >> 8), byte(len(text))}, text...)); err != nil {
		return err
	}
	go func() {
		io.Copy(conn, os.Stdin)
		conn.CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}
