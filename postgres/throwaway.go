package postgres

import (
	"context"
	"os"
	"path/filepath"
)

// Throwaway describes a server that is started once from a base backup, to see whether that can be, and is then thrown away
// with the directory dir: the backup lies in dir's "data". Its socket goes to a directory of its own, and nothing else of it
// can be reached; another Throwaway may use the same places later.
func Throwaway(inst Installation, dir, socket string) (*Server, error) {
	user, err := CurrentOSUser()
	if err != nil {
		return nil, err
	}
	return &Server{
		Installation: inst,
		Data:         filepath.Join(dir, "data"),
		Conf:         filepath.Join(dir, "conf"),
		Socket:       socket,
		Log:          filepath.Join(dir, "log"),
		Port:         1, // of the socket's name alone, which has to be short
		Admins:       []string{user.Name},
	}, nil
}

// thrownAway is what differs from a server whose data has to last, or to be quick.
var thrownAway = map[string]string{
	"restore_command": "false", // there is no log but what the backup brings
	"hot_standby":     "off",   // nobody is let in before it is a primary
	"fsync":           "off", "full_page_writes": "off", "synchronous_commit": "off", "synchronous_standby_names": "", "wal_log_hints": "off",
	"max_wal_senders": "0", "max_replication_slots": "0", "wal_level": "minimal",
	"jit":        "off", // who starts it may not be let have memory that is written and run
	"autovacuum": "off", "shared_buffers": "32MB", "idle_in_transaction_session_timeout": "0",
}

// StartThrowaway recovers the base backup of a Throwaway and returns when that is a primary, on a timeline of its own. The
// server runs then, until Stop. After an error it does not.
func (s *Server) StartThrowaway(ctx context.Context) error {
	if err := s.SetSignal(RecoverySignal); err != nil {
		return err
	}
	return s.startThrownAway(ctx)
}

// StartEmptyThrowaway makes an empty database in the place of the base backup of a Throwaway, and starts it. The server runs then, until
// Stop. After an error it does not.
func (s *Server) StartEmptyThrowaway(ctx context.Context) error {
	if err := os.RemoveAll(s.Data); err != nil {
		return err
	}
	if err := s.Init(ctx); err != nil {
		return err
	}
	return s.startThrownAway(ctx)
}

func (s *Server) startThrownAway(ctx context.Context) error {
	if err := s.WriteSettings(Settings{Extra: thrownAway}); err != nil {
		return err
	}
	if err := s.WriteHBA(HBA{}); err != nil {
		return err
	}
	return s.Start(ctx)
}
