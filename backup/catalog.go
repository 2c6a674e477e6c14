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
	"strings"

	"keytrustee/postgres"
)

// Catalog is what lies in the directory of the backups.
type Catalog struct {
	Backups []Receipt `json:"backups"` // oldest first
	LeftOut []LeftOut `json:"left_out"`
}

// LeftOut is a file that looks like a backup and counts for none.
type LeftOut struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// List returns the backups that were proven. It reads no backup, only that each is there as long as it was; a directory that
// is not there holds none.
func List(dir string) (Catalog, error) {
	c := Catalog{Backups: []Receipt{}, LeftOut: []LeftOut{}}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return c, unreadable(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, unreadable(dir, err)
	}
	defer root.Close()
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), fileSuffix)
		switch {
		case ours && namePattern.MatchString(name):
			receipt, err := proven(root, name)
			if err != nil {
				c.LeftOut = append(c.LeftOut, LeftOut{e.Name(), err.Error()})
				continue
			}
			c.Backups = append(c.Backups, receipt)
		case aloneReceipt(root, e.Name()):
			c.LeftOut = append(c.LeftOut, LeftOut{e.Name(), "the backup that it tells of is not there"})
		case strings.HasSuffix(e.Name(), partialSuffix):
			c.LeftOut = append(c.LeftOut, LeftOut{e.Name(), "it is being made, or was left by a run that was killed, which the next one removes"})
		case ours:
			c.LeftOut = append(c.LeftOut, LeftOut{e.Name(), "its name is none that this program gives"})
		}
	}
	slices.SortStableFunc(c.Backups, func(a, b Receipt) int { return a.Manifest.Started.Compare(b.Manifest.Started) })
	return c, nil
}

// aloneReceipt reports whether a file is the receipt of a backup that was taken away.
func aloneReceipt(root *os.Root, file string) bool {
	name, receipt := strings.CutSuffix(file, receiptSuffix)
	if !receipt || !namePattern.MatchString(name) {
		return false
	}
	for _, suffix := range []string{fileSuffix, partialSuffix} {
		if _, err := root.Lstat(name + suffix); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// proven returns the receipt of a backup that is there as long as the receipt says. The error continues a sentence that names
// the file.
func proven(root *os.Root, name string) (r Receipt, err error) {
	text, err := readSmall(root, name+receiptSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return r, errors.New("there is no receipt beside it, so nothing says that it was verified")
	} else if err != nil {
		return r, fmt.Errorf("its receipt can not be read: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("its receipt is damaged: %w", err)
	}
	switch {
	case r.Format != Format:
		return r, fmt.Errorf("its receipt has the format %d, and this version knows %d", r.Format, Format)
	case r.Name != name:
		return r, fmt.Errorf("its receipt is that of %q", r.Name)
	}
	info, err := root.Stat(name + fileSuffix)
	if err != nil {
		return r, err
	}
	if info.Size() != r.Size {
		return r, fmt.Errorf("it has %d bytes, and had %d when it was verified", info.Size(), r.Size)
	}
	return r, nil
}

// ReceiptOf is the receipt of that name, whether the backup lies beside it or not. found is false where there is none that can be read as
// one.
func ReceiptOf(dir, name string) (r Receipt, found bool, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	} else if err != nil {
		return r, false, unreadable(dir, err)
	}
	defer root.Close()
	text, err := readSmall(root, name+receiptSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	} else if err != nil {
		return r, false, unreadable(dir, err)
	}
	return r, json.Unmarshal(text, &r) == nil && r.Name == name, nil
}

func readSmall(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxJSON))
}

// File is where the backup of that name lies.
func File(dir, name string) string { return filepath.Join(dir, name+fileSuffix) }

// Show returns the receipt of one backup. A *DamageError means that it is not what was verified, a *postgres.SetupError that
// there is none of that name.
func Show(dir, name string) (Receipt, error) {
	root, name, err := find(dir, name)
	if err != nil {
		return Receipt{}, err
	}
	defer root.Close()
	return show(root, name)
}

func show(root *os.Root, name string) (Receipt, error) {
	r, err := proven(root, name)
	if err != nil {
		return Receipt{}, &DamageError{name, err}
	}
	return r, nil
}

// Verify reads a backup and holds it against its receipt: every byte is what it was when the backup was restored. It can not
// look inside, for what opens it is not on this host. p, which may be nil, hears how far it is. The errors are those of Show.
func Verify(ctx context.Context, dir, name string, p Progress) (Receipt, error) {
	root, name, err := find(dir, name)
	if err != nil {
		return Receipt{}, err
	}
	defer root.Close()
	r, err := show(root, name)
	if err != nil {
		return Receipt{}, err
	}
	f, err := root.Open(name + fileSuffix)
	if err != nil {
		return Receipt{}, err
	}
	defer f.Close()
	p = heard(p)
	p.Begin("reading " + name)
	p.Bytes(r.Size, false)
	sum := sha256.New()
	size, err := io.Copy(sum, readTo(p, reader{ctx, f}))
	if err != nil {
		return Receipt{}, fmt.Errorf("reading the backup %s: %w", name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); size != r.Size || got != r.SHA256 {
		return Receipt{}, &DamageError{name, fmt.Errorf("the SHA-256 of its %d bytes is %s, and was %s when it was verified", size, got, r.SHA256)}
	}
	return r, nil
}

// find opens the directory, and makes sure that there is a backup of that name, with or without the ending of its file.
func find(dir, name string) (*os.Root, string, error) {
	name = strings.TrimSuffix(name, fileSuffix)
	none := func(err error) error {
		return &postgres.SetupError{Problem: fmt.Sprintf("there is no backup %q in %s", name, dir), Err: err, Remedy: "ktadmin backup list shows which there are"}
	}
	if !namePattern.MatchString(name) {
		return nil, "", none(nil)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", none(nil)
	} else if err != nil {
		return nil, "", unreadable(dir, err)
	}
	if _, err := root.Lstat(name + fileSuffix); err != nil {
		root.Close()
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, "", none(err)
	}
	return root, name, nil
}

// DamageError means that a backup is not what was verified.
type DamageError struct {
	Name string
	Err  error
}

func (e *DamageError) Error() string {
	return "the backup " + e.Name + " is of no use: " + e.Err.Error()
}
func (e *DamageError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *DamageError) Hint() string {
	return "use another one: ktadmin backup list; make a new one: ktadmin backup create; and look at the disk"
}
