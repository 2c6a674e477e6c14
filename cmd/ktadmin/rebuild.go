package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
)

// rebuilding is a restore from a backup.
type rebuilding struct {
	*app
	joinFlags
	backupFlags

	config     *config.Config // of this host, before the backup has told
	backup     *os.File
	identities backup.Identities
	recovery   string
	origin     backup.Origin
	key        string // fingerprint of the recovery key

	unpacked backup.Unpacked
	dump     backup.Dump
	alone    bool       // the keys came from the dump alone
	node     []byte     // the node.yaml of the host that the backup is of
	newer    int64      // how many rows were made while the backup was
	newest   *time.Time // when the newest of the changes was made
}

// open reads what the operator has named, and opens the backup.
func (r *rebuilding) open() error {
	if err := absolute(&r.pgRoot, &r.joinFlags.socket); err != nil {
		return err
	}
	text, err := readSecret(r.identity, "")
	if err != nil {
		return err
	}
	if r.identities, err = identities(text, r.passphrase); err != nil {
		return err
	}
	if r.recovery, err = readSecret(r.recoveryKey, "Recovery key: "); err != nil {
		return err
	}
	if r.backup, err = os.Open(r.file); errors.Is(err, fs.ErrNotExist) {
		return usagef("--from-backup: %w", err)
	} else if err != nil {
		return err
	}
	root, err := seal.ParseRecovery(r.recovery)
	if err != nil {
		return usagef("--recovery-key: %w", err)
	}
	r.key = root.Public().Fingerprint()
	if r.origin, err = originBy(root, r.sha256); err != nil {
		return err
	}
	if r.config, err = config.Read(r.confdir); err != nil {
		return err
	}
	r.apply(r.config)
	return r.config.ValidateJoiner()
}

func (r *rebuilding) close() {
	if r.backup != nil {
		r.backup.Close()
	}
	r.dump.Close()
}

func (r *rebuilding) options() host.RebuildOptions {
	return host.RebuildOptions{
		Unpack: r.unpack, Recovery: r.recovery, Name: r.config.Name, Address: r.config.ExternalAddress, AlsoAsk: r.alsoAsk, Configure: r.configure, Check: r.check,
		FromDump: r.fromDump, Confirm: r.confirm, Progress: joining{r.display()},
	}
}

// unpack lays the backup out in dir, if a host of the cluster has made it.
func (r *rebuilding) unpack(ctx context.Context, dir string) (b host.Backup, err error) {
	m, _, err := backup.ReadManifest(ctx, r.backup, r.identities)
	if err != nil {
		return b, err
	}
	if err := fitsRecovery(m, r.key); err != nil {
		return b, err
	}
	if r.unpacked, err = backup.Unpack(ctx, r.backup, r.identities, r.origin, dir, r.display()); err != nil {
		return b, err
	}
	m, rows := r.unpacked.Manifest, r.unpacked.Trailer.Rows
	b = host.Backup{
		Host: m.Host, Started: m.Started, Keys: rows.Keys, Versions: rows.Versions, By: madeBy(r.unpacked.Authenticated), Warning: otherWarning(m),
		Data: filepath.Join(dir, backup.DataDir), Config: filepath.Join(dir, backup.ConfigDir),
	}
	if b.Major, err = m.Major(); err != nil {
		return b, err
	}
	if r.dump, err = backup.OpenDump(dir); err != nil {
		return b, err
	}
	b.Dump = r.dump.Of(keyChecker{})
	if r.node, err = os.ReadFile(filepath.Join(b.Config, "node", "node.yaml")); err != nil {
		return b, fmt.Errorf("the configuration in the backup: %w", err)
	}
	if b.Address, b.ClusterPort, err = config.ReachedAt(b.Config); err != nil {
		return b, fmt.Errorf("the configuration in the backup: %w", err)
	}
	return b, nil
}

// configure saves node.yaml, now that the cluster's own settings are there. What the host was set to it is again, but for where its
// files lie.
func (r *rebuilding) configure(l host.Learned) (*host.Host, error) {
	if l.Name == r.unpacked.Manifest.Host {
		if err := r.config.TakeNode(r.node); err != nil {
			return nil, err
		}
	}
	f := r.joinFlags
	f.pgRoot, f.socket = r.config.PGRootDir, r.config.SocketDir // where the backup was unpacked to
	return r.configureJoined(&f, l)
}

// check opens every version of every key that was restored.
func (r *rebuilding) check(ctx context.Context, server *postgres.Server, ring *seal.Keyring, dump bool) error {
	r.alone = dump
	conn, err := pgx.Connect(ctx, server.ConnString(host.Database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if dump {
			err = backup.CompareDump(ctx, tx, restoring{keyChecker{ring}}, r.dump, r.unpacked.Trailer.Rows, r.display())
		} else {
			r.newer, err = backup.Compare(ctx, tx, restoring{keyChecker{ring}}, r.dump, r.unpacked.Trailer.Rows, r.display())
		}
		if err != nil {
			return err
		}
		r.newest, err = pgstore.Newest(ctx, tx)
		return err
	})
}

// rebuilt says what has come of it, and what is to be done next.
func (a *app) rebuilt(r *rebuilding) error {
	c, err := config.Load(a.confdir)
	if err != nil {
		return err
	}
	s, err := hostOf(c).Status()
	if err != nil {
		return err
	}
	newest := "-"
	if r.newest != nil {
		newest = stamp(*r.newest)
	}
	m, rows := r.unpacked.Manifest, r.unpacked.Trailer.Rows
	if a.format == "json" {
		return a.result(map[string]any{"state": s.State, "backup": m, "rows": rows, "newer_rows": r.newer, "newest_change": r.newest, "from_dump": r.alone}, nil)
	}
	from, beside := "a backup", fmt.Sprintf("%d rows were made while the backup was", r.newer)
	if r.alone {
		from, beside = "the logical dump in a backup", "and there is nothing else"
	}
	if err := a.result(nil, []row{
		{"node", s.Name}, {"duty", string(s.State.Duty)}, {"epoch", s.State.Epoch.String()}, {"data", c.PGRootDir},
		{"from", fmt.Sprintf("%s of %s that was begun at %s", from, m.Host, stamp(m.Started))},
		{"opened", fmt.Sprintf("%d versions of %d keys, with the new root key; %s", rows.Versions, rows.Keys, beside)},
		{"newest change", newest + "; what was acknowledged later is lost"},
		{"recovery key", "as it was, and confirmed"},
	}); err != nil {
		return err
	}
	a.say("next: a new passive. Here, when the services run: ktadmin join-token --out FILE; on the other bare host, with that file: ktadmin init-slave --token-file FILE")
	return nil
}
