package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"keytrustee/internal/durable"
)

// Attempt is what is known of the last time that a host tried to make a backup.
type Attempt struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero: it has not, or was killed
	Name    string    `json:"name,omitempty"` // of the backup; empty: there is none
	Error   string    `json:"error,omitempty"`
	Hint    string    `json:"hint,omitempty"` // what to do about it
}

// EndedAttempt is an Attempt that ends now: with a backup of that name, or with err.
func EndedAttempt(started time.Time, name string, err error) Attempt {
	a := Attempt{Started: started, Ended: time.Now().UTC().Truncate(time.Second), Name: name}
	if err == nil {
		return a
	}
	a.Name, a.Error = "", err.Error()
	if h := (interface{ Hint() string })(nil); errors.As(err, &h) {
		a.Hint = h.Hint()
	}
	return a
}

// Save replaces the file, durably.
func (a Attempt) Save(path string) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}

// LoadAttempt reads what Save wrote. Without a file there was no attempt, and it returns the zero value.
func LoadAttempt(path string) (a Attempt, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	} else if err != nil {
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return a, nil
}
