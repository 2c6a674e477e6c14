package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// OSUser is a user of the operating system that PostgreSQL runs as.
type OSUser struct {
	Name string
	UID  int
	GID  int
}

// serviceUsers are who PostgreSQL runs as when root starts it: the first that exists.
var serviceUsers = []string{"keytrustee", "postgres", "nobody"}

// ServiceUser returns the first that exists of keytrustee, postgres and nobody.
func ServiceUser() (*OSUser, error) {
	for _, name := range serviceUsers {
		u, err := LookupOSUser(name)
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			continue
		}
		return u, err
	}
	return nil, &SetupError{
		Problem: "there is no user to run PostgreSQL as: none of " + strings.Join(serviceUsers, ", ") + " exists",
		Remedy:  "create one: useradd --system --home-dir /var/lib/keytrustee keytrustee",
	}
}

// LookupOSUser returns the user of that name.
func LookupOSUser(name string) (*OSUser, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("looking up the user %s: %w", name, err)
	}
	return parseOSUser(u)
}

// CurrentOSUser returns the user that this process is.
func CurrentOSUser() (*OSUser, error) {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid())) // user.Current remembers who this process once was
	if err != nil {
		return nil, fmt.Errorf("looking up this process's user: %w", err)
	}
	return parseOSUser(u)
}

func parseOSUser(u *user.User) (*OSUser, error) {
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if err := errors.Join(uerr, gerr); err != nil {
		return nil, fmt.Errorf("looking up the user %s: %w", u.Username, err)
	}
	return &OSUser{Name: u.Username, UID: uid, GID: gid}, nil
}

// is reports whether this process is the user already; a nil OSUser is whoever this process is.
func (u *OSUser) is() bool { return u == nil || u.UID == os.Geteuid() }

// Check returns a *SetupError unless this process can run PostgreSQL as u, or as itself if u is nil.
func (u *OSUser) Check() error {
	switch {
	case u == nil && os.Geteuid() == 0, u != nil && u.UID == 0:
		return &SetupError{Problem: "PostgreSQL refuses to run as root", Remedy: "name an unprivileged user, such as keytrustee"}
	case !u.is() && os.Geteuid() != 0:
		return &SetupError{
			Problem: fmt.Sprintf("only root and %s itself can run PostgreSQL as %s", u.Name, u.Name),
			Remedy:  "run the command as root, or as " + u.Name,
		}
	}
	return nil
}

// command is a program run as u, in the root directory (ours may be closed to u), with an environment that holds nothing
// of ours that PostgreSQL would heed. When ctx ends it is asked to end, and killed 5 s later.
func (u *OSUser) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = u.attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// holding has the command, and the children that it will have, keep a lock until the last of them has ended, also when this process has been
// killed. lock may be nil.
func holding(lock *os.File, cmd *exec.Cmd) *exec.Cmd {
	if lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, lock)
	}
	return cmd
}

func (u *OSUser) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true} // a terminal's Ctrl-C is for us to handle
	if !u.is() {
		attr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	}
	return attr
}

// own gives the file or directory to u.
func (u *OSUser) own(path string) error {
	if u.is() {
		return nil
	}
	return os.Chown(path, u.UID, u.GID)
}

// run runs the command and returns its standard output. The error holds the last lines it wrote to standard error.
func run(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	name := cmd.Path[strings.LastIndexByte(cmd.Path, '/')+1:]
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return nil, fmt.Errorf("%s: %s", name, lastLines(string(exit.Stderr), 4))
	}
	return nil, fmt.Errorf("running %s: %w", name, err)
}

// lastLines joins the last n non-empty lines of text with "; ".
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
