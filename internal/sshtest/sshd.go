package sshtest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// Server is a real OpenSSH server, which runs as pgtest.User, and how it is known and lets in.
type Server struct {
	User       string // whom it lets in
	Port       int    // of 127.0.0.1
	Store      string // an empty directory of that user
	KnownHosts string // a file with its keys, at Port
	Key        string // a file with the private key of who is let in

	t   testing.TB
	dir string // of its own files
}

// New starts a server that runs until the test ends. hostKeys are kinds of ssh-keygen; none: ed25519.
func New(t testing.TB, hostKeys ...string) *Server {
	t.Helper()
	if len(hostKeys) == 0 {
		hostKeys = []string{"ed25519"}
	}
	as := pgtest.User(t)
	if as == nil {
		var err error
		if as, err = postgres.CurrentOSUser(); err != nil {
			t.Fatal(err)
		}
	}
	dir := pgtest.Dir(t)
	s := &Server{User: as.Name, Store: filepath.Join(dir, "store"), KnownHosts: filepath.Join(dir, "known_hosts"), Key: filepath.Join(pgtest.Dir(t), "key"), t: t, dir: dir}
	s.mkdir(s.Store)
	public := NewKey(t, s.Key)
	s.put("authorized_keys", append([]byte(`restrict,command="internal-sftp" `), public...)) // as docs/backup.md has it
	config := []string{"ListenAddress 127.0.0.1", "PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"AuthorizedKeysFile " + s.at("authorized_keys"), "Subsystem sftp internal-sftp"}
	for _, kind := range hostKeys {
		s.newHostKey(kind)
		config = append(config, "HostKey "+s.at("host_"+kind))
	}
	s.put("sshd_config", []byte(strings.Join(config, "\n")+"\n"))
	s.Port = pgtest.FreePort(t)
	s.start()
	s.Know(s.Port, hostKeys...)
	return s
}

func (s *Server) at(name string) string { return filepath.Join(s.dir, name) }

// put writes a file that the server's user owns.
func (s *Server) put(name string, text []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.at(name), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own(s.at(name))
}

func (s *Server) mkdir(path string) {
	s.t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.own(path)
}

func (s *Server) own(path string) {
	s.t.Helper()
	if u := pgtest.User(s.t); u != nil {
		if err := os.Chown(path, u.UID, u.GID); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *Server) newHostKey(kind string) {
	s.t.Helper()
	file := s.at("host_" + kind)
	for _, old := range []string{file, file + ".pub"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	s.own(file)
}

// HostKey is the server's key of that kind.
func (s *Server) HostKey(kind string) ssh.PublicKey {
	s.t.Helper()
	text, err := os.ReadFile(s.at("host_" + kind + ".pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// Know adds the keys of the host to those that are known, at a port.
func (s *Server) Know(port int, kinds ...string) {
	s.t.Helper()
	f, err := os.OpenFile(s.KnownHosts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	for _, kind := range kinds {
		fmt.Fprintln(f, knownhosts.Line([]string{fmt.Sprint("127.0.0.1:", port)}, s.HostKey(kind)))
	}
}

// start runs the server until the test ends.
func (s *Server) start() {
	s.t.Helper()
	binary, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		s.t.Fatal(err, ": tools/need sshd")
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "-D", "-e", "-f", s.at("sshd_config"), "-p", fmt.Sprint(s.Port))
	cmd.Stderr, cmd.SysProcAttr = &log, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if u := pgtest.User(s.t); u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	}
	begun, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for the kernel ends the server with the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-begun; err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if s.t.Failed() {
			s.t.Logf("sshd:\n%s", log.String())
		}
	})
	pgtest.Await(s.t, "sshd answers", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", s.Port))
		if err != nil {
			return false
		}
		defer conn.Close()
		banner := make([]byte, 4)
		_, err = io.ReadFull(conn, banner)
		return err == nil && string(banner) == "SSH-"
	})
}

// URL is the server's store, reached at a port, as a target of backups.
func (s *Server) URL(port int) string {
	return fmt.Sprintf("sftp://%s@127.0.0.1:%d%s", s.User, port, s.Store)
}

// NewKey makes a private key in a file, and returns its public half as a line of authorized_keys.
func NewKey(t testing.TB, path string) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return ssh.MarshalAuthorizedKey(public)
}
