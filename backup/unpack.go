package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"keytrustee/postgres"
)

// What Unpack makes in its directory, beside the files of OpenDump.
const (
	DataDir   = "data"   // the data directory, with the log that it needs; it was not started
	ConfigDir = "config" // settings, state, certificates, wraps and boxes, as they lie below a host's home
)

// Unpacked is what a backup says of itself, after every byte of it was held against that.
type Unpacked struct {
	Manifest  Manifest
	Trailer   Trailer
	Size      int64  // of the file
	SHA256    string // of the file
	Recipient string // whose identity has opened it
	// Authenticated: it is by a host of the cluster, by its authentication; otherwise by its SHA-256 alone.
	Authenticated bool

	manifest, trailer, authentication []byte // as they were written; authentication is nil where there is none
}

// ReadManifest is what a backup says of itself at its beginning, and whose identity has opened it. It reads no further, so the rest
// may be damaged, and what an OpenPGP message says may have been changed: it is good for a refusal and for no more. The next read of
// the file begins at its beginning. The errors are those of Unpack.
func ReadManifest(ctx context.Context, file *os.File, ids Identities) (m Manifest, recipient string, err error) {
	a, text, err := openArchive(reader{ctx, file}, ids)
	if err == nil {
		recipient = a.opened
		m, err = parseManifest(text)
	}
	if err != nil {
		return m, "", explainUnpack(ctx, filepath.Base(file.Name()), "", err)
	}
	_, err = file.Seek(0, io.SeekStart)
	return m, recipient, err
}

// Unpack reads a backup from its first byte to its last and lays it out in dir, which it makes, and which nobody else can enter. What
// lies there is not synced, and is sealed as in the database. It needs no receipt, so it says that the backup is whole, and by a host of
// the cluster, not that it was verified. After an error dir is as it was: not there. A *StrangerError means that none of the identities
// opens it, a *DamageError that it is not what was written, a *ForeignError that it is by somebody else, an *UnauthenticatedError that
// nothing shows who it is by, a *postgres.SetupError that a newer version has written it, or that there is no room. p, which may be nil,
// hears how far it is.
func Unpack(ctx context.Context, file *os.File, ids Identities, origin Origin, dir string, p Progress) (u Unpacked, err error) {
	p = heard(p)
	p.Begin("unpacking the backup")
	if info, err := file.Stat(); err == nil {
		p.Bytes(info.Size(), false)
	}
	return unpackFrom(ctx, readTo(p, file), filepath.Base(file.Name()), ids, origin, dir)
}

func unpackFrom(ctx context.Context, file io.Reader, name string, ids Identities, origin Origin, dir string) (u Unpacked, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return u, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(explainUnpack(ctx, name, dir, err), os.RemoveAll(dir))
		}
	}()
	into, err := os.OpenRoot(dir)
	if err != nil {
		return u, err
	}
	defer into.Close()
	if u, err = unpack(reader{ctx, file}, ids, into); err != nil {
		return u, err
	}
	if err := origin.check(name, u); err != nil {
		return u, err
	}
	u.Authenticated = u.authentication != nil
	return u, nil
}

// unpack is Unpack into a directory that is there and has nothing in it, whoever the backup is by. Its errors are of whoever failed.
func unpack(file io.Reader, ids Identities, into *os.Root) (u Unpacked, err error) {
	seen := &counted{w: io.Discard, sum: sha256.New()}
	all := io.TeeReader(file, seen)
	a, manifest, err := openArchive(all, ids)
	if err != nil {
		return u, err
	}
	if u.Manifest, err = parseManifest(manifest); err != nil {
		return u, err
	}
	var files []string
	for _, k := range kinds {
		files = append(files, copyStream(k))
	}
	for _, name := range append(files, globalsStream, dumpStream) {
		if err := a.stream(name, func(in io.Reader) error { return unpackFile(into, name, in) }); err != nil {
			return u, err
		}
	}
	for _, tar := range []struct{ name, dir string }{{baseStream, DataDir}, {configStream, ConfigDir}} {
		if err := a.stream(tar.name, func(in io.Reader) error { return unpackTar(in, into, tar.dir) }); err != nil {
			return u, err
		}
	}
	trailer, authentication, err := a.close()
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(trailer, &u.Trailer); err != nil {
		return u, fmt.Errorf("its trailer: %w", err)
	}
	if u.Trailer.Format != u.Manifest.Format || !slices.Equal(u.Trailer.Streams, a.done) {
		return u, errors.New("its streams are not what its trailer says")
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return u, err
	}
	u.Size, u.SHA256, u.Recipient = seen.size, hex.EncodeToString(seen.sum.Sum(nil)), a.opened
	u.manifest, u.trailer, u.authentication = manifest, trailer, authentication
	return u, nil
}

// explainUnpack tells a damaged backup from all else that can go wrong.
func explainUnpack(ctx context.Context, name, dir string, err error) error {
	_, setup := errors.AsType[*postgres.SetupError](err)
	_, stranger := errors.AsType[*StrangerError](err)
	_, local := errors.AsType[*fs.PathError](err)
	_, foreign := errors.AsType[*ForeignError](err)
	_, unknown := errors.AsType[*UnauthenticatedError](err)
	switch {
	case diskFull(err):
		return &postgres.SetupError{Problem: "there is no room to unpack a backup in " + dir, Err: err, Remedy: "free some, or name a directory on another disk"}
	case setup, foreign, unknown, ctx.Err() != nil:
		return err
	case stranger, local:
		return fmt.Errorf("opening the backup %s: %w", name, err)
	}
	return &DamageError{name, err}
}
