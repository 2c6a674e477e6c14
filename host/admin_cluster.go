package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"strconv"
	"strings"
	"time"

	"keytrustee/replication"
)

// clusterPath is where ktadmin cluster gives its commands; the act follows.
const clusterPath = "/v1/cluster/"

// operateLimit bounds how long a command may take until it is an intent on the disk, at this host or at the other one.
const operateLimit = time.Minute

func (a *Admin) serveOperate(w http.ResponseWriter, r *http.Request) {
	var c replication.Command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&c); err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{Error: "the request can not be read: " + err.Error()})
		return
	}
	uid, _ := r.Context().Value(callerKey{}).(uint32)
	c.Act, c.By, c.Relay = replication.Act(strings.TrimPrefix(r.URL.Path, clusterPath)), a.operator(uid, c.By), ""
	ctx, cancel := context.WithTimeout(r.Context(), operateLimit)
	defer cancel()
	o, err := a.Pair.Operate(ctx, c)
	if away, ok := errors.AsType[*replication.UnrelayedError](err); ok {
		a.Logger.Warn("a command has not reached the other host", "act", string(c.Act), "error", err)
		hint := "ktadmin status on " + away.Host + " shows whether it was done; repeating it is safe"
		if changesDuties(c) {
			hint = SecondSwitchover(away.Host)
		}
		writeJSON(w, http.StatusBadGateway, refusal{err.Error(), hint})
		return
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, o)
}

// operator is who gives a command, for people: by the kernel's word, and who that says it was before.
func (a *Admin) operator(uid uint32, before string) string {
	name := "uid " + strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = u.Username
	}
	if before != "" {
		name += fmt.Sprintf(" (%.64q)", before)
	}
	return name + " on " + a.Host.Name
}

// SecondSwitchover says to whoever does not know what became of a switchover, begun while active was the active, when to repeat it.
func SecondSwitchover(active string) string {
	return "ktadmin cluster info says who is the active now; repeat the command only if that is still " + active + ": a second switchover takes the duties back"
}

// changesDuties reports whether q does another thing when it is given again.
func changesDuties(q replication.Command) bool { return q.Act == replication.ActSwitchover && !q.Check }

// UnsureError: the daemon was told, and what became of it is not known. What beneath says what to do does not know that.
type UnsureError struct {
	Err error
	Do  string
}

func (e *UnsureError) Error() string { return e.Err.Error() }
func (e *UnsureError) Unwrap() error { return e.Err }

// Operate gives the daemon a command for the pair. ErrUnreachable: the other host, whose it is to do, has not answered, and what became
// of it is not known. ErrDaemonStuck: likewise of this host's daemon, unless that did not answer from the start. A *UnsureError: likewise,
// of a switchover, which is not to be repeated blindly. Every other *HintedError: it was refused, and nothing was changed.
func (c AdminClient) Operate(ctx context.Context, q replication.Command) (replication.Operated, error) {
	var o replication.Operated
	before, err := c.Status(ctx)
	if err != nil {
		return o, err
	}
	limited, cancel := context.WithTimeout(ctx, operateLimit+statusLimit)
	defer cancel()
	err = c.call(limited, http.MethodPost, clusterPath+string(q.Act), q, &o)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("%w within %v", ErrDaemonStuck, operateLimit+statusLimit)
		if !changesDuties(q) {
			return o, &HintedError{err, "ktadmin status shows, when it answers, whether the command was done; repeating it is safe"}
		}
	}
	if _, refused := errors.AsType[*HintedError](err); err != nil && !refused && changesDuties(q) {
		err = &UnsureError{err, SecondSwitchover(before.active())}
	}
	return o, err
}

// active is the name of the active, by the files of the host that s is of.
func (s Status) active() string {
	switch st := s.State; {
	case st == nil:
		return "the one that it was"
	case st.Duty == replication.Passive && st.Peer != nil:
		return st.Peer.Name
	default:
		return st.Self
	}
}
