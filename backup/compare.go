package backup

import (
	"context"
	"fmt"
)

// Compare has c open every row that q sees, and holds it against the dump, which the backup's trailer says to have so many rows as want: each
// of these has to be there, and what it was, unless it was purged since. newer is how many rows the dump does not have. p, which may be nil,
// hears how far it is.
func Compare(ctx context.Context, q Querier, c Checker, d Dump, want Count, p Progress) (newer int64, err error) {
	p = heard(p)
	p.Begin("opening every version")
	p.Versions(want.Versions, false)
	return compare(ctx, q, counting{c, p}.Open, d, c, want, false)
}

// CompareDump is Compare for a database that was restored from the dump: it has the rows as they were, and no other.
func CompareDump(ctx context.Context, q Querier, c Checker, d Dump, want Count, p Progress) error {
	p = heard(p)
	p.Begin("opening every version")
	p.Versions(want.Versions, false)
	_, err := compare(ctx, q, counting{c, p}.Open, d, c, want, true)
	return err
}

// look is a method of Checker.
type look func(ctx context.Context, q Querier, row func(Row) error) error

// compare holds what rows finds against the rows of the dump. With exact there is nothing else.
func compare(ctx context.Context, q Querier, rows look, d Dump, c Checker, want Count, exact bool) (newer int64, err error) {
	list, err := d.rows(c)
	if err != nil {
		return 0, err
	}
	e := expect(list, exact)
	if err := rows(ctx, q, e.found); err != nil {
		return 0, err
	}
	if err := e.end(); err != nil {
		return 0, err
	}
	if e.count != want {
		return 0, fmt.Errorf("its dump has %+v, its trailer says %+v", e.count, want)
	}
	return e.newer, nil
}
