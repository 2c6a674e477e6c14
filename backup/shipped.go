package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"keytrustee/internal/durable"
)

// shippedFile lies in the directory of the backups.
const shippedFile = "shipped.json"

// Shipped is what targets have confirmed: by target, then by the name of a backup. It is a memory and no catalog: whoever needs
// a backup looks at the target.
type Shipped map[string]map[string]Confirmed

// Confirmed is when a target gave back a backup as it was.
type Confirmed struct {
	SHA256 string    `json:"sha256"`
	At     time.Time `json:"at"`
}

// LoadShipped returns what targets have confirmed of the backups in dir. Beside an error it is nothing, and the next Ship asks
// the targets again.
func LoadShipped(dir string) (Shipped, error) {
	text, err := os.ReadFile(filepath.Join(dir, shippedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Shipped{}, nil
	} else if err != nil {
		return Shipped{}, err
	}
	var s Shipped
	if err := json.Unmarshal(text, &s); err != nil {
		return Shipped{}, fmt.Errorf("what targets have confirmed, %s, is damaged: %w", filepath.Join(dir, shippedFile), err)
	}
	return s, nil
}

// Where returns the targets that have confirmed a backup, in the order of their names.
func (s Shipped) Where(r Receipt) (targets []string) {
	for _, t := range slices.Sorted(maps.Keys(s)) {
		if s.Has(t, r) {
			targets = append(targets, t)
		}
	}
	return targets
}

// Has reports whether a target has confirmed a backup.
func (s Shipped) Has(target string, r Receipt) bool {
	c, ok := s[target][r.Name]
	return ok && c.SHA256 == r.SHA256
}

// record is Shipped on the disk. Several targets may be written to at once.
type record struct {
	dir string

	mu      sync.Mutex // held while the file is written
	shipped Shipped
}

func (r *record) has(target string, b Receipt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shipped.Has(target, b)
}

// confirm notes that a target has a backup.
func (r *record) confirm(target string, b Receipt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shipped.Has(target, b) {
		return nil
	}
	if r.shipped[target] == nil {
		r.shipped[target] = map[string]Confirmed{}
	}
	r.shipped[target][b.Name] = Confirmed{b.SHA256, time.Now().UTC().Truncate(time.Second)}
	return r.save()
}

// forget notes that a target has only some of what it had.
func (r *record) forget(target string, has func(name string) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.shipped[target])
	maps.DeleteFunc(r.shipped[target], func(name string, _ Confirmed) bool { return !has(name) })
	if len(r.shipped[target]) == before {
		return nil
	}
	return r.save()
}

func (r *record) save() error {
	text, err := json.MarshalIndent(r.shipped, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(r.dir, shippedFile), append(text, '\n'), 0o600)
}
