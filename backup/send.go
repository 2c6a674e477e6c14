package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	block     = 4 << 20  // so much is on the way at a time
	syncEvery = 64 << 20 // so that no sync lasts long, and what was sent before a power loss there was not sent in vain
)

// sending is one backup on its way to one target.
type sending struct {
	place
	ctx     context.Context
	moved   func()
	local   *os.Root
	backup  Receipt
	receipt []byte // its text
	known   bool   // the target has confirmed the backup before
	forget  func() error
	begin   func(at int64)
	reached func(point string) error
	sent    int64 // bytes

	progress Progress
	counted  int64 // bytes that it was told of

	given bool // it was not there, and is now
}

func (s *sending) file() string    { return s.backup.Name + fileSuffix }
func (s *sending) partial() string { return s.backup.Name + partialSuffix }
func (s *sending) told() string    { return s.backup.Name + receiptSuffix }

// tempReceipt is what a receipt is called while it is written: as what a local one leaves is.
func tempReceipt(name string) string { return "." + name + receiptSuffix + ".tmp" }

// send returns nil when the target has the backup: file and receipt, re-read, and under their names. It gets its name last, so
// that whatever ends this leaves a target whose directory lists whole backups.
func (s *sending) send(files map[string]int64) error {
	for _, name := range []string{s.file(), s.partial(), s.told(), tempReceipt(s.backup.Name)} {
		if files[name] == noFile {
			return &TargetError{Err: fmt.Errorf("what is called %s there is no file", name), Remedy: "see what it is, and move it away"}
		}
	}
	part, begun := files[s.partial()]
	if size, there := files[s.file()]; there {
		whole, err := s.there(files)
		if whole || err != nil {
			return err
		}
		// It was ours, and is damaged. As a part it is listed no more, and what of it is right need not be sent again.
		if err := errors.Join(s.forget(), s.rename(s.file(), s.partial())); err != nil {
			return err
		}
		part, begun = size, true
	} else if _, err := s.taken(files); err != nil {
		return err
	}
	var at int64
	if begun {
		var err error
		if at, err = s.agreeing(min(part, s.backup.Size)); err != nil {
			return fmt.Errorf("reading what is there of %s: %w", s.backup.Name, err)
		}
	}
	s.begin(at)
	if err := roomFor(s.place, s.backup.Size-at); err != nil {
		return err
	}
	if err := s.copy(at); err != nil {
		return err
	}
	if err := s.reached("sent"); err != nil {
		return err
	}
	if err := s.reread(s.partial()); err != nil {
		return err
	}
	if err := s.reached("checked"); err != nil {
		return err
	}
	if err := s.tell(); err != nil {
		return err
	}
	if err := s.reached("told"); err != nil {
		return err
	}
	if err := s.rename(s.partial(), s.file()); err != nil {
		return fmt.Errorf("giving %s its name: %w", s.backup.Name, err)
	}
	if err := errors.Join(s.reached("named"), s.look()); err != nil {
		return err
	}
	s.given = true
	return nil
}

// there reports whether the target has the backup under its name. An error means that another one lies there, or none can be read.
func (s *sending) there(files map[string]int64) (bool, error) {
	size, told := files[s.told()]
	if s.known && files[s.file()] == s.backup.Size && size == int64(len(s.receipt)) {
		return true, nil
	}
	ours, err := s.taken(files)
	if err != nil {
		return false, err
	}
	err = s.reread(s.file())
	if differs := (*differsError)(nil); errors.As(err, &differs) {
		switch {
		case !told:
			return false, s.another(errors.New("no receipt lies beside it, and it is not what would be sent"))
		case !ours:
			return false, s.another(errors.New("its receipt can not be read, and it is not what would be sent"))
		}
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, s.tell()
}

// taken refuses to go on where the receipt that is there tells of another backup. ours: it tells of this one; one that can not be read
// tells of none.
func (s *sending) taken(files map[string]int64) (ours bool, err error) {
	if _, told := files[s.told()]; !told {
		return false, nil
	}
	text, err := small(s.place, s.told())
	if err != nil {
		return false, err
	}
	var other Receipt
	if json.Unmarshal(text, &other) != nil {
		return false, nil
	}
	if other.SHA256 != s.backup.SHA256 {
		return false, s.another(fmt.Errorf("its receipt has the SHA-256 %.64q, and this one's is %s", other.SHA256, s.backup.SHA256))
	}
	return true, nil
}

// another is what is there in the place of a backup: nothing that may be replaced.
func (s *sending) another(err error) error {
	return &otherError{&TargetError{Err: fmt.Errorf("another backup is called %s there: %w", s.backup.Name, err),
		Remedy: "move that one away, or give each cluster a directory of its own: nothing of it was touched"}}
}

// otherError concerns one backup; the others can be sent all the same.
type otherError struct{ *TargetError }

func (e *otherError) Unwrap() error { return e.TargetError }

// agreeing returns how many bytes of the part that is there are the backup's: what was sent before a cut may have holes, and a
// disk may have changed it.
func (s *sending) agreeing(size int64) (at int64, err error) {
	there, err := s.read(s.partial())
	if err != nil {
		return 0, err
	}
	defer there.Close()
	here, err := s.local.Open(s.file())
	if err != nil {
		return 0, err
	}
	defer here.Close()
	a, b := make([]byte, block), make([]byte, block)
	for at < size {
		n, err := s.fill(there, a[:min(block, size-at)])
		if err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(here, b[:n]); err != nil {
			return 0, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			for a[0] == b[0] {
				a, b = a[1:], b[1:]
				at++
			}
			return at, nil
		}
		at += int64(n)
		if n < block {
			break // also where there is less than was said
		}
	}
	return at, nil
}

// fill reads until p is full or the file ends, which is no error.
func (s *sending) fill(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	s.moved()
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = s.ctx.Err()
	}
	return n, err
}

// copy sends what follows on at, and makes sure that the whole is what was verified. When it returns nil it is on the target's
// disk, as far as the target can be asked for that.
func (s *sending) copy(at int64) (err error) {
	here, err := s.local.Open(s.file())
	if err != nil {
		return err
	}
	defer here.Close()
	w, err := s.write(s.partial(), at)
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.partial(), err)
	}
	defer func() {
		if cerr := w.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("closing %s: %w", s.partial(), cerr)
		}
	}()
	sum, buffer := sha256.New(), make([]byte, block)
	var done, synced int64
	for {
		n, err := s.fill(here, buffer)
		if err != nil {
			return err
		}
		part := buffer[:n]
		sum.Write(part)
		s.went(n)
		if fresh := part[min(int64(n), max(0, at-done)):]; len(fresh) > 0 {
			if _, err := w.WriteAt(fresh, done+int64(n-len(fresh))); err != nil {
				return fmt.Errorf("writing %s: %w", s.partial(), s.explain(err))
			}
			s.sent += int64(len(fresh))
			if err := s.reached("begun"); err != nil {
				return err
			}
		}
		s.moved()
		if done += int64(n); done-max(at, synced) >= syncEvery {
			if err := w.Sync(); err != nil {
				return fmt.Errorf("syncing %s: %w", s.partial(), s.explain(err))
			}
			synced = done
		}
		if n < block {
			break
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != s.backup.SHA256 {
		err := &DamageError{s.backup.Name, fmt.Errorf("the SHA-256 of its %d bytes is %s, and was %s when it was verified", done, got, s.backup.SHA256)}
		return errors.Join(err, s.remove(s.partial()))
	}
	if err := w.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", s.partial(), s.explain(err))
	}
	return nil
}

// went tells Progress of bytes that were sent, or read back.
func (s *sending) went(n int) {
	s.counted += int64(n)
	s.progress.Moved(int64(n))
}

// explain adds what the target says of its room, since the protocol has no word for a full disk.
func (s *sending) explain(err error) error {
	if full := roomFor(s.place, block); full != nil && s.ctx.Err() == nil {
		return full
	}
	return err
}

// differsError means that a target gives back something else than it was given.
type differsError struct{ *TargetError }

func (e *differsError) Unwrap() error { return e.TargetError }

// reread reads a file at the target and holds it against the receipt.
func (s *sending) reread(name string) error {
	there, err := s.read(name)
	if err != nil {
		return fmt.Errorf("reading %s back: %w", name, err)
	}
	defer there.Close()
	sum, buffer := sha256.New(), make([]byte, block)
	var size int64
	for {
		n, err := s.fill(there, buffer)
		if err != nil {
			return fmt.Errorf("reading %s back: %w", name, err)
		}
		sum.Write(buffer[:n])
		s.went(n)
		if size += int64(n); n < block || size > s.backup.Size {
			break
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); size != s.backup.Size || got != s.backup.SHA256 {
		return &differsError{&TargetError{Err: fmt.Errorf("it gives back something else than %s: %d bytes with the SHA-256 %s, and it was given %d with %s",
			s.backup.Name, size, got, s.backup.Size, s.backup.SHA256), Remedy: "look at its disk; the next ktadmin backup ship sends again what differs"}}
	}
	return nil
}

// tell puts the receipt there, whole or not at all.
func (s *sending) tell() error {
	temp := tempReceipt(s.backup.Name)
	if err := s.writeSmall(temp, s.receipt); err != nil {
		return fmt.Errorf("writing the receipt of %s: %w", s.backup.Name, s.explain(err))
	}
	if err := s.rename(temp, s.told()); err != nil {
		return fmt.Errorf("writing the receipt of %s: %w", s.backup.Name, err)
	}
	text, err := small(s.place, s.told())
	if err == nil && !bytes.Equal(text, s.receipt) {
		err = errors.New("it gives back something else")
	}
	if err != nil {
		return fmt.Errorf("reading the receipt of %s back: %w", s.backup.Name, err)
	}
	return nil
}

func (s *sending) writeSmall(name string, text []byte) (err error) {
	w, err := s.write(name, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := w.WriteAt(text, 0); err != nil {
		return err
	}
	return w.Sync()
}

// small reads a receipt at a target.
func small(p place, name string) ([]byte, error) {
	r, err := p.read(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxJSON))
}

// look makes sure that the target lists what it was given.
func (s *sending) look() error {
	files, err := s.files()
	if err != nil {
		return err
	}
	if size, there := files[s.file()]; !there || size != s.backup.Size || files[s.told()] != int64(len(s.receipt)) {
		return &TargetError{Err: fmt.Errorf("it took %s, and does not list it as it was sent", s.backup.Name), Remedy: "look what lies in its directory, and at its disk"}
	}
	return nil
}

// goneHere reports whether the backup was taken away here in the meantime.
func (s *sending) goneHere() bool {
	_, err := s.local.Lstat(s.file())
	return errors.Is(err, fs.ErrNotExist)
}
