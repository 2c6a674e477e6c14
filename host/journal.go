package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keytrustee/internal/durable"
	"keytrustee/internal/seam"
)

// Journal is what a host remembers of an operation that has not ended. It lies in the node directory.
type Journal struct {
	Operation string    `json:"operation"`        // init, bootstrap, join, re-clone, restore, restore from a backup
	Step      string    `json:"step"`             // the step that began last
	Since     time.Time `json:"since"`            // when the operation first began
	Making    string    `json:"making,omitempty"` // the directory that it is filling: half made as long as it stands here
	Made      string    `json:"made,omitempty"`   // the directory that it has filled
	Mark      string    `json:"mark,omitempty"`   // of a restore from a backup: in the name of the mark that it leaves in Making
	Is        string    `json:"is,omitempty"`     // of others: which directory Making is, for another may be mounted at its path
	// Of a join: the copy that the other host was asked to admit, where that host was reached, and where this host's earlier
	// data was moved to.
	Incarnation string `json:"incarnation,omitempty"`
	Address     string `json:"address,omitempty"`
	Aside       string `json:"aside,omitempty"`
	Kept        string `json:"kept,omitempty"`   // where its earlier state goes, unless data is moved aside that it lies beside
	Given       *given `json:"given,omitempty"`  // what the data was that it gives up
	Before      bool   `json:"before,omitempty"` // the files that it replaces lie in node/before as they were
	// Of a restore from a backup.
	Backup *ofBackup `json:"backup,omitempty"`

	lock *os.File // while it runs: what keeps other operations off, for the programs that fill Making
}

func (h *Host) journalFile() string { return filepath.Join(h.NodeDir(), "journal.json") }

// Journal returns the operation that was begun and has not ended, or nil.
func (h *Host) Journal() (*Journal, error) {
	text, err := os.ReadFile(h.journalFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := new(Journal)
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("journal %s is damaged: %w", h.journalFile(), err)
	}
	return j, nil
}

func (h *Host) saveJournal(j *Journal) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(h.journalFile(), append(text, '\n'), 0o600)
}

// Unended says for people that an operation has not ended on this host, and what ends it; ok is false where there is none, or one
// that whatever comes next completes. Whether the command is running still, the journal does not say.
func (j *Journal) Unended() (what, do string, ok bool) {
	if j == nil || j.Operation == initOperation {
		return "", "", false
	}
	return fmt.Sprintf("%s has not ended on this host: it has come to %q", j.Operation, j.Step), "If it broke off, " + j.goOn(), true
}

// Completes says how to complete an operation that whatever comes next would complete too; empty for every other one.
func (j *Journal) Completes() string {
	if j != nil && j.Operation == initOperation {
		return "ktadmin init completes it"
	}
	return ""
}

// goOn says how to end the operation.
func (j *Journal) goOn() string {
	text := "repeat the command that began it: " + commands[j.Operation]
	if j.Operation == restoreOperation {
		survivor, _, err := net.SplitHostPort(j.Address)
		if err == nil {
			text = strings.Replace(text, "ADDRESS", survivor, 1)
		}
		text += " (FILE holds its token or, when that has expired, another one of ktadmin join-token on the passive that survived)"
	}
	if abort := aborts[j.Operation]; abort != "" {
		text += "; or end it: " + abort
	}
	return text
}

// step is one step of an operation. What it does may be done again after a crash anywhere in it.
type step struct {
	name string
	do   func(context.Context, *Journal) error
}

// operate takes the steps in order, each journaled before it begins. It refuses while another operation runs, and while
// the journal holds another one that has not ended. A failed step leaves the journal, so that status can tell and the
// same operation, begun anew, knows what it was making.
func (h *Host) operate(ctx context.Context, operation string, steps ...step) error {
	if err := durable.MkdirAll(h.NodeDir(), 0o700); err != nil {
		return err
	}
	lock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	j, err := h.Journal()
	if err != nil {
		return err
	}
	if j == nil || j.Operation == initOperation { // an init that stopped is completed by whatever comes next to need it
		j = &Journal{Operation: operation, Since: time.Now().UTC().Truncate(time.Second)}
	}
	if j.Operation != operation {
		return hinted(j.goOn(), "%s began on this host at %s and has not ended", j.Operation, j.Since.Format(time.RFC3339))
	}
	j.lock = lock
	for i, s := range steps {
		j.Step = s.name
		if err := h.saveJournal(j); err != nil {
			return err
		}
		if err := h.reached(operation + ": before " + s.name); err != nil {
			return err
		}
		if err := s.do(ctx, j); err != nil {
			if i == 0 && *j == (Journal{Operation: operation, Step: s.name, Since: j.Since, lock: lock}) { // nothing has been begun
				return errors.Join(err, h.endJournal())
			}
			return err
		}
	}
	if err := h.reached(operation + ": before its end"); err != nil {
		return err
	}
	return h.endJournal()
}

// endJournal ends the operation: until the journal is gone it can be aborted, and what that needs is there.
func (h *Host) endJournal() error {
	if err := durable.Remove(h.journalFile()); err != nil {
		return err
	}
	return os.RemoveAll(h.beforeDir())
}

func (h *Host) reached(point string) error {
	seam.Reached(point)
	if h.failpoint == nil {
		return nil
	}
	return h.failpoint(point)
}

// HintedError is an error with what to do about it.
type HintedError struct {
	Err  error
	Hint string
}

func (e *HintedError) Error() string { return e.Err.Error() }

func (e *HintedError) Unwrap() error { return e.Err }

func hinted(hint, format string, args ...any) error {
	return &HintedError{fmt.Errorf(format, args...), hint}
}

// stamp is how sentences write a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
