package host

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// Aborted is what came of ending a join.
type Aborted struct {
	Operation string `json:"operation"`
	PutBack   string `json:"put_back,omitempty"` // the data directory that holds again what was moved aside
	Untold    error  `json:"-"`                  // why the other host could not be told; nil: it knows
	// Left are files that lie where a restore from a backup had made others, and are not those: somebody has put them there.
	Left []string `json:"left,omitempty"`
	// Aside is where a root key and key-encryption keys lie now that a restore from a backup may have made, or somebody else.
	Aside []string `json:"aside,omitempty"`
}

// Abort ends a join, re-clone or restore, from a survivor or a backup, of this host that has not ended, and leaves the host with the data, the state, the
// certificates and the configuration that it had before: to its peer it is who it was. The other host is told; where it can not be,
// that has to be done there. token is the one that was used, where this host has no certificate yet; nil: its certificate is shown.
// After an error the command may be repeated.
func (h *Host) Abort(ctx context.Context, token *certs.Token) (Aborted, error) {
	journal, err := h.Journal()
	if err != nil {
		return Aborted{}, err
	}
	if journal == nil || aborts[journal.Operation] == "" {
		return Aborted{}, hinted("ktadmin status shows how this host stands", "no join, re-clone or restore of this host has begun that has not ended")
	}
	release, err := h.lockData(ctx)
	if err != nil {
		return Aborted{}, err
	}
	defer release()
	lock, err := h.lock(ctx)
	if err != nil {
		return Aborted{}, err
	}
	defer lock.Close()
	a := Aborted{Operation: journal.Operation, Untold: h.tellAbort(ctx, journal, token)}
	if err := h.reached("abort: told"); err != nil {
		return a, err
	}
	copied := *h
	copied.PGRoot = cmp.Or(journal.Making, h.PGRoot) // where the copy was to lie may stand in the journal alone yet
	if err := copied.removeCopy(ctx, journal); err != nil {
		return a, err
	}
	if err := h.reached("abort: copy removed"); err != nil {
		return a, err
	}
	if journal.Aside != "" {
		if err := h.putBack(journal.Aside); err != nil {
			return a, err
		}
		a.PutBack = h.PGRoot
	} else if journal.Kept != "" {
		if err := h.putStateBack(journal.Kept); err != nil {
			return a, err
		}
	} else if err := h.forgetJoined(journal); err != nil {
		return a, err
	}
	if err := h.reached("abort: data put back"); err != nil {
		return a, err
	}
	if err := h.putFilesBack(journal); err != nil { // the other host was told under the certificate that it gave
		return a, err
	}
	if b := journal.Backup; b != nil {
		made := slices.Clone(b.Makes)
		if a.Aside, err = h.removeMade(journal, false); err != nil {
			return a, err
		}
		a.Left = slices.DeleteFunc(made, func(path string) bool { return slices.Contains(b.Makes, path) })
	}
	if err := h.reached("abort: put back"); err != nil {
		return a, err
	}
	return a, h.endJournal()
}

// removeCopy removes what the operation has copied: nothing else is in PGRoot as long as the journal says so, and the mark, if it leaves one.
func (h *Host) removeCopy(ctx context.Context, journal *Journal) error {
	if err := h.stopCopy(ctx, journal); err != nil {
		return err
	}
	if journal.Making != h.PGRoot {
		return nil
	}
	if err := h.clearMarked(journal, h.PGRoot); err != nil {
		return err
	}
	return h.notMaking(journal)
}

// forgetJoined removes the state that the operation has written, if it came so far.
func (h *Host) forgetJoined(journal *Journal) error {
	state, err := replication.OpenState(h.StateFile())
	if os.IsNotExist(errors.Unwrap(err)) || err == nil && state.Current().Incarnation != journal.Incarnation {
		return nil
	} else if err != nil {
		return err
	}
	return durable.Remove(h.StateFile())
}

// tellAbort tells the other host that nobody will come.
func (h *Host) tellAbort(ctx context.Context, journal *Journal, token *certs.Token) error {
	if journal.Address == "" {
		return nil // it was never asked
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	q := joinerRequest{Incarnation: journal.Incarnation}
	var client *joinClient
	if token != nil {
		root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
		if err != nil {
			return err
		}
		q.Secret, q.Root = token.Secret(), root.Public().Fingerprint()
		client = newJoinClient(journal.Address, token.Authority)
	} else {
		authority, err := h.authorityCertificate()
		if err != nil {
			return err
		}
		client = newJoinClient(journal.Address, certs.FingerprintOf(authority))
		if err := client.show(h.ClusterFiles()); err != nil {
			return err
		}
	}
	defer client.close()
	return client.call(ctx, abortPath, q, new(struct{}))
}
