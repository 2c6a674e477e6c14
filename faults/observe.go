package faults

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// lookEvery is how often a host is looked at.
const lookEvery = 150 * time.Millisecond

// observer looks at one host from outside, as a load balancer and an operator do.
type observer struct {
	host   Host
	home   string // where its files are
	caller *caller
	record *Recorder

	opened atomic.Int64 // when the last question was asked that found it taking writes

	stood  Event         // what the state file said last
	before time.Duration // when it still said so
}

// hostState is what matters here of a host's state file.
type hostState struct {
	Duty  string
	Epoch struct {
		Number int
		ID     string
	}
	Fenced, Operation *json.RawMessage
}

// stateOf reads the state file of the host whose files are there; nothing if there is none.
func stateOf(home string) (s hostState) {
	text, err := os.ReadFile(filepath.Join(home, "node", "state.json"))
	if err != nil || json.Unmarshal(text, &s) != nil {
		return hostState{}
	}
	return s
}

func newObserver(host Host, home string, c *caller, record *Recorder) *observer {
	return &observer{host: host, home: home, caller: c, record: record}
}

// run looks again and again until ctx ends.
func (o *observer) run(ctx context.Context) {
	for ctx.Err() == nil {
		o.read()
		o.ask(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// read records what the host's state file says, if that is news.
func (o *observer) read() {
	begun := o.record.Now()
	state := stateOf(o.home)
	if state.Fenced != nil {
		state.Duty = "fenced"
	}
	now := Event{Kind: Stood, Host: o.host.Name, Duty: state.Duty, Epoch: state.Epoch.ID}
	if now.Duty != o.stood.Duty || now.Epoch != o.stood.Epoch {
		o.stood = now
		now.At, now.Until = o.before, o.record.Now()
		o.record.Event(now)
	}
	o.before = begun
}

// ask records whether the host takes writes. A host that does not answer within a second is not recorded: it said nothing.
func (o *observer) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.host.URL+"/v1/sys/health", nil)
	if err != nil {
		panic(err)
	}
	asked := o.record.Now()
	_, body, err := o.caller.roundTrip(request)
	if err != nil {
		return
	}
	var health struct {
		Standby bool
		Writes  struct {
			Open   bool
			Reason string
		}
	}
	if json.Unmarshal(body, &health) != nil {
		return
	}
	look := Event{Kind: Looked, Host: o.host.Name, At: asked, Until: o.record.Now(), Open: health.Writes.Open, Reason: health.Writes.Reason}
	if health.Standby {
		look.Open, look.Reason = false, fromPassive
	}
	if look.Open {
		o.opened.Store(int64(asked))
	}
	o.record.Event(look)
}
