package backup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"keytrustee/internal/durable"
)

// Retention says how many backups are kept. A zero number keeps none of its kind; nothing but zeroes keeps all.
type Retention struct {
	Newest int // so many, whenever they were begun
	Hourly int // the newest backup of so many hours that have one
	Daily  int // of so many days
	Weekly int // of so many weeks, which begin on Monday
}

// slots name the hour, the day and the week that a backup is of, in UTC: no clock change makes one of them twice as long.
var slots = []struct {
	wanted func(Retention) int
	of     func(time.Time) string
}{
	{func(r Retention) int { return r.Newest }, func(t time.Time) string { return t.Format(time.RFC3339) }}, // no host begins two at once
	{func(r Retention) int { return r.Hourly }, func(t time.Time) string { return t.Format("2006-01-02T15") }},
	{func(r Retention) int { return r.Daily }, func(t time.Time) string { return t.Format(time.DateOnly) }},
	{func(r Retention) int { return r.Weekly }, func(t time.Time) string {
		year, week := t.ISOWeek()
		return fmt.Sprint(year, "-", week)
	}},
}

// Keep divides backups of one host into those that are kept and those that are not, each oldest first. An hour without a backup
// takes no place of another, so a host that stood still loses none for that. The newest is always kept; one that was begun after
// now is kept as well and takes no place, for either clock may have been wrong.
func (r Retention) Keep(backups []Receipt, now time.Time) (kept, expendable []Receipt) {
	sorted := slices.Clone(backups)
	slices.SortStableFunc(sorted, func(a, b Receipt) int { return b.Manifest.Started.Compare(a.Manifest.Started) })
	full := make([]map[string]bool, len(slots))
	for i := range slots {
		full[i] = map[string]bool{}
	}
	newest := true
	for _, b := range sorted {
		started := b.Manifest.Started.UTC()
		if started.After(now) {
			kept = append(kept, b)
			continue
		}
		keep := newest || r == Retention{}
		newest = false
		for i, slot := range slots {
			if name := slot.of(started); !full[i][name] && len(full[i]) < slot.wanted(r) {
				full[i][name], keep = true, true
			}
		}
		if keep {
			kept = append(kept, b)
		} else {
			expendable = append(expendable, b)
		}
	}
	slices.Reverse(kept)
	slices.Reverse(expendable)
	return kept, expendable
}

// retire removes the backups of this host that are not kept any longer. Those of another host or of another cluster, and those of this one
// under an earlier root key, somebody may need yet: a pair that was restored from a backup has its name and its cluster, and a later backup
// may turn up of what it was. They neither count nor go. What was not verified is left alone too, and so is the backup that was just made:
// by a clock that was set back it may be older than one that is there.
func (r *run) retire(now time.Time, made string) (removed []string, err error) {
	catalog, err := List(r.Directory)
	if err != nil {
		return nil, err
	}
	var own []Receipt
	for _, b := range catalog.Backups {
		if b.Manifest.of(r.Facts.Host, r.Facts.Cluster, r.Facts.RootKey) {
			own = append(own, b)
		}
	}
	_, expendable := r.Retention.Keep(own, now)
	for _, b := range expendable {
		if b.Name == made {
			continue
		}
		if e := r.withdraw(b.Name); e != nil {
			err = errors.Join(err, fmt.Errorf("removing the backup %s, which is not kept any longer: %w", b.Name, e))
			continue
		}
		removed = append(removed, b.Name)
	}
	return removed, err
}

// of reports whether it is of that host, as it is with that root key.
func (m *Manifest) of(host, cluster, rootKey string) bool {
	return m.Host == host && m.Cluster == cluster && m.RootKey == rootKey
}

// withdraw removes a backup. It takes the name away first: a crash at any time after it leaves what the next run knows as nothing, and
// never a file without its receipt, which nobody would dare to remove.
func (r *run) withdraw(name string) error {
	path := filepath.Join(r.Directory, name)
	if err := durable.Rename(path+fileSuffix, path+partialSuffix); err != nil {
		return err
	}
	if err := r.reached("withdrawn"); err != nil {
		return err
	}
	return r.discard(name)
}
