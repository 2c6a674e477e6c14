package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// XID is the number of a transaction, 64 bits wide (xid8): it never wraps.
type XID uint64

// ParseXID reads an XID in decimal.
func ParseXID(s string) (XID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no transaction number", s)
	}
	return XID(n), nil
}

func (x XID) String() string { return strconv.FormatUint(uint64(x), 10) }

// Snapshot says which transactions had ended at an instant (pg_snapshot). The zero Snapshot sees none.
type Snapshot struct {
	Xmin    XID   // every transaction below it had ended
	Xmax    XID   // none from it on had ended
	Running []XID // those between the two that had not ended, ascending
}

// ParseSnapshot reads what String and PostgreSQL write, such as "10:20:10,14".
func ParseSnapshot(s string) (Snapshot, error) {
	bad := func() (Snapshot, error) {
		return Snapshot{}, fmt.Errorf("%q is no snapshot; one looks like 10:20:10,14", s)
	}
	fields := strings.Split(s, ":")
	if len(fields) != 3 {
		return bad()
	}
	xmin, err1 := ParseXID(fields[0])
	xmax, err2 := ParseXID(fields[1])
	if err1 != nil || err2 != nil || xmin > xmax {
		return bad()
	}
	snapshot := Snapshot{Xmin: xmin, Xmax: xmax}
	if fields[2] == "" {
		return snapshot, nil
	}
	for field := range strings.SplitSeq(fields[2], ",") {
		xid, err := ParseXID(field)
		if err != nil || xid < xmin || xid >= xmax {
			return bad()
		}
		if n := len(snapshot.Running); n > 0 && xid <= snapshot.Running[n-1] {
			return bad()
		}
		snapshot.Running = append(snapshot.Running, xid)
	}
	return snapshot, nil
}

func (s Snapshot) String() string {
	running := make([]string, len(s.Running))
	for i, x := range s.Running {
		running[i] = x.String()
	}
	return fmt.Sprintf("%d:%d:%s", s.Xmin, s.Xmax, strings.Join(running, ","))
}

// Sees reports whether the transaction had ended; whether it committed, its rows say. It is wrong for subtransactions.
func (s Snapshot) Sees(x XID) bool {
	if x < s.Xmin {
		return true
	}
	if x >= s.Xmax {
		return false
	}
	_, running := slices.BinarySearch(s.Running, x)
	return !running
}

// MarshalText writes what String writes.
func (s Snapshot) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseSnapshot reads.
func (s *Snapshot) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSnapshot(string(text))
	return err
}

// Visibility says which transactions a reader may be shown. The zero Visibility shows none.
type Visibility struct {
	All          bool     // everything that the database shows: it is a genuine passive
	Snapshot     Snapshot // otherwise those that it sees
	Acknowledged []XID    // and these
}

// Shows reports whether rows of the transaction may be shown.
func (v Visibility) Shows(x XID) bool {
	return v.All || v.Snapshot.Sees(x) || slices.Contains(v.Acknowledged, x)
}
