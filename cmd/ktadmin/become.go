package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"syscall"

	"keytrustee/internal/config"
	"keytrustee/postgres"
)

// serviceUser returns the user to become; nil if this process is it already. It refuses everybody but root and that user.
func (a *app) serviceUser(c *config.Config) (*postgres.OSUser, error) {
	if a.user != "" {
		c.User = a.user
	}
	self, err := postgres.CurrentOSUser()
	if err != nil {
		return nil, err
	}
	if self.UID != 0 {
		if self.Name != c.User {
			return nil, &deniedError{fmt.Sprintf("this command works on files of %s, and this user is %s", c.User, self.Name),
				"run it as root or as " + c.User + ", or name this user with --user"}
		}
		return nil, nil
	}
	u, err := postgres.LookupOSUser(c.User)
	if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
		return nil, &postgres.SetupError{Problem: fmt.Sprintf("the user %s does not exist on this host", c.User),
			Remedy: fmt.Sprintf("create it: useradd --system --home-dir %s %s; or name another one with --user", c.Home(), c.User)}
	} else if err != nil {
		return nil, err
	}
	if u.UID == 0 {
		return nil, usagef("--user: PostgreSQL refuses to run as root; name another user")
	}
	return u, nil
}

// become makes this process the service's user: root prepares what only root can, and then is root no more. After it every
// file is made by, and belongs to, the service's user.
func (a *app) become(c *config.Config) error {
	syscall.Umask(0o077)
	u, err := a.serviceUser(c)
	if err != nil || u == nil {
		return err
	}
	if err := prepare(c, u); err != nil {
		return err
	}
	if err := syscall.Setgroups([]int{u.GID}); err != nil {
		return fmt.Errorf("becoming %s: %w", u.Name, err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return fmt.Errorf("becoming %s: %w", u.Name, err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return fmt.Errorf("becoming %s: %w", u.Name, err)
	}
	return os.Setenv("HOME", c.Home())
}

// prepare gives the user the directories that it could not make itself: the home, with a confdir that root copied there,
// the socket directory, and a data or log directory elsewhere.
func prepare(c *config.Config, u *postgres.OSUser) error {
	if err := takeHome(c, u); err != nil {
		return err
	}
	for _, dir := range []string{c.SocketDir, c.PGRootDir, c.LogDir} {
		if filepath.Dir(dir) == c.Home() {
			continue // the user's own to make
		}
		if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Chown(dir, u.UID, u.GID); err != nil {
			return err
		}
	}
	return nil
}

// takeHome makes the home, or gives one that root made (rsync does) to the user, if it holds nothing but our files.
func takeHome(c *config.Config, u *postgres.OSUser) error {
	home := c.Home()
	info, err := os.Lstat(home)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		return os.Chown(home, u.UID, u.GID)
	} else if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != 0 || !info.IsDir() {
		return nil
	}
	entries, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	ours := []string{filepath.Base(c.Confdir), "node", "db", "log"}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return &postgres.SetupError{Problem: fmt.Sprintf("the directory %s belongs to root and holds %s, which is not ours", home, e.Name()),
				Remedy: fmt.Sprintf("give the host a home of its own: mkdir DIR && chown %s DIR, and use --confdir DIR/%s", u.Name, filepath.Base(c.Confdir))}
		}
	}
	return filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 0 || s.Nlink > 1 && !d.IsDir() {
			return nil
		}
		return os.Lchown(path, u.UID, u.GID)
	})
}
