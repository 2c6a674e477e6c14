package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Target is where copies of the backups go: a directory behind SFTP, or one that this host has mounted.
type Target struct {
	user, address string // of SFTP, host:port; empty: a directory of this host
	dir           string
}

// TargetsError says everything that is wrong with a list of targets. It quotes none: one may hold a password.
type TargetsError struct{ Faults []TargetFault }

// TargetFault is one thing that is wrong with the list.
type TargetFault struct {
	Problem string // names the value by its position, from 1 on
	Remedy  string
}

func (e *TargetsError) Error() string {
	var lines []string
	for _, f := range e.Faults {
		lines = append(lines, f.Problem+"; "+f.Remedy)
	}
	return "the targets of backups: " + strings.Join(lines, "\n  ")
}

const targetForms = "give it as sftp://USER@HOST/DIRECTORY, with :PORT after the host where it is not 22, or as file:///DIRECTORY"

// ParseTargets reads targets: sftp://user@host[:port]/absolute/directory, or file:///absolute/directory. None is one twice.
// The error is a *TargetsError with every fault.
func ParseTargets(texts []string) ([]Target, error) {
	var targets []Target
	var faults []TargetFault
	at := map[Target]int{}
	for i, text := range texts {
		which := fmt.Sprintf("value %d of %d", i+1, len(texts))
		t, fault := parseTarget(which, strings.TrimSpace(text))
		if fault == nil && at[t] > 0 {
			fault = &TargetFault{fmt.Sprintf("%s is the same as value %d", which, at[t]), "remove it"}
		}
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		at[t] = i + 1
		targets = append(targets, t)
	}
	if len(faults) > 0 {
		return nil, &TargetsError{faults}
	}
	return targets, nil
}

func parseTarget(which, text string) (t Target, _ *TargetFault) {
	bad := func(problem, remedy string) (Target, *TargetFault) {
		return Target{}, &TargetFault{which + " " + problem, remedy}
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" {
		return bad("is no target of backups", targetForms)
	}
	if _, has := u.User.Password(); has {
		return bad("has a password in it, which must not stand there", "remove it, and name a private key as backup_ssh_key, or let an agent have it")
	}
	switch {
	case u.Scheme != "sftp" && u.Scheme != "file":
		return bad("is neither an sftp:// nor a file:// address", targetForms)
	case u.Scheme == "file" && (u.Host != "" || u.User != nil):
		return bad("names a host, and a file:// address is of this one", targetForms)
	case u.Scheme == "sftp" && u.Hostname() == "":
		return bad("names no host", targetForms)
	case u.Scheme == "sftp" && u.User.Username() == "":
		return bad("names no user", targetForms)
	case strings.HasSuffix(u.Host, ":"):
		return bad("names no port after its colon", targetForms)
	case !path.IsAbs(u.Path) || path.Clean(u.Path) == "/":
		return bad("names no directory below /", targetForms)
	case strings.ContainsFunc(u.Path+u.User.Username(), func(r rune) bool { return r < ' ' || r == 0x7f }):
		return bad("has a control character in it", targetForms)
	}
	t.dir = path.Clean(u.Path)
	if u.Scheme == "sftp" {
		port := u.Port()
		if port == "" {
			port = "22"
		}
		if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
			return bad("has no port from 1 to 65535", targetForms)
		}
		t.user, t.address = u.User.Username(), net.JoinHostPort(u.Hostname(), port)
	}
	return t, nil
}

// String is the target's address, in one form however it was written.
func (t Target) String() string {
	if !t.remote() {
		return (&url.URL{Scheme: "file", Path: t.dir}).String()
	}
	host, port, _ := net.SplitHostPort(t.address) // made by JoinHostPort
	at := strings.TrimSuffix(net.JoinHostPort(host, port), ":22")
	return (&url.URL{Scheme: "sftp", User: url.User(t.user), Host: at, Path: t.dir}).String()
}

func (t Target) remote() bool { return t.address != "" }

// NeedSSH reports whether one of the targets is reached over SSH.
func NeedSSH(targets []Target) bool {
	for _, t := range targets {
		if t.remote() {
			return true
		}
	}
	return false
}

// TargetError says why something could not be sent to a target, or why not everything was. What the target has listed is
// whole all the same, and the next run goes on.
type TargetError struct {
	Target string
	Err    error
	Remedy string
}

func (e *TargetError) Error() string { return "the target " + e.Target + ": " + e.Err.Error() }
func (e *TargetError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *TargetError) Hint() string { return e.Remedy }

// goOn is the remedy of what passes.
const goOn = "see whether the target is well, and run ktadmin backup ship: it goes on where this run ended"

func remedyOf(err error) string {
	if h := (interface{ Hint() string })(nil); errors.As(err, &h) && h.Hint() != "" {
		return h.Hint()
	}
	return goOn
}

// fault makes err one that names the target and says what to do.
func (t Target) fault(err error) error {
	if named, ok := errors.AsType[*TargetError](err); ok || err == nil {
		if ok && named.Target == "" {
			named.Target = t.String()
		}
		return err
	}
	remedy := remedyOf(err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		remedy = "let " + t.who() + " read and write " + t.dir + " there, and what lies in it"
	case errors.Is(err, syscall.EROFS):
		remedy = "let it be written to: mount it so, and let the service write there: systemctl edit keytrusteed, with ReadWritePaths=" + t.dir + " below [Service]"
	case errors.Is(err, errNoDirectory):
		remedy = "mount it, or make it there, for " + t.who() + " alone. It is not made by this program: where a disk is not mounted, backups would lie in its place"
	}
	return &TargetError{t.String(), err, remedy}
}

// Check returns nil when a target of this host is a directory that may be written to, and is not own, the directory of the backups. Of
// another host it knows nothing.
func (t Target) Check(ctx context.Context, own string) error {
	if t.remote() {
		return nil
	}
	d, err := openPlace(ctx, t.dir, own, func() {})
	if err == nil {
		err = errors.Join(unix.Access(t.dir, unix.W_OK|unix.X_OK), d.close())
	}
	return t.fault(err)
}

func (t Target) who() string {
	if t.remote() {
		return "the user " + t.user
	}
	return "the service's user"
}

// errNoDirectory means that a target's directory is not there.
var errNoDirectory = errors.New("its directory is not there")
