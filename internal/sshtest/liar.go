package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Liar is an SFTP server that serves a directory of this host, and lies about it, which OpenSSH's does not. It has none of OpenSSH's
// extensions but the renaming one. Each way to lie may be nil.
type Liar struct {
	Dir  string
	Size func(name string, size int64) int64 // that it tells
	Read func(name string, text []byte) []byte
	Lost func(name string) bool // what is written to it
	Kept func(to string) bool   // what is not renamed to that, whatever it says

	Endless bool // it lists names without end
}

func (l *Liar) at(path string) string { return filepath.Join(l.Dir, filepath.Base(path)) }

// Fileread is the server's.
func (l *Liar) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	text, err := os.ReadFile(l.at(r.Filepath))
	if l.Read != nil {
		text = l.Read(filepath.Base(r.Filepath), text)
	}
	return strings.NewReader(string(text)), err
}

// Filewrite is the server's.
func (l *Liar) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	f, err := os.OpenFile(l.at(r.Filepath), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil && l.Lost != nil && l.Lost(filepath.Base(r.Filepath)) {
		f.Close()
		return lost{}, nil
	}
	return f, err
}

type lost struct{}

func (lost) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// Filecmd is the server's.
func (l *Liar) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		if r.AttrFlags().Size {
			return os.Truncate(l.at(r.Filepath), int64(r.Attributes().Size))
		}
		return nil
	case "Remove":
		return os.Remove(l.at(r.Filepath))
	case "Rename":
		if _, err := os.Lstat(l.at(r.Target)); err == nil {
			return fs.ErrExist // as the protocol has it
		}
		return l.PosixRename(r)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// PosixRename is the server's.
func (l *Liar) PosixRename(r *sftp.Request) error {
	if l.Kept != nil && l.Kept(filepath.Base(r.Target)) {
		return nil
	}
	return os.Rename(l.at(r.Filepath), l.at(r.Target))
}

// Filelist is the server's.
func (l *Liar) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "Stat" {
		path := l.at(r.Filepath)
		if r.Filepath == l.Dir {
			path = l.Dir
		}
		info, err := os.Stat(path)
		return listed{info}, err
	}
	if l.Endless {
		info, err := os.Stat(l.Dir)
		return endless{info}, err
	}
	entries, err := os.ReadDir(l.Dir)
	var infos listed
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if l.Size != nil {
			info = sized{info, l.Size(e.Name(), info.Size())}
		}
		infos = append(infos, info)
	}
	return infos, err
}

// endless lists one file again and again, as good as without end.
type endless struct{ fs.FileInfo }

// Name is a long one.
func (endless) Name() string { return strings.Repeat("n", 200) }

func (e endless) ListAt(to []fs.FileInfo, at int64) (int, error) {
	if at > 200_000 { // for whoever does listen so long
		return 0, io.EOF
	}
	for i := range to {
		to[i] = e
	}
	return len(to), nil
}

type sized struct {
	fs.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }

type listed []fs.FileInfo

func (l listed) ListAt(to []fs.FileInfo, at int64) (int, error) {
	if n := copy(to, l[min(at, int64(len(l))):]); n < len(to) {
		return n, io.EOF
	}
	return len(to), nil
}

// Serve runs the server at listener until the test ends, and returns its key. It lets in whoever comes with a key.
func (l *Liar) Serve(t testing.TB, listener net.Listener) ssh.PublicKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(signer)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.session(conn, config) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return signer.PublicKey()
}

func (l *Liar) session(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: l, FilePut: l, FileCmd: l, FileList: l})
		server.Serve()
		server.Close()
	}
}
