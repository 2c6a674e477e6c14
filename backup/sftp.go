package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// remote is the place of a target behind SFTP.
type remote struct {
	dir  string
	sftp *sftp.Client
	ssh  *ssh.Client
	free func() bool   // lets go of the context
	most *atomic.Int64 // bytes that the server may say yet
}

// A directory of backups has a few hundred names. A server that lists without end would fill the memory of this host.
const maxListing = 32 << 20

// dial goes to a target behind SFTP. All of it, also what is done there later, ends with ctx.
func (t Target) dial(ctx context.Context, s SSH, moved func()) (*remote, error) {
	keys, err := loadHostKeys(s.KnownHosts)
	if err != nil {
		return nil, err
	}
	login, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer login.close() // of no consequence: it was used
	algorithms := keys.algorithms(t.address)
	r, err := t.connect(ctx, keys, algorithms, login)
	if missing := (*ssh.AlgorithmNegotiationError)(nil); errors.As(err, &missing) && algorithms != nil {
		r, err = t.connect(ctx, keys, nil, login) // it has no key of the kinds that are known: see which one it has
	}
	if err != nil {
		return nil, err
	}
	moved()
	if err := r.begin(moved); err != nil {
		return nil, errors.Join(fmt.Errorf("it does not speak SFTP: %w", err), r.close())
	}
	if info, err := r.sftp.Stat(r.dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, errors.Join(errNoDirectory, r.close())
	} else if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (t Target) connect(ctx context.Context, keys hostKeys, algorithms []string, l *login) (*remote, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var met, refused error = errors.New("not met"), nil
	c, channels, requests, err := ssh.NewClientConn(conn, t.address, &ssh.ClientConfig{
		User: t.user, Auth: []ssh.AuthMethod{l.method}, HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, from net.Addr, key ssh.PublicKey) error {
			refused = keys.refuse(t.address, from, key)
			met = refused
			return refused
		},
	})
	if err == nil {
		return &remote{dir: t.dir, ssh: ssh.NewClient(c, channels, requests), free: stop}, nil
	}
	stop()
	if refused != nil {
		return nil, refused
	}
	if broken := net.Error(nil); met == nil && !errors.As(err, &broken) && !errors.Is(err, io.EOF) {
		return nil, &TargetError{Err: fmt.Errorf("it did not let the user %s in with %s: %w", t.user, l.shown, err),
			Remedy: "add the public key to ~" + t.user + "/.ssh/authorized_keys there, and see in the log of that host what it had against it"}
	}
	return nil, err
}

// begin opens the channel. What the server answers is what tells that something moves: also where the connection itself is
// well, it may be that nothing does.
func (r *remote) begin(moved func()) error {
	session, err := r.ssh.NewSession()
	if err != nil {
		return err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return err
	}
	r.most = new(atomic.Int64)
	r.most.Store(math.MaxInt64)
	r.sftp, err = sftp.NewClientPipe(movingReader{out, moved, r.most}, in, sftp.UseConcurrentWrites(true))
	return err
}

// movingReader tells when something was read, and reads no more than so much.
type movingReader struct {
	io.Reader
	moved func()
	most  *atomic.Int64
}

// listingError means that a server lists too much.
type listingError struct{}

func (listingError) Error() string {
	return fmt.Sprintf("it lists more than %d MiB of names", maxListing>>20)
}

// Hint is what the operator can do.
func (listingError) Hint() string {
	return "give the backups a directory there in which nothing else lies, and see whether that host is well"
}

func (r movingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.moved()
	}
	if r.most.Add(int64(-n)) < 0 {
		return 0, listingError{}
	}
	return n, err
}

func (r *remote) at(name string) string { return path.Join(r.dir, name) }

func (r *remote) files() (map[string]int64, error) {
	r.most.Store(maxListing)
	entries, err := r.sftp.ReadDir(r.dir)
	if r.most.Load() < 0 {
		return nil, listingError{}
	}
	r.most.Store(math.MaxInt64)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, info := range entries {
		sizes[info.Name()] = sizeOf(info)
	}
	return sizes, nil
}

func (r *remote) read(name string) (io.ReadCloser, error) { return r.sftp.Open(r.at(name)) }

func (r *remote) write(name string, at int64) (sink, error) {
	f, err := r.sftp.OpenFile(r.at(name), os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	f.Chmod(0o600) // some servers know no modes
	if err := f.Truncate(at); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return syncing{f, r.has("fsync@openssh.com")}, nil
}

// syncing is a file that is synced where the server can do that.
type syncing struct {
	*sftp.File
	can bool
}

func (s syncing) Sync() error {
	if !s.can {
		return nil
	}
	return s.File.Sync()
}

func (r *remote) has(extension string) bool {
	_, has := r.sftp.HasExtension(extension)
	return has
}

func (r *remote) rename(from, to string) error {
	if r.has("posix-rename@openssh.com") {
		if err := r.sftp.PosixRename(r.at(from), r.at(to)); err != nil {
			return err
		}
	} else {
		if err := r.remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := r.sftp.Rename(r.at(from), r.at(to)); err != nil {
			return err
		}
	}
	r.syncNames()
	return nil
}

func (r *remote) remove(name string) error {
	if err := r.sftp.Remove(r.at(name)); err != nil {
		return err
	}
	r.syncNames()
	return nil
}

// syncNames asks for the names to be durable. The protocol has no word for it, but OpenSSH opens a directory as a file.
func (r *remote) syncNames() {
	if !r.has("fsync@openssh.com") {
		return
	}
	if d, err := r.sftp.Open(r.dir); err == nil {
		d.Sync()
		d.Close()
	}
}

func (r *remote) room() (uint64, bool) {
	if !r.has("statvfs@openssh.com") {
		return 0, false
	}
	disk, err := r.sftp.StatVFS(r.dir)
	if err != nil {
		return 0, false
	}
	return disk.Bavail * disk.Frsize, true
}

// close does not wait for the other side.
func (r *remote) close() error {
	r.free()
	err := r.ssh.Close()
	if r.sftp != nil {
		r.sftp.Close() // it says that the connection is closed
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
