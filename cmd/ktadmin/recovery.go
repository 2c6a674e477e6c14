package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/term"

	"keytrustee/internal/config"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
)

// takeRecovery makes the recovery key where somebody can take it: into the file, or on a terminal, by calling show. The
// private half goes nowhere else. Nil without either, and where the cluster has one. A file that holds a recovery key
// already is used as it is, so that an init that broke off can be repeated. It is called while this process is still the
// user who named the file.
func (a *app) takeRecovery(c *config.Config, file string) (public *seal.Public, show func() error, err error) {
	show = func() error { return nil }
	has, err := seal.ReadRecovery(c.Confdir)
	switch {
	case err == nil && file == "":
		return nil, show, nil
	case err == nil:
		if text, err := os.ReadFile(file); err == nil {
			if root, err := seal.ParseRecovery(string(text)); err == nil && root.Public().Fingerprint() == has.Fingerprint() {
				return &has, show, nil
			}
		}
		return nil, show, usagef("--recovery-key-out: this cluster has a recovery key already, %s; there is no second copy of it to write", has.Fingerprint())
	case !errors.Is(err, fs.ErrNotExist):
		return nil, show, err
	}
	if file == "" {
		if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
			return nil, show, nil
		}
		private, p, err := seal.NewRecovery()
		if err != nil {
			return nil, show, err
		}
		return &p, func() error { return a.showRecovery(private) }, nil
	}
	if c.InConfdir(file) {
		return nil, show, usagef("--recovery-key-out: %s lies in the confdir, which the key is to survive; choose another place", file)
	}
	if text, err := os.ReadFile(file); err == nil {
		root, err := seal.ParseRecovery(string(text))
		if err != nil {
			return nil, show, usagef("--recovery-key-out: %s exists and holds no recovery key; name a file that does not exist", file)
		}
		p := root.Public()
		return &p, show, nil
	}
	private, p, err := seal.NewRecovery()
	if err != nil {
		return nil, show, err
	}
	if err := durable.CreateFile(file, []byte(private+"\n"), 0o600); err != nil {
		return nil, show, err
	}
	return &p, show, nil
}

// showRecovery shows the key once and waits until somebody says that it is written down.
func (a *app) showRecovery(private string) error {
	a.say("\nThis is the recovery key of the cluster. If both hosts are lost, a backup is worth nothing without it. It is shown this\n"+
		"once and kept nowhere. Write it down, and keep it away from both hosts:\n\n  %s\n", private)
	fmt.Fprint(a.cmd.ErrOrStderr(), "Press Enter when it is written down: ")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}
