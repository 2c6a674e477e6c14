package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keytrustee/internal/durable"
)

// Init makes a new database in Data, which must be empty or absent, with checksums and the roles Superuser and
// Replicator, and makes the directories Conf and Socket. When it returns nil all is on the disk. It leaves no
// configuration in Data: without Conf the database can not be started by mistake. After an error Data is as it was.
func (s *Server) Init(ctx context.Context) (err error) {
	if err := s.Check(); err != nil {
		return err
	}
	undo, err := s.RunAs.takeEmpty(s.Data)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	for _, dir := range []string{s.Conf, s.Socket} {
		if err := s.RunAs.makeDir(dir); err != nil {
			return err
		}
	}
	initdb := s.RunAs.command(ctx, s.Path("initdb"), "-D", s.Data, "-U", Superuser, "-E", "UTF8", "--locale=C",
		"--data-checksums", "--auth-local=peer", "--auth-host=reject", "--no-instructions")
	if _, err := run(ctx, holding(s.Lock, initdb)); err != nil {
		return fmt.Errorf("making a database in %s: %w", s.Data, err)
	}
	single := s.RunAs.command(ctx, s.Path("postgres"), "--single", "-D", s.Data, "-c", "exit_on_error=on", "postgres")
	single.Stdin = strings.NewReader("CREATE ROLE " + Replicator + " LOGIN REPLICATION\n")
	if _, err := run(ctx, holding(s.Lock, single)); err != nil {
		return fmt.Errorf("making the role %s in %s: %w", Replicator, s.Data, err)
	}
	for _, name := range []string{"postgresql.conf", "pg_hba.conf", "pg_ident.conf"} {
		if err := os.Remove(filepath.Join(s.Data, name)); err != nil {
			return err
		}
	}
	return durable.SyncDir(s.Data)
}

// takeEmpty makes the directory, or takes it if it is empty, and gives it to u. undo empties and, if it was made,
// removes it. A *SetupError if it is not empty.
func (u *OSUser) takeEmpty(dir string) (undo func() error, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := u.makeDir(dir); err != nil {
			return nil, &SetupError{Problem: "the directory can not be made", Err: err, Remedy: "make " + filepath.Dir(dir) + " first, or choose another place"}
		}
		return func() error { return os.RemoveAll(dir) }, durable.SyncDir(filepath.Dir(dir))
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, &SetupError{
			Problem: fmt.Sprintf("the directory %s is not empty", dir),
			Remedy:  "choose another one, or move it aside; nothing in it was changed",
		}
	}
	return func() error { return emptyDir(dir) }, u.own(dir)
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	return err
}
