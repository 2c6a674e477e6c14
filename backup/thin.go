package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// thinning is what a target keeps of this host's backups. What another host or another cluster has sent there neither counts nor
// goes, and neither does what has no receipt.
type thinning struct {
	place
	*shipping
	theirs map[string]Receipt // this host's backups at the target, by name
}

// look finds this host's backups among the files of a target. The receipts of those that are here as well need not be read.
func (n *thinning) look(files map[string]int64) error {
	n.theirs = map[string]Receipt{}
	catalog, err := List(n.Directory)
	if err != nil {
		return err
	}
	here := map[string]Receipt{}
	for _, b := range catalog.Backups {
		here[b.Name] = b
	}
	named := backupsOf(n.Host)
	for file, size := range files {
		name, backup := strings.CutSuffix(file, fileSuffix)
		if _, told := files[name+receiptSuffix]; !backup || !told || size == noFile || !named.MatchString(name) {
			continue
		}
		b, known := here[name]
		if !known {
			text, err := small(n.place, name+receiptSuffix)
			if err != nil {
				return fmt.Errorf("reading the receipt of %s: %w", name, err)
			}
			if json.Unmarshal(text, &b) != nil || b.Name != name || b.Format != Format {
				continue
			}
		}
		if b.Size == size && n.own(b) {
			n.theirs[name] = b
		}
	}
	return nil
}

// backupsOf are the names of a host's backups.
func backupsOf(host string) *regexp.Regexp {
	return regexp.MustCompile(`^kt-` + regexp.QuoteMeta(host) + `-e\d{1,9}-\d{8}T\d{6}Z$`)
}

func (s *shipping) own(b Receipt) bool {
	return s.Host != "" && b.Manifest.of(s.Host, s.Cluster, s.RootKey)
}

// expendable are this host's backups, of those that are here and those that are there, that are not kept there.
func (n *thinning) expendable(here []Receipt) map[string]bool {
	var all []Receipt
	for _, b := range n.theirs {
		all = append(all, b)
	}
	for _, b := range here {
		if _, there := n.theirs[b.Name]; !there && n.own(b) {
			all = append(all, b)
		}
	}
	_, expendable := n.Retention.Keep(all, n.now())
	names := map[string]bool{}
	for _, b := range expendable {
		names[b.Name] = true
	}
	return names
}

// thin removes from the target what is not kept there, and what is left of backups that will never be sent. It is called when
// the target has everything that it is to have, the newest backup above all.
func (n *thinning) thin(ctx context.Context, reached func(string) error) (removed []string, _ error) {
	files, err := n.files()
	if err != nil {
		return nil, err
	}
	if err := n.look(files); err != nil {
		return nil, err
	}
	catalog, err := List(n.Directory)
	if err != nil {
		return nil, err
	}
	here := map[string]bool{}
	for _, b := range catalog.Backups {
		here[b.Name] = true
	}
	wanted, err := n.list()
	if err != nil {
		return nil, err
	}
	for name := range n.expendable(wanted.Backups) {
		here[name] = false
		if ours, err := n.oursToRemove(name); err != nil {
			return removed, err
		} else if !ours {
			continue
		}
		if err := n.rename(name+fileSuffix, name+partialSuffix); err != nil {
			return removed, fmt.Errorf("removing %s: %w", name, err)
		}
		removed = append(removed, name)
		if err := reached("withdrawn"); err != nil {
			return removed, err
		}
		files[name+partialSuffix] = files[name+fileSuffix]
		delete(files, name+fileSuffix)
	}
	named := backupsOf(n.Host)
	for file, size := range files {
		name, part := strings.CutSuffix(file, partialSuffix)
		if !part {
			name, part = strings.CutSuffix(strings.TrimPrefix(file, "."), receiptSuffix+".tmp")
		}
		if !part || size == noFile || here[name] || !named.MatchString(name) {
			continue
		}
		if err := n.clear(name, file, files); err != nil {
			return removed, fmt.Errorf("removing what is left of %s: %w", name, err)
		}
	}
	return removed, ctx.Err()
}

// oursToRemove reports whether a backup is at the target and is, by the receipt that lies there, of this host.
func (n *thinning) oursToRemove(name string) (bool, error) {
	if _, there := n.theirs[name]; !there {
		return false, nil
	}
	text, err := small(n.place, name+receiptSuffix)
	if err != nil {
		return false, fmt.Errorf("reading the receipt of %s: %w", name, err)
	}
	var b Receipt
	return json.Unmarshal(text, &b) == nil && b.Name == name && n.own(b), nil
}

// clear removes a part and the receipt beside it, the receipt first: as what a run here has left is removed.
func (n *thinning) clear(name, file string, files map[string]int64) error {
	_, told := files[name+receiptSuffix]
	if _, backup := files[name+fileSuffix]; told && !backup {
		text, err := small(n.place, name+receiptSuffix)
		if err != nil {
			return err
		}
		var b Receipt
		if json.Unmarshal(text, &b) == nil && !n.own(b) {
			return nil
		}
		if err := n.remove(name + receiptSuffix); err != nil {
			return err
		}
		delete(files, name+receiptSuffix)
	}
	if err := n.remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
