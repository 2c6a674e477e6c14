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
		writeJSON(w, http.StatusBadGateway, refusal{err.Error(), "ktadmin status on " + away.Host + " shows whether it was done; repeating it is safe"})
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

// Operate gives the daemon a command for the pair. ErrUnreachable: the other host, whose it is to do, has not answered, and what became
// of it is not known. ErrDaemonStuck: likewise of this host's daemon, unless that did not answer from the start. Every other *HintedError:
// it was refused, and nothing was changed.
func (c AdminClient) Operate(ctx context.Context, q replication.Command) (replication.Operated, error) {
	var o replication.Operated
	if _, err := c.Status(ctx); err != nil {
		return o, err
	}
	limited, cancel := context.WithTimeout(ctx, operateLimit+statusLimit)
	defer cancel()
	err := c.call(limited, http.MethodPost, clusterPath+string(q.Act), q, &o)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = &HintedError{fmt.Errorf("%w within %v", ErrDaemonStuck, operateLimit+statusLimit), "ktadmin status shows, when it answers, whether the command was done; repeating it is safe"}
	}
	return o, err
}
