package host

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// mayRunDB returns this host's state if nothing that may pass keeps its PostgreSQL from starting; otherwise a *NotYetError.
func (h *Host) mayRunDB() (s replication.State, err error) {
	j, err := h.Journal()
	if err != nil {
		return s, err
	}
	if j != nil && j.Operation != initOperation {
		return s, &NotYetError{Err: hinted(j.goOn(), "%s has not ended on this host (it stopped at %q), and what it left must not be started", j.Operation, j.Step)}
	}
	state, err := replication.OpenState(h.StateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return s, &NotYetError{Err: hinted(NoPairRemedy, ofNoPair)}
	} else if err != nil {
		return s, err
	}
	s = state.Current()
	if err := s.MayStart(); err != nil {
		return s, &NotYetError{Err: err, Ends: s.Fenced == nil}
	}
	return s, nil
}

// RunDB prepares a start of this host's PostgreSQL and returns its command line. When it
// returns nil, the access rules admit the administrator alone and a passive streams from nowhere: the daemons open both,
// for this one start, when they have compared the histories. It refuses, with nothing changed, a host that is of no pair
// or in the middle of joining one or of another operation, one that is fenced (a *NotYetError), files of another host, and
// data that is not what the state says.
func (h *Host) RunDB(ctx context.Context) (path string, argv []string, err error) {
	s, err := h.mayRunDB()
	if err != nil {
		return "", nil, err
	}
	if err := h.CheckOwn(); err != nil {
		return "", nil, err
	}
	server, err := h.Server(ctx)
	if err != nil {
		return "", nil, err
	}
	if have, err := exists(filepath.Join(server.Data, "PG_VERSION")); err != nil {
		return "", nil, err
	} else if !have {
		return "", nil, hinted("name the right directory with --pg-rootdir, or put it back; if it is gone: "+comeBack(s.Duty),
			"there is no database in %s", server.Data)
	}
	control, err := postgres.ReadControl(ctx, server.Installation, server.Data)
	if err != nil {
		return "", nil, err
	}
	if control.SystemID != s.SystemID {
		return "", nil, hinted("put the right data directory back; if it is gone: "+comeBack(s.Duty),
			"the data in %s is of another database than the one that this host had", server.Data)
	}
	if _, running := server.Pid(); !running { // closing the rules of a running one is not for us
		if err := replication.PrepareStart(server, s); err != nil {
			return "", nil, err
		}
	}
	if err := server.Prepare(ctx); err != nil {
		return "", nil, err
	}
	path, argv = server.Argv()
	return path, argv, nil
}
