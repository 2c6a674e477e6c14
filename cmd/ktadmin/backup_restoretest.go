package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
)

// restoreTest is one call of backup restore-test.
type restoreTest struct {
	*app
	config      *config.Config // nil: this computer is no host of a pair
	identities  backup.Identities
	key         string // the recovery key, as a person keeps it
	fingerprint string // its
	fromDump    bool   // the base backup is left alone
	origin      backup.Origin
}

func newRestoreTestCommand(a *app) *cobra.Command {
	var identity, passphrase, key, directory, record, sum string
	var fromDump bool
	cmd := &cobra.Command{
		Use:   "restore-test NAME|FILE",
		Short: "Prove with an identity and the recovery key alone that a backup restores",
		Long: "restore-test opens a backup with the identity of one of its recipients, starts a PostgreSQL from it that nobody reaches, looks for every row,\n" +
			"and opens every version of every key with the recovery key. It needs no host: run it where the identity and the recovery key are kept, on a\n" +
			"computer with this program and PostgreSQL. Where that is not of the same major version, or with --from-dump, it restores the logical dump in\n" +
			"the backup alone, and says so. Neither secret is written anywhere, and nothing of the backup is left.\n" +
			"Nothing is started from a file before the recovery key has shown that a host of its cluster made it, or its --sha256 that it is that host's.\n" +
			"On a host of the pair it notes when that was; for a test that was made elsewhere, restore-test --record FILE does, with its output (-o json).",
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&identity, "identity", "", "file with the identity of a recipient, as age-keygen made it, or gpg --export-secret-keys")
	cmd.Flags().StringVar(&passphrase, "identity-passphrase-file", "", "file with the passphrase of an OpenPGP key (default: asked for on a terminal)")
	cmd.Flags().StringVar(&key, "recovery-key", "", "file with the recovery key")
	cmd.Flags().StringVar(&directory, "directory", "", "where to restore to (default below backup_directory, or below /var/tmp on a computer that is no host of a pair)")
	cmd.Flags().BoolVar(&fromDump, "from-dump", false, "restore the logical dump alone, into a new database")
	addSHA256(cmd.Flags(), &sum)
	cmd.Flags().StringVar(&record, "record", "", "note on this host a test that was made elsewhere: FILE is what it said with -o json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if record != "" {
			if len(args) > 0 || identity+passphrase != "" || key != "" || directory != "" || fromDump || sum != "" {
				return usagef("--record only notes a test that was made elsewhere: name nothing else beside it")
			}
			return a.recordTest(record)
		}
		switch {
		case len(args) == 0:
			return usagef("name a backup: as ktadmin backup list shows it, or its file")
		case identity == "":
			return usagef("--identity: name the file with the identity of one of the backup's recipients")
		case key == "":
			return usagef("--recovery-key: name the file with the recovery key; without it nothing shows that a key would open when both hosts are lost")
		}
		if err := checkSHA256(sum); err != nil {
			return err
		}
		t, err := a.newRestoreTest(identity, passphrase, key, sum)
		if err != nil {
			return err
		}
		t.fromDump = fromDump
		return t.run(cmd.Context(), args[0], directory)
	}
	return cmd
}

// newRestoreTest reads the secrets, as the user who called: the files may be theirs alone.
func (a *app) newRestoreTest(identity, passphrase, key, sum string) (*restoreTest, error) {
	t := &restoreTest{app: a}
	text, err := readSecretFile("--identity", identity)
	if err != nil {
		return nil, err
	}
	if t.identities, err = identities(text, passphrase); err != nil {
		return nil, fmt.Errorf("--identity: %s: %w", identity, err)
	}
	if t.key, err = readSecretFile("--recovery-key", key); err != nil {
		return nil, err
	}
	root, err := seal.ParseRecovery(t.key)
	if err != nil {
		return nil, usagef("--recovery-key: %s: %w", key, err)
	}
	t.fingerprint = root.Public().Fingerprint()
	if t.origin, err = originBy(root, sum); err != nil {
		return nil, err
	}
	t.config, err = config.Load(a.confdir)
	if errors.Is(err, config.ErrNotInitialized) {
		t.config, err = nil, nil
	}
	return t, err
}

func (t *restoreTest) run(ctx context.Context, name, directory string) error {
	if err := absolute(&directory); err != nil {
		return err
	}
	file, err := os.Open(name) // as the user who called
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsRune(name, '/'):
		return usagef("the backup is not there: %w", err)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("opening the backup: %w", err)
	}
	given := directory != ""
	if directory, err = t.become(directory); err != nil {
		return err
	}
	if !given {
		defer os.Remove(directory) // it stays where something is in it
	}
	if file == nil {
		if file, err = t.named(name); err != nil {
			return err
		}
	}
	defer file.Close()
	tested, err := backup.RestoreTest(ctx, backup.TestOptions{
		File: file, Identities: t.identities, Directory: directory, Database: host.Database, FromDump: t.fromDump, Origin: t.origin,
		Fits: func(m backup.Manifest) error { return fitsRecovery(m, t.fingerprint) }, Keys: t.keys,
		Progress: t.display(),
	})
	if err != nil {
		return err
	}
	return errors.Join(t.result(tested, testedRows(tested)), t.note(tested))
}

// named opens a backup of this host.
func (t *restoreTest) named(name string) (*os.File, error) {
	if t.config == nil {
		return nil, &postgres.SetupError{Problem: fmt.Sprintf("there is no file %q, and this computer is no host of a pair, which would have backups by name", name),
			Remedy: "name the file of a backup; on a host, --confdir says where its settings lie"}
	}
	r, err := backup.Show(t.config.BackupDirectory, name)
	if err != nil {
		return nil, err
	}
	return os.Open(backup.File(t.config.BackupDirectory, r.Name))
}

// become makes this process one that PostgreSQL can run as, and returns the directory to restore into: on a host the service's user,
// elsewhere whoever it is, and instead of root a user that can do nothing.
func (t *restoreTest) become(directory string) (string, error) {
	if t.config != nil {
		if directory == "" {
			return filepath.Join(t.config.BackupDirectory, ".restore-test"), t.app.become(t.config)
		}
		return directory, t.becomeFor(t.config, directory)
	}
	syscall.Umask(0o077)
	u, err := t.anybody()
	if err != nil {
		return "", err
	}
	if err := turnInto(u, directory, "/"); err != nil || directory != "" {
		return directory, err
	}
	return placeIn("/var/tmp")
}

// placeIn is a directory to restore into, below one that every user may write to: what a run of this user that was killed has left, which is removed
// there first, or a new one. Nobody else knows its name before, and nothing is taken that another user can have put there.
func placeIn(base string) (string, error) {
	const prefix = "keytrustee-restore-test-"
	left, err := filepath.Glob(filepath.Join(base, prefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range left {
		if isLeft(dir) {
			return dir, nil
		}
	}
	return os.MkdirTemp(base, prefix)
}

// isLeft reports whether a run of this user that has ended left something in the directory. It is no link, and closed to all others.
func isLeft(dir string) bool {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() != 0o700 {
		return false
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != os.Geteuid() {
		return false
	}
	if entries, err := f.ReadDir(1); err != nil || len(entries) == 0 { // one that begins just now has nothing in it
		return false
	}
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil // one that runs has the lock
}

// anybody is a user to become where there is no service's user; nil unless this process is root.
func (t *restoreTest) anybody() (*postgres.OSUser, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if t.user == "" {
		return postgres.ServiceUser()
	}
	u, err := postgres.LookupOSUser(t.user)
	if err == nil && u.UID == 0 {
		return nil, usagef("--user: PostgreSQL refuses to run as root; name another user")
	}
	return u, err
}

// keys is who opens the versions of a backup: the recovery key, through the wraps that the backup has.
func (t *restoreTest) keys(dir string, m backup.Manifest) (backup.Checker, error) {
	found, err := fs.Glob(os.DirFS(dir), "*/"+seal.AuthorityFile)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the settings in the backup have %d files %s, where one was wanted", len(found), seal.AuthorityFile)
	}
	ring, err := seal.LoadWithRecovery(filepath.Join(dir, filepath.Dir(found[0])), t.key)
	if err != nil {
		return nil, err
	}
	if ring.Cluster() != m.Cluster {
		return nil, fmt.Errorf("the backup is of the cluster %s, and the wraps in it of %s", m.Cluster, ring.Cluster())
	}
	return keyChecker{ring}, nil
}
