package backup

import (
	"bytes"
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
		"more":                   {[]Row{rowOf(Key, 0, 1, false), key, rowOf(Key, 2, 1, false), version, second, rowOf(Change, 1, 1, false)}, 3, "", "key 00000000-0000-0000-0000-000000000000 was not there"},
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
			var text []byte
			for _, r := range list {
				text = r.append(text)
			}
			e, err := expect(bytes.NewReader(text), exact)
			for _, r := range row.have {
				if err == nil {
					err = e.found(r)
				}
			}
			if err == nil {
				err = e.end()
			}
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, exact %v: %v, want %q", name, exact, err, want)
			}
			if err == nil && (e.newer != row.newer || e.count != (Count{Keys: 1, Versions: 2})) {
				t.Errorf("%s: %d newer, %+v", name, e.newer, e.count)
			}
		}
	}
}

func TestRowsThatAreNoList(t *testing.T) {
	good := rowOf(Version, 2, 1, false).append(nil)
	for name, text := range map[string][]byte{
		"cut":          good[:len(good)-1],
		"another kind": append([]byte{'?'}, good[1:]...),
		"purged twice": append([]byte{'v', 2}, good[2:]...),
		"one twice":    append(bytes.Clone(good), good...),
		"out of order": rowOf(Version, 1, 1, false).append(bytes.Clone(good)),
	} {
		e, err := expect(bytes.NewReader(text), false)
		for err == nil && e.more {
			err = e.found(e.next)
		}
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
