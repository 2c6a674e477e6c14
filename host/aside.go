package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"keytrustee/internal/durable"
)

// asideStamp is how a time stands in the name of a directory.
const asideStamp = "20060102T150405"

// asideName is a name beside path that nothing has: it tells this second, or the next one that is free.
func asideName(path, ending string) (string, error) {
	for t := time.Now().UTC(); ; t = t.Add(time.Second) {
		name := path + ".aside-" + t.Format(asideStamp) + ending
		if have, err := exists(name); err != nil || !have {
			return name, err
		}
	}
}

// asideState is where the state that belongs to data that was moved aside lies.
func asideState(aside string) string { return aside + ".state.json" }

// moveAside moves this host's data out of the way, under a name that the journal holds, with its state beside it. Nothing is
// deleted: what only this host has is evidence. Nobody starts it there.
func (j *join) moveAside(_ context.Context, journal *Journal) error {
	if err := j.point("moving aside"); err != nil {
		return err
	}
	if journal.Aside != "" {
		if moved, err := exists(journal.Aside); err != nil {
			return err
		} else if moved {
			return j.keepState(journal.Aside)
		}
	}
	entries, err := os.ReadDir(j.PGRoot)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) == 0 || journal.Making == j.PGRoot { // there is nothing, or the half of a copy
		return nil
	}
	if journal.Aside, err = asideName(j.PGRoot, ""); err != nil {
		return err
	}
	if err := j.saveJournal(journal); err != nil {
		return err
	}
	if err := durable.Rename(j.PGRoot, journal.Aside); errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) || errors.Is(err, fs.ErrPermission) {
		return hinted("move what is in it to a directory beside it by hand, and repeat the command", "%w", err)
	} else if err != nil {
		return err
	}
	if err := j.point("moved aside"); err != nil {
		return err
	}
	return j.keepState(journal.Aside)
}

// keepState copies the state of the data that was moved to aside, unless that is done.
func (j *join) keepState(aside string) error { return j.copyState(asideState(aside)) }

// copyState copies this host's state to that path, unless something is there.
func (j *join) copyState(to string) error {
	if have, err := exists(to); err != nil || have {
		return err
	}
	text, err := os.ReadFile(j.StateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("keeping the state of this host: %w", err)
	}
	return durable.WriteFile(to, text, 0o600)
}

// keepFormer copies the state that this host had, before another one takes its place, where no data was moved aside that it lies
// beside: its data is gone, or is somewhere else.
func (j *join) keepFormer(journal *Journal) error {
	if journal.Kept == "" || journal.Aside != "" {
		return nil
	}
	return j.copyState(journal.Kept)
}

// putStateBack is the reverse of keepFormer.
func (h *Host) putStateBack(kept string) error {
	if have, err := exists(kept); err != nil || !have {
		return err
	}
	return durable.Rename(kept, h.StateFile())
}

// putBack is the reverse of moveAside. PGRoot is empty or absent, or has been put back before.
func (h *Host) putBack(aside string) error {
	if moved, err := exists(aside); err != nil {
		return err
	} else if moved {
		if err := os.Remove(h.PGRoot); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := durable.Rename(aside, h.PGRoot); err != nil {
			return err
		}
	}
	return h.putStateBack(asideState(aside))
}
