package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/term"

	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
)

// takeRecovery makes the recovery key where somebody can take it: into the file, or on a terminal, by calling show. The
// private half goes nowhere else, but for what is derived from it for backups. Nil without either, and where the cluster has one. A file that holds a recovery key
// already, and is the caller's alone, is used as it is, and named, so that an init that broke off can be repeated. It is called while this process is still the
// user who named the file.
func (a *app) takeRecovery(c *config.Config, file string) (o host.InitOptions, show func() error, err error) {
	show = func() error { return nil }
	has, err := seal.ReadRecovery(c.Confdir)
	switch {
	case err == nil && file == "":
		return o, show, nil
	case err == nil:
		if text, err := readOwn(file); err == nil {
			if root, err := seal.ParseRecovery(text); err == nil && root.Public().Fingerprint() == has.Fingerprint() {
				o, err = recoveryOptions(root)
				return o, show, err
			}
		}
		return o, show, usagef("--recovery-key-out: this cluster has a recovery key already, %s; there is no second copy of it to write", has.Fingerprint())
	case !errors.Is(err, fs.ErrNotExist):
		return o, show, err
	}
	if file == "" {
		if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
			return o, show, nil
		}
		private, root, err := newRecovery()
		if err != nil {
			return o, show, err
		}
		o, err = recoveryOptions(root)
		return o, func() error { return a.showRecovery(private) }, err
	}
	if c.InConfdir(file) {
		return o, show, usagef("--recovery-key-out: %s lies in the confdir, which the key is to survive; choose another place", file)
	}
	if text, err := readOwn(file); err == nil {
		root, err := seal.ParseRecovery(text)
		if err != nil {
			return o, show, usagef("--recovery-key-out: %s exists and holds no recovery key; name a file that does not exist", file)
		}
		a.say("note: %s was there already, and the recovery key in it is this cluster's from now on: %s", file, root.Public().Fingerprint())
		o, err = recoveryOptions(root)
		return o, show, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return o, show, usagef("--recovery-key-out: %w; name a file that does not exist", err)
	}
	private, root, err := newRecovery()
	if err != nil {
		return o, show, err
	}
	if err := durable.CreateFile(file, []byte(private+"\n"), 0o600); err != nil {
		return o, show, err
	}
	o, err = recoveryOptions(root)
	return o, show, err
}

// readOwn reads a file that nobody but the caller can have put there or read: whoever else has a recovery key opens every key.
func readOwn(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return "", fmt.Errorf("%s is a symbolic link", path)
	} else if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	switch s, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is there and no regular file", path)
	case !ok || int(s.Uid) != os.Geteuid():
		return "", fmt.Errorf("%s is there and belongs to another user", path)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s is there and open to others (mode %04o)", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(f)
	return string(text), err
}

// newRecovery makes a recovery key: as a person keeps it, and to derive from.
func newRecovery() (private string, root *seal.Root, err error) {
	if private, _, err = seal.NewRecovery(); err != nil {
		return "", nil, err
	}
	root, err = seal.ParseRecovery(private)
	return private, root, err
}

// recoveryOptions is what a host keeps of the recovery key.
func recoveryOptions(root *seal.Root) (host.InitOptions, error) {
	public := root.Public()
	key, err := root.BackupKey()
	return host.InitOptions{Recovery: &public, BackupKey: key}, err
}

// showRecovery shows the key once and waits until somebody says that it is written down.
func (a *app) showRecovery(private string) error {
	a.say("\nThis is the recovery key of the cluster. If both hosts are lost, a backup is worth nothing without it. It is shown this\n"+
		"once and kept nowhere. Write it down, and keep it away from both hosts:\n\n  %s\n", private)
	fmt.Fprint(a.cmd.ErrOrStderr(), "Press Enter when it is written down: ")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}
