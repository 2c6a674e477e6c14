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
	"keytrustee/internal/undumped"
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
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return nil, &postgres.SetupError{Problem: fmt.Sprintf("the user %s does not exist on this host", c.User),
			Remedy: fmt.Sprintf("create it: useradd --system --home-dir %s %s; or name another one with --user", c.Home(), c.User)}
	} else if err != nil {
		return nil, err
	}
	if u.UID == 0 {
		return nil, usagef("--user: PostgreSQL refuses to run as root; name another user")
	}
	return u, checkOwner(c, u)
}

// become makes this process the service's user: root prepares what only root can, and then is root no more. After it every
// file is made by, and belongs to, the service's user.
func (a *app) become(c *config.Config) error {
	return a.becomeFor(c, "")
}

// becomeFor is become, and root makes the directory too, which the command line names; empty: none.
func (a *app) becomeFor(c *config.Config, directory string) error {
	syscall.Umask(0o077)
	u, err := a.serviceUser(c)
	if err != nil {
		return err
	}
	if u != nil {
		if err := prepare(c, u); err != nil {
			return err
		}
	}
	return turnInto(u, directory, c.Home())
}

// turnInto makes the directory for the user, unless it is there or empty, and makes this process that user, whose home is home. A nil
// user is whom it is already.
func turnInto(u *postgres.OSUser, directory, home string) error {
	if u == nil {
		return nil
	}
	if directory != "" {
		if err := makeFor(u, directory); err != nil {
			return err
		}
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
	if err := undumped.Set(); err != nil { // as another user it may have ended
		return err
	}
	return os.Setenv("HOME", home)
}

// checkOwner refuses a user whose the configuration is not: whoever can write it would choose whom root becomes.
func checkOwner(c *config.Config, u *postgres.OSUser) error {
	for path, owner := range c.Owners() {
		if owner != 0 && owner != u.UID {
			return &deniedError{fmt.Sprintf("%s belongs to the user number %d, and root was to become %s", path, owner, u.Name),
				"name its owner with --user, or give the files of this host to " + u.Name}
		}
	}
	return nil
}

// prepare gives the user the directories that it could not make itself: the home, with a confdir that root copied there,
// the socket directory, and a data, log or backup directory elsewhere. All but the home root makes where the command line or the
// environment says so, not on the word of a file: that is the user's, who could have a directory anywhere.
func prepare(c *config.Config, u *postgres.OSUser) error {
	if err := takeHome(c, u); err != nil {
		return err
	}
	for _, d := range []struct{ key, path string }{{"socket_dir", c.SocketDir}, {"pg_rootdir", c.PGRootDir}, {"log_dir", c.LogDir}, {"backup_directory", c.BackupDirectory}} {
		if filepath.Dir(d.path) == c.Home() {
			continue // the user's own to make
		}
		if c.FromFile(d.key, d.path) && d.path != config.DefaultSocketDir {
			continue
		}
		if err := makeFor(u, d.path); err != nil {
			return err
		}
	}
	return nil
}

// makeFor makes a directory that is u's alone, unless it is there. Whoever may write to its parent can not have anything
// else given to u in its place.
func makeFor(u *postgres.OSUser, dir string) error {
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close()
	name := filepath.Base(dir)
	if err := parent.Mkdir(name, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return parent.Lchown(name, u.UID, u.GID)
}

// takeHome makes the home, or gives one that root made (rsync does) to the user, if it holds nothing but our files.
func takeHome(c *config.Config, u *postgres.OSUser) error {
	home := c.Home()
	info, err := os.Lstat(home)
	if errors.Is(err, fs.ErrNotExist) {
		return makeFor(u, home)
	} else if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != 0 || !info.IsDir() {
		return nil
	}
	root, err := os.OpenRoot(home)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	ours := []string{filepath.Base(c.Confdir), "node", "db", "log", "backups"}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return &postgres.SetupError{Problem: fmt.Sprintf("the directory %s belongs to root and holds %s, which is not ours", home, e.Name()),
				Remedy: fmt.Sprintf("give the host a home of its own: mkdir DIR && chown %s DIR, and use --confdir DIR/%s", u.Name, filepath.Base(c.Confdir))}
		}
	}
	return giveTree(root, u)
}

// giveTree gives to u what is root's in the tree: each directory after all that is in it, so that nobody but root can
// exchange what is yet to be given. A directory that is another's is left alone, with all that is in it.
func giveTree(root *os.Root, u *postgres.OSUser) error {
	var paths []string
	err := fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case ok && s.Uid == 0 && (d.IsDir() || s.Nlink == 1):
			paths = append(paths, path)
		case d.IsDir():
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(paths) {
		if err := root.Lchown(path, u.UID, u.GID); err != nil {
			return err
		}
	}
	return nil
}
