package replication

import (
	"context"
	"slices"

	"keytrustee/postgres"
)

// news finds out whether a snapshot shows changes that nobody was told of: those of unknown outcome that the passive has got after all.
type news struct {
	seen     postgres.Snapshot // what was looked at before
	canaries []postgres.XID    // sung since; they change nothing
	pending  bool              // changes were found and are not shown yet
}

func (n *news) sung(c canary) { n.canaries = append(n.canaries, c.xid) }

// in reports whether s shows a change beyond those that were acknowledged one by one, since the last time that the news were out. Control
// writes and what was rolled back may count as changes.
func (n *news) in(s postgres.Snapshot, acknowledged []postgres.XID) bool {
	for x := n.seen.Xmin; x < s.Xmax && !n.pending; x++ {
		n.pending = s.Sees(x) && !n.seen.Sees(x) && !slices.Contains(n.canaries, x) && !slices.Contains(acknowledged, x)
	}
	n.seen, n.canaries = s, slices.DeleteFunc(n.canaries, s.Sees)
	return n.pending
}

// confirmNews is confirmSnapshot for one that shows changes that nobody was told of. No proof has made a host forget what it remembers of
// their rows, so both do it now: the passive, which has them, before this host shows them.
func (m *Monitor) confirmNews(ctx context.Context, c canary, n *news) error {
	peer := m.state.Current().Peer
	if peer == nil {
		return ErrWorldChanged
	}
	if _, err := m.ask(ctx, *peer, Ask{Forget: true}, callLimit); err != nil {
		return err
	}
	if err := m.confirmSnapshot(c); err != nil {
		return err
	}
	m.forget()
	n.pending = false
	return nil
}
