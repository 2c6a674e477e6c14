package pgstore

import (
	"context"
	"fmt"
)

// Unconfirmed is how many changes this host's database has that no reader is shown, since it is not known that the passive has
// them. It looks at all of them, so it is for people who ask.
func (s *Store) Unconfirmed(ctx context.Context) (n int, err error) {
	v, err := s.horizon.Visibility()
	if err != nil && v.Snapshot.Xmax == 0 && !v.All { // nothing is shown, for another reason
		return 0, err
	}
	err = s.reads.QueryRow(ctx, "select count(*) from key_change c where not "+visible, s.visibility().args()...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the changes that are not confirmed: %w", err)
	}
	return n, nil
}
