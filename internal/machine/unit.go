package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// execution is how a unit's process becomes the unit's program.
type execution struct {
	Argv, Env []string
	UID, GID  int
	Umask     int
	Writable  []string // where nothing else is
	Strict    bool     // ProtectSystem: strict, otherwise full
	NoHome    bool     // ProtectHome
	OwnTmp    bool     // PrivateTmp
}

// prepare makes the unit's directories and reads its environment.
func (u unit) prepare() (execution, error) {
	who, err := user.Lookup(u.get("User", "root"))
	if err != nil {
		return execution{}, err
	}
	e := execution{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8", "USER=" + who.Username, "HOME=" + who.HomeDir},
		Strict: u.get("ProtectSystem", "") == "strict", NoHome: u.yes("ProtectHome"), OwnTmp: u.yes("PrivateTmp"), Writable: u["ReadWritePaths"]}
	umask, err := strconv.ParseInt(u.get("UMask", "0022"), 8, 0)
	if err != nil {
		return e, err
	}
	e.Umask = int(umask)
	if e.UID, err = strconv.Atoi(who.Uid); err != nil {
		return e, err
	}
	if e.GID, err = strconv.Atoi(who.Gid); err != nil {
		return e, err
	}
	for key, parent := range map[string]string{"RuntimeDirectory": "/run", "StateDirectory": "/var/lib"} {
		dir := filepath.Join(parent, u.get(key, ""))
		mode, err := strconv.ParseUint(u.get(key+"Mode", "0755"), 8, 32)
		if err != nil {
			return e, err
		}
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, os.FileMode(mode)), os.Chown(dir, e.UID, e.GID)); err != nil {
			return e, err
		}
		e.Writable = append(e.Writable, dir)
	}
	given := map[string]string{}
	text, err := os.ReadFile(strings.TrimPrefix(u.get("EnvironmentFile", ""), "-"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return e, err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			given[key] = strings.Trim(value, `"`)
			e.Env = append(e.Env, key+"="+given[key])
		}
	}
	for _, word := range u["ExecStart"] {
		if variable, ok := strings.CutPrefix(word, "$"); ok {
			e.Argv = append(e.Argv, strings.Fields(given[variable])...) // unset: no word at all
		} else {
			e.Argv = append(e.Argv, word)
		}
	}
	return e, nil
}

// runUnit becomes a unit's program. What prevents it goes to file 3, which the program does not inherit.
func runUnit() error {
	unix.CloseOnExec(3)
	err := becomeUnit()
	fmt.Fprint(os.NewFile(3, "refused"), err)
	return err
}

func becomeUnit() error {
	runtime.LockOSThread() // no_new_privs belongs to the thread, and exec has to come from it
	var e execution
	if err := json.Unmarshal([]byte(os.Getenv("EXECUTION")), &e); err != nil {
		return err
	}
	if err := e.confine(); err != nil {
		return err
	}
	unix.Umask(e.Umask)
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(e.GID), syscall.Setuid(e.UID)); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return syscall.Exec(e.Argv[0], e.Argv, e.Env)
}

// confine takes away the files that the unit does without.
func (e execution) confine() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	bind := func(path string) error { return unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "") }
	readOnly := func(path string) error {
		return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	var errs []error
	for _, path := range e.Writable {
		errs = append(errs, bind(path))
	}
	if e.NoHome {
		for _, dir := range []string{"/home", "/root"} {
			errs = append(errs, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "mode=0"))
		}
	}
	if e.OwnTmp {
		for _, dir := range []string{"/tmp", "/var/tmp"} {
			errs = append(errs, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=1777"))
		}
	}
	if e.Strict {
		errs = append(errs, readOnly("/"), readOnly("/run"))
	} else {
		for _, dir := range []string{"/usr", "/etc"} {
			errs = append(errs, bind(dir), readOnly(dir))
		}
	}
	return errors.Join(errs...)
}
