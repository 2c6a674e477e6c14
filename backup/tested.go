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

// LoadTested returns the last restore test that was noted in file; nil: there was none.
func LoadTested(file string) (*Tested, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	t, err := ParseTested(text)
	if err != nil {
		return nil, fmt.Errorf("the note of the last restore test, %s: %w", file, err)
	}
	return &t, nil
}

// ParseTested reads the JSON form.
func ParseTested(text []byte) (t Tested, err error) {
	if err := json.Unmarshal(text, &t); err != nil {
		return t, err
	}
	switch {
	case t.Format != Format:
		return t, fmt.Errorf("it has the format %d, and this version knows %d", t.Format, Format)
	case !namePattern.MatchString(t.Name) || t.Tested.IsZero() || t.Recipient == "" || t.RecoveryKey == "":
		return t, errors.New("it tells of no restore test")
	}
	return t, nil
}

// NoteTest keeps a restore test in file, if none is there that is as new. When it returns nil the newest is durable.
func NoteTest(file string, t Tested, now time.Time) error {
	const ahead = 5 * time.Minute // of another computer's clock
	if t.Tested.After(now.Add(ahead)) {
		return fmt.Errorf("the restore test of %s was made at %s, which is yet to come", t.Name, t.Tested.Format(time.RFC3339))
	}
	last, err := LoadTested(file)
	if err == nil && last != nil && !t.Tested.After(last.Tested) {
		return nil
	}
	text, err := json.MarshalIndent(t, "", "  ") // a note that is damaged gives way
	if err != nil {
		return err
	}
	return durable.WriteFile(file, append(text, '\n'), 0o600)
}
