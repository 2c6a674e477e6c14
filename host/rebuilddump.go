package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// chooseData finds out whether the keys come from the base backup or from the dump, and makes sure that PostgreSQL can read it here.
func (r *rebuild) chooseData(ctx context.Context) (err error) {
	if r.installation, r.fromDump, err = postgres.FindForBackup(ctx, r.backup.Major, r.o.FromDump); err != nil {
		return err
	}
	if r.fromDump != "" {
		return r.installation.CheckDump(ctx, r.backup.Dump, r.backup.Major)
	}
	err = postgres.VerifyBackup(ctx, r.installation, r.backup.Data, nil)
	if _, damaged := errors.AsType[*postgres.DamageError](err); damaged {
		return hinted("with --from-dump the keys come from the logical dump in the backup, which knows nothing of these files", "%w", err)
	}
	return err
}

// recoverDump makes a new database, as that of a new pair is made, and restores the dump into it. Its numbers of transactions go on above those
// that the rows are of: a reader is shown what is of a transaction that had ended, and no new one may be taken for one of those.
func (r *rebuild) recoverDump(ctx context.Context, journal *Journal) error {
	if err := r.clearMaking(journal, r.PGRoot); err != nil { // the backup, and what an earlier attempt was writing when it was killed
		return err
	}
	server, err := r.Server(ctx)
	if err != nil {
		return err
	}
	if server.Installation != r.installation {
		return fmt.Errorf("the backup was looked at with PostgreSQL %s, and now there is %s", r.installation.Version, server.Version)
	}
	server.Lock = journal.lock
	beside := *server // a database is made in a directory that is empty, and this one has its mark
	beside.Data = filepath.Join(r.PGRoot, ".database")
	if err := beside.Init(ctx); err != nil {
		return err
	}
	if err := raise(beside.Data, r.PGRoot); err != nil {
		return err
	}
	if err := r.point("new database"); err != nil {
		return err
	}
	var newest postgres.XID
	err = r.runAlone(ctx, server, map[string]string{"synchronous_commit": "local"}, r.dumpPoint("dump restored"), func(server *postgres.Server, conn *pgx.Conn) (err error) {
		newest, err = r.loadDump(ctx, server, conn)
		return err
	})
	if err != nil {
		return err
	}
	if err := server.SkipXIDs(ctx, newest); err != nil {
		return err
	}
	if err := r.point("transactions"); err != nil {
		return err
	}
	return r.runAlone(ctx, server, nil, r.dumpPoint("recovered"), func(server *postgres.Server, conn *pgx.Conn) error {
		if err := goesOnAbove(ctx, conn, newest); err != nil {
			return err
		}
		return r.takeOver(ctx, server, conn)
	})
}

func (r *rebuild) dumpPoint(name string) func() error { return func() error { return r.point(name) } }

// loadDump fills the new database, which nobody else reaches, and returns the newest transaction that its rows are of.
func (r *rebuild) loadDump(ctx context.Context, server *postgres.Server, conn *pgx.Conn) (postgres.XID, error) {
	if err := makeKeyDatabase(ctx, conn); err != nil {
		return 0, err
	}
	if err := replication.Bootstrap(ctx, conn); err != nil {
		return 0, err
	}
	if err := server.LoadDump(ctx, r.backup.Dump, Database, r.backup.Major); err != nil {
		return 0, fmt.Errorf("restoring the dump: %w", err)
	}
	keys, err := pgx.Connect(ctx, server.ConnString(Database))
	if err != nil {
		return 0, err
	}
	defer keys.Close(context.WithoutCancel(ctx))
	newest, err := postgres.NewestXID(ctx, keys)
	if err != nil {
		return 0, fmt.Errorf("looking for the newest transaction of the dump: %w", err)
	}
	return newest, nil
}

// goesOnAbove returns nil when every transaction from now on has a number above newest.
func goesOnAbove(ctx context.Context, conn *pgx.Conn, newest postgres.XID) error {
	var text string
	if err := conn.QueryRow(ctx, "select pg_snapshot_xmax(pg_current_snapshot())::text").Scan(&text); err != nil {
		return err
	}
	next, err := postgres.ParseXID(text)
	if err == nil && next <= newest {
		err = fmt.Errorf("the next transaction of the new database is %s, and rows of the dump are of %s", next, newest)
	}
	return err
}
