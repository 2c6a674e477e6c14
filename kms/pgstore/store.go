package pgstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// writers is how many changes can be under way at once. With the standby gone, each holds its connection until it is back.
const writers = 16

// readers is how many connections serve reads.
const readers = 8

// Horizon is what the Store asks the pair. replication.Horizon is it.
type Horizon interface {
	// Await returns nil when the peer has flushed and replayed everything up to at and has proven every row, and the
	// transaction is part of Visibility from now on. Otherwise it waits until ctx ends or the world is another.
	Await(ctx context.Context, xid postgres.XID, at postgres.LSN, rows [][16]byte) error
	// Visibility says which transactions a reader may be shown. With an error it is not complete: what it shows may be
	// served, what it does not show may exist all the same. The error is a *kms.ReadOnlyError where it can be.
	Visibility() (postgres.Visibility, error)
}

// Config is what a Store needs. ConnString and Horizon are required.
type Config struct {
	ConnString string // of this host's PostgreSQL, as postgres.Server.ConnString gives it
	Horizon    Horizon
	Host       string       // this host's name, for sentences
	Logger     *slog.Logger // nil: slog.Default()
}

// Store is kms.Store on this host's PostgreSQL. On a passive only its reads are used.
type Store struct {
	host     string
	log      *slog.Logger
	unserved unserved
	horizon  Horizon
	reads    *pgxpool.Pool
	writes   *pgxpool.Pool // its connections can send no CancelRequest

	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup
	sweeping   sync.Mutex // held while a sweep runs
}

var _ kms.Store = (*Store)(nil)

// New returns a Store. It connects when it is first used, so PostgreSQL may be down or in recovery.
func New(c Config) (*Store, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Store{host: c.Host, log: c.Logger, horizon: c.Horizon}
	s.life, s.end = context.WithCancel(context.Background())
	var err error
	s.reads, err = postgres.NewPool(s.life, postgres.PoolConfig{ConnString: c.ConnString, MaxConns: readers, ReadOnly: true,
		Params: map[string]string{"statement_timeout": "2s"}})
	if err != nil {
		s.end()
		return nil, fmt.Errorf("opening the key store: %w", err)
	}
	s.writes, err = postgres.NewPool(s.life, postgres.PoolConfig{ConnString: c.ConnString, MaxConns: writers, Sealed: true,
		OnNotice: noteNotice})
	if err != nil {
		s.end()
		s.reads.Close()
		return nil, fmt.Errorf("opening the key store: %w", err)
	}
	return s, nil
}

// Close ends the Store: every Apply that still waits returns kms.ErrOutcomeUnknown. It does not wait for a COMMIT under
// way and never cancels one: that would make a row visible that the standby lacks. Such a connection lives until the
// process ends or PostgreSQL answers.
func (s *Store) Close() {
	s.end()
	s.background.Wait()
	s.reads.Close()
	go s.writes.Close() // waits for the connections that are in use
}
