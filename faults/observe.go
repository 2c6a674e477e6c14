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
	state  string // its state file
	caller *caller
	record *Recorder

	opened atomic.Int64 // when the last question was asked that found it taking writes

	stood  Event         // what the state file said last
	before time.Duration // when it still said so
}

func newObserver(host Host, home string, c *caller, record *Recorder) *observer {
	return &observer{host: host, state: filepath.Join(home, "node", "state.json"), caller: c, record: record}
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
	var state struct {
		Duty  string
		Epoch struct {
			Number int
			ID     string
		}
		Fenced *json.RawMessage
	}
	begun := o.record.Now()
	text, err := os.ReadFile(o.state)
	if err != nil || json.Unmarshal(text, &state) != nil {
		state.Duty = "" // there is none
	}
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
