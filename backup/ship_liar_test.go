package backup

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"keytrustee/internal/sshtest"
	"keytrustee/postgres/pgtest"
)

// liar is an SFTP server that serves a directory of this host, and lies about it. It has none of OpenSSH's extensions but the
// renaming one.
type liar struct {
	dir     string
	size    func(name string, size int64) int64 // that it tells
	read    func(name string, text []byte) []byte
	lost    func(name string) bool // what is written to it
	kept    func(to string) bool   // what is not renamed to that, whatever it says
	endless bool                   // it lists names without end
}

func (l *liar) at(path string) string { return filepath.Join(l.dir, filepath.Base(path)) }

// Fileread is the server's.
func (l *liar) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	text, err := os.ReadFile(l.at(r.Filepath))
	if l.read != nil {
		text = l.read(filepath.Base(r.Filepath), text)
	}
	return strings.NewReader(string(text)), err
}

// Filewrite is the server's.
func (l *liar) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	f, err := os.OpenFile(l.at(r.Filepath), os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil && l.lost != nil && l.lost(filepath.Base(r.Filepath)) {
		f.Close()
		return lost{}, nil
	}
	return f, err
}

type lost struct{}

func (lost) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// Filecmd is the server's.
func (l *liar) Filecmd(r *sftp.Request) error {
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
func (l *liar) PosixRename(r *sftp.Request) error {
	if l.kept != nil && l.kept(filepath.Base(r.Target)) {
		return nil
	}
	return os.Rename(l.at(r.Filepath), l.at(r.Target))
}

// Filelist is the server's.
func (l *liar) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "Stat" {
		path := l.at(r.Filepath)
		if r.Filepath == l.dir {
			path = l.dir
		}
		info, err := os.Stat(path)
		return listed{info}, err
	}
	if l.endless {
		info, err := os.Stat(l.dir)
		return endless{info}, err
	}
	entries, err := os.ReadDir(l.dir)
	var infos listed
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if l.size != nil {
			info = sized{info, l.size(e.Name(), info.Size())}
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

// TestShipEndlessListing: a server that lists names without end is given up, and said.
func TestShipEndlessListing(t *testing.T) {
	l := &liar{dir: pgtest.Dir(t), endless: true}
	target, s := l.serve(t)
	y := newYard(t, target)
	y.SSH = s
	y.add(1, 100)
	y.fails("it lists more than 32 MiB of names")
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

// serve runs the server until the test ends, and returns it as a target.
func (l *liar) serve(t *testing.T) (Target, SSH) {
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
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
	s := SSH{KnownHosts: filepath.Join(pgtest.Dir(t), "known_hosts")}
	s.Key = s.KnownHosts + ".key"
	sshtest.NewKey(t, s.Key)
	if err := os.WriteFile(s.KnownHosts, []byte(knownhosts.Line([]string{listener.Addr().String()}, signer.PublicKey())), 0o600); err != nil {
		t.Fatal(err)
	}
	return parsed(t, fmt.Sprintf("sftp://somebody@%s%s", listener.Addr(), l.dir)), s
}

func (l *liar) session(conn net.Conn, config *ssh.ServerConfig) {
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

// TestShipLiar: a server that says something else than what is so has nothing listed that is not whole, and is found out; when
// it is honest again, the rest is sent.
func TestShipLiar(t *testing.T) {
	isPart := func(name string) bool { return strings.HasSuffix(name, partialSuffix) }
	for what, row := range map[string]struct {
		liar  liar
		begun int    // bytes of a part that are there
		want  string // empty: it does no harm
		found bool   // it is there all the same
	}{
		"honest": {want: ""},
		"a part is said to be longer": {begun: 10, liar: liar{size: func(name string, size int64) int64 {
			if isPart(name) {
				return size + 5000
			}
			return size
		}}},
		"a part is said to be shorter": {begun: block + 10, liar: liar{size: func(name string, size int64) int64 {
			if isPart(name) {
				return 3
			}
			return size
		}}},
		"a part is given back as it should be": {begun: 10, want: "it gives back something else", liar: liar{
			read: func(name string, text []byte) []byte { return append(text, 1) }}},
		"it is given back shorter": {want: "it gives back something else", liar: liar{read: func(name string, text []byte) []byte {
			if isPart(name) && len(text) > 0 {
				return text[:len(text)-1]
			}
			return text
		}}},
		"it is given back without end": {want: "it gives back something else", liar: liar{read: func(name string, text []byte) []byte {
			return slices.Concat(text, text, text)
		}}},
		"what is written is lost":    {want: "it gives back something else", liar: liar{lost: isPart}},
		"the receipt is lost":        {want: "the receipt", liar: liar{lost: func(name string) bool { return strings.HasSuffix(name, ".tmp") }}},
		"the receipt is not renamed": {want: "the receipt", liar: liar{kept: func(to string) bool { return strings.HasSuffix(to, receiptSuffix) }}},
		"the backup is not renamed":  {want: "does not list it as it was sent", liar: liar{kept: func(to string) bool { return strings.HasSuffix(to, fileSuffix) }}},
		"it lists the backup shorter": {found: true, want: "does not list it as it was sent", liar: liar{size: func(name string, size int64) int64 {
			if strings.HasSuffix(name, fileSuffix) {
				return size - 1
			}
			return size
		}}},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			l := row.liar
			l.dir = dir
			target, login := l.serve(t)
			y := newYard(t, target)
			y.SSH = login
			a := y.add(1, 2*block+50)
			if row.begun > 0 {
				content, err := os.ReadFile(y.here(a.Name + fileSuffix))
				if err != nil || os.WriteFile(filepath.Join(dir, a.Name+partialSuffix), content[:row.begun], 0o600) != nil {
					t.Fatal(err)
				}
			}
			if row.want == "" {
				y.ship(a)
			} else {
				d := y.fails(row.want)
				if !slices.Equal(d.Missing, []string{a.Name}) {
					t.Errorf("%+v", d)
				}
				if !row.found {
					holds(t, dir)
				}
				honest := liar{dir: dir}
				y.Targets[0], y.SSH = honest.serve(t)
				if _, err := Ship(t.Context(), y.ShipOptions); err != nil {
					t.Error(err)
				}
			}
			holds(t, dir, a)
			tidy(t, dir)
		})
	}
}

// TestShipPlainServer: a server that can not replace a file by renaming, and knows neither syncing nor room, does too.
func TestShipPlainServer(t *testing.T) {
	if err := sftp.SetSFTPExtensions(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sftp.SetSFTPExtensions("hardlink@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com"); err != nil {
			t.Error(err)
		}
	})
	l := liar{dir: t.TempDir()}
	target, login := l.serve(t)
	y := newYard(t, target)
	y.SSH = login
	a := y.add(1, block+50)
	y.ship(a)
	pgtest.FlipByte(t, filepath.Join(l.dir, a.Name+fileSuffix), block+20)
	if err := os.Remove(y.here(shippedFile)); err != nil {
		t.Fatal(err)
	}
	if d := y.ship(a); d.Bytes != 30 {
		t.Errorf("%d bytes were sent", d.Bytes)
	}
	holds(t, l.dir, a)
	tidy(t, l.dir)
}
