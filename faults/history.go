package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// History is everything that a run recorded, in no order that means anything.
type History struct {
	Seed     uint64
	Duration time.Duration
	Ops      []Op
	Events   []Event
}

// header is the first line of a recorded history.
type header struct {
	Seed     uint64        `json:"seed"`
	Duration time.Duration `json:"duration"`
}

// Recorder writes a history down while it happens: a run that ends in the middle can still be judged. It may be used concurrently.
type Recorder struct {
	begun time.Time

	mu      sync.Mutex // guards what follows
	history History
	file    *os.File
	out     *bufio.Writer
	err     error // of the first line that could not be written
}

// Record begins a history that lies in the file.
func Record(path string, seed uint64, duration time.Duration) (*Recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("recording the history: %w", err)
	}
	r := &Recorder{begun: time.Now(), history: History{Seed: seed, Duration: duration}, file: file, out: bufio.NewWriter(file)}
	r.line(header{seed, duration})
	return r, nil
}

// Begin makes now the beginning of the run.
func (r *Recorder) Begin() { r.begun = time.Now() }

// Now is the time since the run began.
func (r *Recorder) Now() time.Duration { return time.Since(r.begun) }

// Op records a delivery, and gives it its number.
func (r *Recorder) Op(o Op) Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ID = len(r.history.Ops) + 1
	r.history.Ops = append(r.history.Ops, o)
	r.line(o)
	return o
}

// Event records an event.
func (r *Recorder) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Events = append(r.history.Events, e)
	r.line(e)
}

func (r *Recorder) line(v any) {
	if err := json.NewEncoder(r.out).Encode(v); err != nil && r.err == nil {
		r.err = err
	}
}

// Close ends the recording and returns what was recorded. The file is complete if there is no error.
func (r *Recorder) Close() (History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range []error{r.err, r.out.Flush(), r.file.Close()} {
		if err != nil {
			return r.history, fmt.Errorf("recording the history: %w", err)
		}
	}
	return r.history, nil
}

// Load reads a recorded history.
func Load(path string) (History, error) {
	file, err := os.Open(path)
	if err != nil {
		return History{}, err
	}
	defer file.Close()
	d := json.NewDecoder(bufio.NewReader(file))
	var head header
	if err := d.Decode(&head); err != nil {
		return History{}, fmt.Errorf("reading %s: %w", path, err)
	}
	h := History{Seed: head.Seed, Duration: head.Duration}
	for d.More() {
		var line struct {
			Op
			Event json.RawMessage `json:"event"`
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.ErrUnexpectedEOF) {
			break // the run was killed; what it recorded before can be judged
		} else if err != nil {
			return h, fmt.Errorf("reading %s: %w", path, err)
		}
		if err := json.Unmarshal(raw, &line); err != nil {
			return h, fmt.Errorf("reading %s: %w", path, err)
		}
		if line.Event == nil {
			h.Ops = append(h.Ops, line.Op)
			continue
		}
		var e Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return h, fmt.Errorf("reading %s: %w", path, err)
		}
		h.Events = append(h.Events, e)
	}
	return h, nil
}

// of returns the events of a kind.
func (h History) of(kind EventKind) []Event {
	var found []Event
	for _, e := range h.Events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}
