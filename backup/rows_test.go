package backup

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func rowOf(kind Kind, id, sum byte, purged bool) Row {
	r := Row{Kind: kind, Purged: purged}
	r.ID[15], r.Sum[0] = id, sum
	return r
}

// TestRowsAreFoundAgain holds a list of rows against what a database has.
func TestRowsAreFoundAgain(t *testing.T) {
	key, version, second := rowOf(Key, 1, 7, false), rowOf(Version, 2, 8, false), rowOf(Version, 3, 9, false)
	list := []Row{key, version, second}
	for name, row := range map[string]struct {
		have  []Row
		newer int64
		want  string // empty: fine
		exact string // the same, where nothing else may be there
	}{
		"the same":               {list, 0, "", ""},
		"in another order":       {[]Row{second, version, key}, 0, "", ""},
		"one moved to the end":   {[]Row{version, rowOf(Change, 9, 1, false), second, key}, 1, "", "was not there"},
		"a moved one differs":    {[]Row{version, second, rowOf(Key, 1, 1, false)}, 0, "000000000001 is not what it was", "is not what it was"},
		"one twice, one missing": {[]Row{key, key, second}, 0, "000000000002 is not there", "is not there"},
		"one twice":              {[]Row{key, version, second, key}, 1, "", "was not there"},
		"more":                   {[]Row{rowOf(Key, 0, 1, false), key, rowOf(Key, 2, 1, false), version, second, rowOf(Change, 1, 1, false)}, 3, "", "was not there"},
		"the first missing":      {list[1:], 0, "key 00000000-0000-0000-0000-000000000001 is not there", "is not there"},
		"one missing":            {[]Row{key, second}, 0, "version 00000000-0000-0000-0000-000000000002 is not there", "is not there"},
		"the last missing":       {list[:2], 0, "000000000003 is not there", "is not there"},
		"none":                   {nil, 0, "000000000001 is not there", "is not there"},
		"another sum":            {[]Row{key, rowOf(Version, 2, 1, false), second}, 0, "000000000002 is not what it was", "is not what it was"},
		"purged since":           {[]Row{rowOf(Key, 1, 7, true), rowOf(Version, 2, 1, true), second}, 0, "", "000000000001 is not what it was"},
		"a purged key differs":   {[]Row{rowOf(Key, 1, 1, true), version, second}, 0, "000000000001 is not what it was", "is not what it was"},
		"a changed key, not one": {[]Row{rowOf(Change, 1, 7, false)}, 0, "key 00000000-0000-0000-0000-000000000001 is not there", "is not there"},
	} {
		for exact, want := range map[bool]string{false: row.want, true: row.exact} {
			e := expect(&rowList{list}, exact)
			err := e.all(row.have)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, exact %v: %v, want %q", name, exact, err, want)
			}
			if err == nil && (e.newer != row.newer || e.count != (Count{Keys: 1, Versions: 2})) {
				t.Errorf("%s: %d newer, %+v", name, e.newer, e.count)
			}
		}
	}
}

// all tells e of every row of a database.
func (e *expected) all(have []Row) error {
	for _, r := range have {
		if err := e.found(r); err != nil {
			return err
		}
	}
	return e.end()
}

// TestRowsInAnyOrder: whatever the order, nothing that is missing or changed passes, and what is newer is counted; where the orders are the
// same but for a few rows, no more than these are remembered.
func TestRowsInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var list, have []Row
		for i := range byte(random.IntN(8)) {
			list = append(list, rowOf(Version, i, 1, false))
		}
		newer := int64(random.IntN(4))
		have = slices.Clone(list)
		for i := range newer {
			have = append(have, rowOf(Version, byte(100+i), 1, false))
		}
		random.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
		e := expect(&rowList{list}, false)
		if err := e.all(have); err != nil || e.newer != newer || e.count.Versions != int64(len(list)) {
			t.Fatalf("%v beside %v: %v, %d newer", have, list, err, e.newer)
		}
		if len(list) == 0 {
			continue
		}
		at := slices.Index(have, list[random.IntN(len(list))])
		changed := slices.Clone(have)
		changed[at].Sum[9] ^= 1
		for what, bad := range map[string][]Row{"is not what it was": changed, "is not there": slices.Delete(slices.Clone(have), at, at+1)} {
			err := expect(&rowList{list}, false).all(bad)
			if want := fmt.Sprintf("%s %s", have[at], what); err == nil || err.Error() != want {
				t.Fatalf("%v beside %v: %v, want %q", bad, list, err, want)
			}
		}
	}

	var list []Row
	for i := range byte(200) {
		list = append(list, rowOf(Version, i, 1, false))
	}
	e := expect(&rowList{list}, false)
	must := func(r Row) {
		t.Helper()
		if err := e.found(r); err != nil || len(e.listed) > 2 || len(e.had) > 2 {
			t.Fatalf("%s: %v, and %d and %d are remembered", r, err, len(e.listed), len(e.had))
		}
	}
	must(rowOf(Version, 255, 1, false))
	for i := range byte(199) {
		must(rowOf(Version, i+1, 1, false))
	}
	must(rowOf(Version, 0, 1, false))
	if err := e.end(); err != nil || e.newer != 1 {
		t.Errorf("%v, %d newer", err, e.newer)
	}
}

func TestRowsThatAreNoList(t *testing.T) {
	good, other, third := rowOf(Version, 2, 1, false), rowOf(Version, 3, 1, false), rowOf(Version, 4, 1, false)
	if err := expect(cutOff{}, false).all([]Row{good}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	if err := expect(cutOff{}, false).end(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off, at the end: %v", err)
	}
	if err := expect(&rowList{[]Row{good, good}}, false).all([]Row{good}); err == nil {
		t.Error("one twice is taken")
	}
	if err := expect(&rowList{[]Row{good, good, other}}, false).all([]Row{third, other, good}); err == nil || !strings.Contains(err.Error(), "000000000002 twice") {
		t.Errorf("one twice, before it is found: %v", err)
	}
}

// rowList is a RowReader.
type rowList struct{ left []Row }

func (l *rowList) Next() (r Row, err error) {
	if len(l.left) == 0 {
		return r, io.EOF
	}
	r, l.left = l.left[0], l.left[1:]
	return r, nil
}

// cutOff is a list that was cut off.
type cutOff struct{}

func (cutOff) Next() (r Row, err error) { return r, io.ErrUnexpectedEOF }
