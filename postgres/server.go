package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The roles that Init makes in a database. Neither has a password: Superuser enters through the socket only, and by
// being one of Server.Admins; Replicator from the peer's host only, and by the peer's certificate.
const (
	Superuser  = "ktsuper"
	Replicator = "ktrepl"
)

// TLSFiles are a PostgreSQL server's certificate, its key, and the authority that signs the certificates of clients.
// RunAs must be able to read them, and only it and root the key. The zero TLSFiles means no TLS.
type TLSFiles struct{ Cert, Key, CA string }

// Server is one PostgreSQL server of this host, running or not. All paths are absolute. Its methods keep no state in it,
// so several processes may each have a Server of the same files; two may not change them at once.
type Server struct {
	Installation
	Data   string   // the data directory; nothing but PostgreSQL writes to it
	Conf   string   // the directory of postgresql.conf, pg_hba.conf and pg_ident.conf: outside Data, lest a base backup carry them to the other host
	Socket string   // the directory of the socket
	Log    string   // the file that Start appends the server's messages to
	Port   int      // of TCP; the socket's name has it too
	Listen []string // addresses to listen on; none: the socket only
	RunAs  *OSUser  // who PostgreSQL runs as; nil: this process's user
	Admins []string // the users of this host that may connect as Superuser, RunAs' name among them
	TLS    TLSFiles
	Lock   *os.File // what Init and SkipXIDs run, and its children, have it open until they end; not so the server that Start runs. nil: there is none
}

// Argv is the command line that runs the server in the foreground.
func (s *Server) Argv() (path string, argv []string) {
	path = s.Path("postgres")
	return path, []string{
		path, "-D", s.Data,
		"-c", "config_file=" + s.confFile("postgresql.conf"),
		"-c", "hba_file=" + s.confFile("pg_hba.conf"),
		"-c", "ident_file=" + s.confFile("pg_ident.conf"),
	}
}

// ConnString connects to a database of the server as Superuser through the socket.
func (s *Server) ConnString(db string) string {
	return ConnString("host", s.Socket, "port", strconv.Itoa(s.Port), "user", Superuser, "dbname", db)
}

// ConnString writes pairs of a keyword and its value as libpq reads them, whatever is in the values.
func ConnString(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%s='%s' ", pairs[i], strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(pairs[i+1]))
	}
	return strings.TrimSuffix(b.String(), " ")
}

func (s *Server) confFile(name string) string { return filepath.Join(s.Conf, name) }

func (s *Server) socketFile() string {
	return filepath.Join(s.Socket, ".s.PGSQL."+strconv.Itoa(s.Port))
}

// maxSocketPath is what fits into the kernel's sockaddr_un, with its closing NUL.
const maxSocketPath = 107

// Check returns a *SetupError if the server can not run as it is described here, whatever is in its directories: who
// runs it, where the directories lie, how long the socket's name is.
func (s *Server) Check() error {
	if err := s.RunAs.Check(); err != nil {
		return err
	}
	paths := map[string]string{"data": s.Data, "configuration": s.Conf, "socket": s.Socket}
	for name, path := range paths {
		if !filepath.IsAbs(path) {
			return &SetupError{Problem: fmt.Sprintf("the %s directory %q is no absolute path", name, path), Remedy: "write it from the root on"}
		}
	}
	if socket := s.socketFile(); len(socket) > maxSocketPath {
		return &SetupError{
			Problem: fmt.Sprintf("the socket's path %s has %d bytes, and the kernel allows %d", socket, len(socket), maxSocketPath),
			Remedy:  "name a shorter socket directory, such as /run/keytrustee",
		}
	}
	for _, dir := range []string{s.Data, s.Conf, s.Socket} {
		if err := s.RunAs.CheckReach(dir); err != nil {
			return err
		}
	}
	for _, file := range []string{s.TLS.Cert, s.TLS.Key, s.TLS.CA} {
		if file != "" {
			if err := s.RunAs.CheckReach(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckReach returns a *SetupError that names the directory above path which u can not traverse, if there is one. What
// does not exist yet is no fault.
func (u *OSUser) CheckReach(path string) error {
	parent := filepath.Dir(path)
	if parent == path {
		return nil
	}
	if err := u.CheckReach(parent); err != nil {
		return err
	}
	info, err := os.Stat(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if u.traverses(parent, info) {
		return nil
	}
	name := "this user"
	if u != nil {
		name = "the user " + u.Name
	}
	return &SetupError{
		Problem: fmt.Sprintf("%s can not enter %s, which %s is below", name, parent, path),
		Remedy:  fmt.Sprintf("open it (chmod a+x %s), or choose a place elsewhere", parent),
	}
}

func (u *OSUser) traverses(dir string, info fs.FileInfo) bool {
	if u.is() {
		return unix.Access(dir, unix.X_OK) == nil
	}
	var stat unix.Stat_t
	if unix.Stat(dir, &stat) != nil {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case int(stat.Uid) == u.UID:
		return mode&0o100 != 0
	case int(stat.Gid) == u.GID:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// makeDir makes a directory that is u's alone, unless it is there. It returns a *SetupError if another user may write to
// it: he would exchange the socket and the access rules in it.
func (u *OSUser) makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return u.own(path)
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	uid := os.Geteuid()
	if u != nil {
		uid = u.UID
	}
	if stat.Mode&0o022 != 0 || stat.Uid != 0 && int(stat.Uid) != uid {
		return &SetupError{
			Problem: fmt.Sprintf("other users may write to the directory %s", path),
			Remedy:  "name one that is PostgreSQL's own, such as /run/keytrustee, or close it (chmod go-w)",
		}
	}
	return nil
}
