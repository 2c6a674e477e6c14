package host

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// segmentRequest asks a survivor for the bytes of one segment of its log.
type segmentRequest struct {
	Timeline postgres.Timeline `json:"timeline"`
	Start    postgres.LSN      `json:"start"`
	End      postgres.LSN      `json:"end"` // of the log: not beyond it
}

// segmentName is the header that names the file of the segment that is answered.
const segmentName = "Keytrustee-Segment"

// errNotAdmitted: the caller is not the host that was admitted last.
var errNotAdmitted = &replication.RefusedError{Sentence: "this host has not been admitted, or another one has since"}

// serveAbort hears that a joiner will not come.
func (a *Admitter) serveAbort(w http.ResponseWriter, r *http.Request) {
	a.serveAdmitted(w, r, func(ctx context.Context, q joinerRequest, admitted bool) (any, error) {
		if q.Incarnation == "" || !admitted && !a.tokens.usedBy(certs.HashSecret(q.Secret), q.Root) {
			return nil, errNotAdmitted
		}
		return struct{}{}, a.pair.Abandon(ctx, q.Incarnation)
	})
}

// serveBoundary tells the host that is being restored where the log of this one ends.
func (a *Admitter) serveBoundary(w http.ResponseWriter, r *http.Request) {
	a.serveAdmitted(w, r, func(ctx context.Context, _ joinerRequest, admitted bool) (any, error) {
		if !admitted {
			return nil, errNotAdmitted
		}
		return a.pair.Boundary(ctx)
	})
}

// serveAdmitted answers a question of a joiner; admitted: it shows the certificate that it was given.
func (a *Admitter) serveAdmitted(w http.ResponseWriter, r *http.Request, answer func(context.Context, joinerRequest, bool) (any, error)) {
	var q joinerRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(&q); err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{Error: "the question can not be read: " + err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), admitLimit)
	defer cancel()
	said, err := answer(ctx, q, a.isAdmitted(r))
	if err != nil {
		a.refuse(w, err, r.RemoteAddr, "")
		return
	}
	writeJSON(w, http.StatusOK, said)
}

// isAdmitted reports whether the caller shows the certificate of the host that was admitted and has not come in yet.
func (a *Admitter) isAdmitted(r *http.Request) bool {
	p := a.pair.State().Pending
	return p != nil && p.Peer.Key != "" && shows(shown(r), &p.Peer)
}

// serveSegment gives the host that is being restored a segment of the log. Every byte of it is in the base backup's source too.
func (a *Admitter) serveSegment(w http.ResponseWriter, r *http.Request) {
	var q segmentRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(&q); err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{Error: "the question can not be read: " + err.Error()})
		return
	}
	if !a.isAdmitted(r) || a.pair.State().Duty != replication.Passive {
		a.refuse(w, errNotAdmitted, r.RemoteAddr, "")
		return
	}
	name, content, err := postgres.ReadSegment(a.server.Data, q.Timeline, q.Start, q.End)
	if errors.Is(err, postgres.ErrWALGone) {
		a.refuse(w, &replication.RefusedError{Sentence: err.Error()}, r.RemoteAddr, "")
		return
	} else if err != nil {
		a.refuse(w, err, r.RemoteAddr, "")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(segmentName, name)
	w.Write(content)
}
