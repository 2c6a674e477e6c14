package host

import (
	"context"
	"errors"
	"net/http"
	"time"

	"keytrustee/replication"
)

// viewPath is where ktadmin asks for the view of the pair.
const viewPath = "/v1/cluster/view"

// peerLimit is how long the other host may take to say how it sees the pair.
const peerLimit = 1500 * time.Millisecond

// Ask has ask get the other host's own word, for a moment, and completes s with it or with why there is none.
func (s *Sight) Ask(ctx context.Context, ask func(context.Context) (replication.Report, error)) {
	if s.Status.State == nil || s.Status.State.Peer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, peerLimit)
	defer cancel()
	r, err := ask(ctx)
	if err != nil {
		s.PeerTrouble = err.Error()
		if away, ok := errors.AsType[*replication.TurnedAwayError](err); ok {
			s.PeerEpoch = &away.Epoch
		}
		return
	}
	s.Peer = &r
}

func (a *Admin) serveView(w http.ResponseWriter, r *http.Request) {
	status, err := a.Host.Status()
	if err != nil {
		a.refuse(w, err)
		return
	}
	s := Sight{Status: status}
	if a.Peer != nil {
		s.Ask(r.Context(), a.Peer)
	}
	report := a.Pair.Report() // after the question, so that it knows how that ended
	s.At, s.Status.Daemon, s.Status.Report = time.Now(), true, &report
	writeJSON(w, http.StatusOK, View(s))
}

// View asks the daemon how the pair is, seen from both hosts. The error is ErrDaemonDown or ErrDaemonStuck where it can not be
// asked.
func (c AdminClient) View(ctx context.Context) (Cluster, error) {
	var v Cluster
	err := c.quickly(ctx, viewPath, &v)
	return v, err
}
