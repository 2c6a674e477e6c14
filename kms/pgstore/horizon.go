package pgstore

import (
	"errors"

	"keytrustee/kms"
)

// visible is the filter on a change c. Its arguments are the first three of every statement that has it.
const visible = `($1::boolean or pg_visible_in_snapshot(c.xid, $2::pg_snapshot) or c.xid = any($3::xid8[]))`

// filter is the argument list of visible, and what to say of what it does not show.
type filter struct {
	all          bool
	snapshot     string
	acknowledged []uint64
	uncertain    error // not nil: what is not shown may exist
}

// nothing is a snapshot that sees no transaction.
const nothing = "1:1:"

// visibility returns the filter of this moment.
func (s *Store) visibility() filter {
	v, err := s.horizon.Visibility()
	f := filter{all: v.All, snapshot: nothing, acknowledged: make([]uint64, len(v.Acknowledged))}
	if !v.All && v.Snapshot.Xmax > 0 {
		f.snapshot = v.Snapshot.String()
	}
	for i, x := range v.Acknowledged {
		f.acknowledged[i] = uint64(x)
	}
	if err == nil {
		return f
	}
	var ro *kms.ReadOnlyError
	if !errors.As(err, &ro) {
		err = kms.NotReadyError(s.host, kms.ReasonStarting, s.hostName()+" can not tell yet which keys it may show: "+err.Error())
	}
	f.uncertain = err
	return f
}

// args puts the filter's arguments before the others.
func (f filter) args(more ...any) []any {
	return append([]any{f.all, f.snapshot, f.acknowledged}, more...)
}

// absent says that nothing was found: with notFound where that is certain.
func (f filter) absent(notFound error) error {
	if f.uncertain != nil {
		return f.uncertain
	}
	return notFound
}
