package replication

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is one connection to this host's PostgreSQL: dialled when it is wanted, given up at the first error, and known to
// belong to one start of the server. It may be used concurrently; each use has it alone.
type session struct {
	connString string
	start      func() string // the server's start, empty while it is not running
	turn       chan struct{} // holds one token

	conn *pgx.Conn // guarded by turn, as is of
	of   string
}

func newSession(connString string, start func() string) *session {
	s := &session{connString: connString, start: start, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// do runs fn with the connection and the start that it belongs to. The context bounds it all.
func (s *session) do(ctx context.Context, fn func(conn *pgx.Conn, start string) error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if s.conn != nil && (s.conn.IsClosed() || s.start() != s.of) {
		s.drop()
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
	}
	err := fn(s.conn, s.of)
	if err != nil {
		s.drop()
	}
	return err
}

// dial connects. If the server was started anew meanwhile the connection is that of nobody knows which start, so it is
// not kept.
func (s *session) dial(ctx context.Context) error {
	before := s.start()
	conn, err := pgx.Connect(ctx, s.connString)
	if err != nil {
		return err
	}
	s.conn, s.of = conn, before
	if before == "" || s.start() != before {
		s.drop()
		return errRestarted
	}
	return nil
}

var errRestarted = errors.New("the server was started just now")

// drop gives the connection up without waiting for a server that may be frozen.
func (s *session) drop() {
	conn := s.conn
	s.conn, s.of = nil, ""
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
}

func (s *session) close() {
	<-s.turn
	if s.conn != nil {
		s.drop()
	}
	s.turn <- struct{}{}
}
