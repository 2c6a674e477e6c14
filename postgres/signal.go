package postgres

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"keytrustee/internal/durable"
)

// Signal is the file in a data directory that tells the next start what to be.
type Signal string

// NoSignal: a primary. StandbySignal: a standby. RecoverySignal: recover to the end of the log at hand, then become a
// primary on a new timeline.
const (
	NoSignal       Signal = ""
	StandbySignal  Signal = "standby.signal"
	RecoverySignal Signal = "recovery.signal"
)

// Signal returns what the next start of the server would be. Where both files are, PostgreSQL heeds StandbySignal.
func (s *Server) Signal() (Signal, error) {
	for _, signal := range []Signal{StandbySignal, RecoverySignal} {
		_, err := os.Stat(filepath.Join(s.Data, string(signal)))
		if err == nil {
			return signal, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return NoSignal, err
		}
	}
	return NoSignal, nil
}

// SetSignal decides what the next start will be. It is durable when SetSignal returns nil; on the way from one signal to
// another both files are there, never none.
func (s *Server) SetSignal(signal Signal) error {
	if signal != NoSignal {
		path := filepath.Join(s.Data, string(signal))
		if err := durable.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := s.RunAs.own(path); err != nil {
			return err
		}
	}
	for _, other := range []Signal{StandbySignal, RecoverySignal} {
		if other == signal {
			continue
		}
		if err := durable.Remove(filepath.Join(s.Data, string(other))); err != nil {
			return err
		}
	}
	return nil
}
