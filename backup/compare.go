package backup

import (
	"context"
	"fmt"
	"io"
)

// RowsFile is where Unpack leaves the list of rows.
const RowsFile = rowsStream

// Compare has c open every row that q sees, and holds it against list, the list of rows of a backup whose trailer counts want: each has to
// be there, and what it was, unless it was purged since. newer is how many rows are not on the list. p, which may be nil,
// hears how far it is.
func Compare(ctx context.Context, q Querier, c Checker, list io.Reader, want Count, p Progress) (newer int64, err error) {
	p = heard(p)
	p.Begin("opening every version")
	p.Versions(want.Versions, false)
	return compare(ctx, q, counting{c, p}.Open, list, want, false)
}

// CompareDump is Compare for a database that was restored from the dump: it has the rows of the list as they were, and no other.
func CompareDump(ctx context.Context, q Querier, c Checker, list io.Reader, want Count, p Progress) error {
	p = heard(p)
	p.Begin("opening every version")
	p.Versions(want.Versions, false)
	_, err := compare(ctx, q, counting{c, p}.Open, list, want, true)
	return err
}

// look is a method of Checker.
type look func(ctx context.Context, q Querier, row func(Row) error) error

// compare holds what rows finds against the list. With exact there is nothing that is not on it.
func compare(ctx context.Context, q Querier, rows look, list io.Reader, want Count, exact bool) (newer int64, err error) {
	e := expect(list, exact)
	if err := rows(ctx, q, e.found); err != nil {
		return 0, err
	}
	if err := e.end(); err != nil {
		return 0, err
	}
	if e.count != want {
		return 0, fmt.Errorf("its list of rows has %+v, its trailer says %+v", e.count, want)
	}
	return e.newer, nil
}
