package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// The databases of the server: the pair's own tables lie in the one that every server has, the keys in Database.
const (
	Database        = "keytrustee"
	controlDatabase = "postgres"
)

const bootstrapOperation = "bootstrap"

// Bootstrap makes this host the active of a new pair: a database, closed to everybody but the administrator, that
// acknowledges nothing before a passive has joined, and the state file. It leaves the server stopped. On a host that is
// the active already it changes nothing.
func (h *Host) Bootstrap(ctx context.Context) error {
	if err := h.ready(); err != nil {
		return err
	}
	state, err := replication.OpenState(h.StateFile())
	if err == nil {
		if err := h.checkBootstrapped(ctx, state.Current()); err != nil {
			return err
		}
		return h.operate(ctx, bootstrapOperation) // ends one that broke off behind its last step
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	server, err := h.Server(ctx)
	if err != nil {
		return err
	}
	return h.operate(ctx, bootstrapOperation,
		step{"database", func(ctx context.Context, j *Journal) error { return h.makeDatabase(ctx, j, server) }},
		step{"settings", func(context.Context, *Journal) error { return h.closeDatabase(server) }},
		step{"content", func(ctx context.Context, _ *Journal) error { return h.fillDatabase(ctx, server) }},
		step{"settings node", func(context.Context, *Journal) error { return h.Settings.SaveNode() }},
		step{"state", func(ctx context.Context, _ *Journal) error { return h.becomeActive(ctx, server) }},
	)
}

// ready refuses a host that ktadmin init has not been run on, and one with another's files.
func (h *Host) ready() error {
	done, err := h.Initialized()
	if err != nil {
		return err
	}
	if !done {
		return hinted("run ktadmin init first", "this host is not initialized: %s holds no cluster", h.Confdir)
	}
	if have, err := exists(h.ClusterFiles().Cert); err != nil || !have {
		return errors.Join(err, hinted("run ktadmin init first", "this host has no certificate of its own, %s", h.ClusterFiles().Cert))
	}
	return h.CheckOwn()
}

func (h *Host) checkBootstrapped(ctx context.Context, s replication.State) error {
	if s.Duty != replication.Active {
		return hinted("leave the database as it is; to begin a new pair, use a host that is of none", "this host is the passive of a pair")
	}
	if _, err := os.Stat(filepath.Join(h.PGRoot, "PG_VERSION")); err != nil {
		return hinted("put the data directory back; if it is gone: "+comeBack(s.Duty),
			"this host is the active of a pair, and its data is not in %s", h.PGRoot)
	}
	server, err := h.Server(ctx)
	if err != nil {
		return err
	}
	control, err := postgres.ReadControl(ctx, server.Installation, server.Data)
	if err != nil {
		return err
	}
	if control.SystemID != s.SystemID {
		return hinted("name the directory that it was made in, with --pg-rootdir", "the data in %s is not this active's", h.PGRoot)
	}
	return nil
}

// makeDatabase makes the data directory. What an earlier attempt left half made is made anew: nothing was in it.
func (h *Host) makeDatabase(ctx context.Context, j *Journal, server *postgres.Server) error {
	if j.Made == server.Data {
		return nil
	}
	if err := h.clearMaking(j, server.Data); err != nil {
		return err
	}
	if err := h.reached("bootstrap: making"); err != nil {
		return err
	}
	server.Lock = j.lock
	if err := server.Init(ctx); err != nil {
		return errors.Join(err, h.notMaking(j))
	}
	j.Making, j.Is, j.Made = "", "", server.Data
	return h.saveJournal(j)
}

// clearMaking empties dir if the journal says that an earlier attempt was filling it, and otherwise wants it empty or
// absent; then it journals that dir is being filled, and which one it is. If the operation marks what it fills, the mark is in dir on return.
func (h *Host) clearMaking(j *Journal, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && j.Making != dir {
		return hinted("choose another one with --pg-rootdir, or move it aside; nothing was changed", "the directory %s is not empty", dir)
	}
	if err := h.checkMarked(j, dir); err != nil {
		return err
	}
	if j.Operation == rebuildOperation && j.Mark == "" {
		j.Mark = replication.NewIncarnation()
	}
	if err := clearBut(dir, j.marker(dir)); err != nil {
		return err
	}
	j.Making = dir
	if j.Operation != rebuildOperation {
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if j.Is, err = which(dir); err != nil {
			return err
		}
	}
	if err := h.saveJournal(j); err != nil {
		return err
	}
	if marker := j.marker(dir); marker != "" {
		return durable.MkdirAll(marker, 0o700)
	}
	return nil
}

func (h *Host) notMaking(j *Journal) error {
	j.Making, j.Is = "", ""
	return h.saveJournal(j)
}

// closeDatabase writes the configuration that admits the administrator alone and acknowledges no commit.
func (h *Host) closeDatabase(server *postgres.Server) error {
	if err := server.WriteHBA(postgres.HBA{}); err != nil {
		return err
	}
	return server.WriteSettings(postgres.Settings{})
}

// fillDatabase runs the server, at its socket alone, for as long as it takes to make the key database and the control
// tables.
func (h *Host) fillDatabase(ctx context.Context, server *postgres.Server) (err error) {
	alone := *server
	alone.Listen = nil
	if err := h.closeDatabase(&alone); err != nil {
		return err
	}
	if err := alone.Start(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, alone.Stop(context.WithoutCancel(ctx), postgres.Fast), h.closeDatabase(server))
	}()
	conn, err := h.connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := makeKeyDatabase(ctx, conn); err != nil {
		return err
	}
	if err := replication.Bootstrap(ctx, conn); err != nil {
		return err
	}
	return h.storeSecrets(ctx, conn)
}

// connect connects to the database of the control tables.
func (h *Host) connect(ctx context.Context, server *postgres.Server) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, server.ConnString(controlDatabase))
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return conn, nil
}

func makeKeyDatabase(ctx context.Context, conn *pgx.Conn) error {
	var have bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", Database).Scan(&have); err != nil || have {
		return err
	}
	// CREATE DATABASE takes no transaction, so this session waits for no standby; it holds no key and ends here.
	if _, err := conn.Exec(ctx, "set synchronous_commit = local"); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{Database}.Sanitize()); err != nil {
		return fmt.Errorf("making the database %s: %w", Database, err)
	}
	_, err := conn.Exec(ctx, "reset synchronous_commit")
	return err
}

// becomeActive writes the state file, which is what makes this host the active.
func (h *Host) becomeActive(ctx context.Context, server *postgres.Server) error {
	control, err := postgres.ReadControl(ctx, server.Installation, server.Data)
	if err != nil {
		return err
	}
	_, err = replication.CreateState(h.StateFile(), replication.State{
		Self: h.Name, Duty: replication.Active, Epoch: replication.NewEpoch(1), SystemID: control.SystemID,
		Incarnation: replication.NewIncarnation(),
	})
	return err
}
