package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PoolConfig says what a pool's connections are for.
type PoolConfig struct {
	ConnString string
	MaxConns   int32 // 0 means 4
	// Sealed connections can not be cancelled from here: whatever ends a wait of this process, a deadline above all, no
	// CancelRequest leaves it, and a COMMIT that waits for the standby goes on waiting. ConnString names one host and no
	// optional TLS, since a second attempt to connect would be refused as well.
	Sealed   bool
	ReadOnly bool // transactions can not write unless they ask for it: a stray row lock would wait for the standby
	// OnNotice is called for every NOTICE and WARNING, while the connection is in use. A WARNING during COMMIT means that
	// the standby was not waited for.
	OnNotice func(*pgconn.PgConn, *pgconn.Notice)
	Params   map[string]string // settings of each session, such as lock_timeout
}

// NewPool returns a pool, which connects when it is used; the server need not run. The caller closes it.
func NewPool(ctx context.Context, c PoolConfig) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.ConnString)
	if err != nil {
		return nil, fmt.Errorf("parsing a connection string: %w", err)
	}
	config.MaxConns = c.MaxConns
	if c.MaxConns == 0 {
		config.MaxConns = 4
	}
	config.ConnConfig.OnNotice = c.OnNotice
	maps.Copy(config.ConnConfig.RuntimeParams, c.Params)
	if c.ReadOnly {
		config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	if c.Sealed {
		config.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
			cc.DialFunc = sealedDialer(cc.DialFunc)
			return nil
		}
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// errSealed is what a sealed connection's second dial gets.
var errSealed = errors.New("the connection is sealed: it dials once, and sends no cancel request")

// sealedDialer lets one connection out. pgx cancels a query by a second one, from the same dialer.
func sealedDialer(dial pgconn.DialFunc) pgconn.DialFunc {
	var dialed atomic.Bool
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !dialed.CompareAndSwap(false, true) {
			return nil, errSealed
		}
		return dial(ctx, network, addr)
	}
}
