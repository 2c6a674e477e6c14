package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"

	"keytrustee/postgres"
)

// UnprovenError means that a backup was made and did not stand its restore. It was not published.
type UnprovenError struct{ Err error }

func (e *UnprovenError) Error() string { return "the backup does not restore: " + e.Err.Error() }
func (e *UnprovenError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *UnprovenError) Hint() string {
	return "it was not published, and the earlier backups are as they were. What is named has to be looked at on this host, and whether the other host has it whole"
}

// prove reads the backup back from the disk and restores it. Nothing of that is left when it returns.
func (r *run) prove(ctx context.Context, name string, m Manifest, w written, own Identities) (receipt Receipt, err error) {
	t := r.trial()
	defer func() {
		err = r.becauseFull(err)
		if _, setup := errors.AsType[*postgres.SetupError](err); err != nil && !setup && !diskFull(err) && ctx.Err() == nil {
			err = &UnprovenError{err}
		}
		err = errors.Join(err, t.remove(context.WithoutCancel(ctx)))
	}()
	if err := r.root.Mkdir(r.work(), 0o700); err != nil {
		return receipt, err
	}
	r.Progress.Begin("reading the backup back")
	r.Progress.Bytes(w.size, false)
	if err := r.readBack(ctx, name, m, w, own); err != nil {
		return receipt, err
	}
	if err := r.reached("read back"); err != nil {
		return receipt, err
	}
	receipt = Receipt{
		Format: Format, Name: name, Size: w.size, SHA256: hex.EncodeToString(w.sum), Manifest: m, Streams: w.trailer.Streams, Rows: w.trailer.Rows, Authenticated: r.By != nil,
	}
	found, err := t.restore(ctx, r.Checker, w.trailer.Rows)
	if err != nil {
		return receipt, err
	}
	receipt.Start, receipt.End, receipt.Newer, receipt.Verified = found.start, found.end, found.newer, r.second()
	return receipt, nil
}

// trial is where a backup of this run is restored.
func (r *run) trial() trial {
	return trial{
		root: r.root, directory: r.Directory, work: r.work(), socket: filepath.Join(r.Sockets, "backup"), installation: r.Server.Installation, database: r.Database,
		reached: r.reached, progress: r.Progress,
	}
}

// readBack reads the file from the disk, holds every byte against what was written, and unpacks it into the work directory. The sum of
// the file is more than that of its streams: of what lets a recipient in nothing else says that it is as it was written.
func (r *run) readBack(ctx context.Context, name string, m Manifest, w written, own Identities) error {
	f, err := r.root.Open(name + partialSuffix)
	if err != nil {
		return err
	}
	defer f.Close()
	into, err := r.root.OpenRoot(r.work())
	if err != nil {
		return err
	}
	defer into.Close()
	u, err := unpack(readTo(r.Progress, reader{ctx, f}), own, into)
	switch {
	case err != nil:
		return err
	case !sameJSON(u.manifest, m):
		return errors.New("its manifest is not what was written")
	case !sameJSON(u.trailer, w.trailer): // it has the sum of each stream
		return errors.New("its trailer is not what was written")
	case r.By == nil && u.authentication != nil, r.By != nil && !authentic(r.By, u.manifest, u.trailer, u.authentication):
		return errors.New("its authentication is not what was written")
	case u.Size != w.size || u.SHA256 != hex.EncodeToString(w.sum):
		return errors.New("the file is not what was written")
	}
	return nil
}

// reader reads until ctx ends.
type reader struct {
	ctx  context.Context
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}
