package replication

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"keytrustee/internal/durable"
	"keytrustee/postgres"
)

// State is what a node knows of itself and its peer across restarts: node/state.json. It never lies in the directory that
// both hosts may share, so that copying that one can not copy a duty.
type State struct {
	Self        string `json:"self"` // this node's name, the CN of its certificate
	Duty        Duty   `json:"duty"`
	Epoch       Epoch  `json:"epoch"`
	SystemID    uint64 `json:"system_id,string"`
	Incarnation string `json:"incarnation"` // of this node's data directory

	Peer    *Peer      `json:"peer,omitempty"`
	Pending *Admission `json:"pending,omitempty"` // active: a joiner that has not come in yet
	// SyncEnabled: the operator has made replication synchronous. It is never taken back.
	SyncEnabled bool `json:"sync_enabled"`
	// Compared: the two starts whose histories are known to be one. Another start of either server wants a comparison.
	Compared *Compared `json:"compared,omitempty"`

	Confirmed     Confirmed    `json:"confirmed"`      // active: what may be shown
	LastConfirmed postgres.LSN `json:"last_confirmed"` // passive: replay must have reached it before anything is read; zero: acknowledged keys may be missing

	Fenced    *Fence     `json:"fenced,omitempty"`
	Operation *Operation `json:"operation,omitempty"` // under way
	Outcome   *Outcome   `json:"outcome,omitempty"`   // of the last one that ended
	Former    *Former    `json:"former,omitempty"`    // who was the peer last, before the present one
	// Stopped: the start of PostgreSQL that the daemon has ended for an operation, so that its parent starts another.
	Stopped string `json:"stopped,omitempty"`
}

// Peer is how to reach and recognise the other node.
type Peer struct {
	Name         string `json:"name"`    // also the CN of its certificate
	Address      string `json:"address"` // host name or IP address, without port
	ClusterPort  int    `json:"cluster_port"`
	DatabasePort int    `json:"database_port"`
	URL          string `json:"url"`              // its external address, for clients
	Source       string `json:"source,omitempty"` // where its connections come from, if that is not Address
	Incarnation  string `json:"incarnation"`      // of its data directory
	Key          string `json:"key,omitempty"`    // of its cluster certificate; see KeyOf
}

// ClusterAddress is host:port of its cluster listener.
func (p Peer) ClusterAddress() string {
	return net.JoinHostPort(p.Address, strconv.Itoa(p.ClusterPort))
}

// source is the address that its connections come from.
func (p Peer) source() string {
	if p.Source != "" {
		return p.Source
	}
	return p.Address
}

// Compared names two starts of PostgreSQL and the copy that the passive is.
type Compared struct {
	Active      string `json:"active"`
	Passive     string `json:"passive"`
	Incarnation string `json:"incarnation"`
}

// Confirmed is what both hosts are known to hold: transactions that the snapshot sees, and those acknowledged one by one
// since. The active's own WAL reaches at least to Position, or it is an older copy.
type Confirmed struct {
	Snapshot     postgres.Snapshot `json:"snapshot"`
	Acknowledged []postgres.XID    `json:"acknowledged,omitempty"`
	Position     postgres.LSN      `json:"position"`
}

// Fence keeps a node from everything until its data is replaced: no command lifts it.
type Fence struct {
	Reason Reason    `json:"reason"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
	Met    *Epoch    `json:"met,omitempty"` // the epoch that was met, if that is why
}

// clone shares nothing with s that a change could alter.
func (s State) clone() State {
	s.Peer, s.Pending, s.Compared = copied(s.Peer), copied(s.Pending), copied(s.Compared)
	s.Fenced, s.Operation, s.Outcome, s.Former = copied(s.Fenced), copied(s.Operation), copied(s.Outcome), copied(s.Former)
	s.Confirmed.Acknowledged = slices.Clone(s.Confirmed.Acknowledged)
	return s
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// StateFile is a State on disk. One process writes it; it may be used concurrently.
type StateFile struct {
	path string

	mu      sync.Mutex // guards what follows, never while the file is written
	current State      // exactly what is on the disk
	trouble string     // why the last attempt to write failed
	queue   []*change
	writing bool
}

type change struct {
	apply func(*State) error
	done  chan error
}

// CreateState writes the first state of a node. The file must not exist; the directory must.
func CreateState(path string, s State) (*StateFile, error) {
	data, err := encode(s)
	if err != nil {
		return nil, err
	}
	if err := durable.CreateFile(path, data, 0o600); err != nil {
		return nil, err
	}
	return &StateFile{path: path, current: s.clone()}, nil
}

// OpenState reads the state of a node; an error that is fs.ErrNotExist if it has none.
func OpenState(path string) (*StateFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the state of this node: %w", err)
	}
	f := &StateFile{path: path}
	if f.current, err = ParseState(data); err != nil {
		return nil, fmt.Errorf("reading the state of this node: %s %w", path, err)
	}
	return f, nil
}

// ParseState reads what a state file holds. The error continues a sentence that names the file.
func ParseState(data []byte) (s State, err error) {
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("is damaged: %w", err)
	}
	if s.Self == "" || s.Duty != Active && s.Duty != Passive || s.Epoch.IsZero() {
		return State{}, errors.New("names no node, duty or epoch")
	}
	return s, nil
}

func encode(s State) ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}

// Current returns what is on the disk. The caller owns it.
func (f *StateFile) Current() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.clone()
}

// Update makes a change and returns nil when it is on the disk; only then does Current show it. With an error, of apply or
// of the disk, nothing has changed. Changes that wait for the disk at one time share one write; apply may not call f.
func (f *StateFile) Update(apply func(*State) error) error {
	c := &change{apply, make(chan error, 1)}
	f.mu.Lock()
	f.queue = append(f.queue, c)
	if !f.writing {
		f.writing = true
		go f.write()
	}
	f.mu.Unlock()
	return <-c.done
}

// write empties the queue.
func (f *StateFile) write() {
	for {
		f.mu.Lock()
		batch, next := f.queue, f.current.clone()
		f.queue = nil
		if len(batch) == 0 {
			f.writing = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()

		var waiting []*change
		dirty := false
		for _, c := range batch {
			try := next.clone()
			switch err := c.apply(&try); {
			case errors.Is(err, errUnchanged): // perhaps because of a change in this very batch
			case err != nil:
				c.done <- err
				continue
			default:
				next, dirty = try, true
			}
			waiting = append(waiting, c)
		}
		var err error
		if dirty {
			err = f.replace(next)
		}
		for _, c := range waiting {
			c.done <- err
		}
	}
}

func (f *StateFile) replace(next State) error {
	data, err := encode(next)
	if err != nil {
		return err
	}
	err = durable.WriteFile(f.path, data, 0o600)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		cause := err
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			cause = path.Err // without the name of the temporary file, which is another one each time
		}
		f.trouble = fmt.Sprintf("%s can not be written: %v", f.path, cause)
		return err
	}
	f.current, f.trouble = next, ""
	return nil
}

// Trouble says why the last change could not be written; empty if it could. While there is trouble nothing is acknowledged.
func (f *StateFile) Trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// rewrite finds out whether the trouble is over.
func (f *StateFile) rewrite() error {
	if f.Trouble() == "" {
		return nil
	}
	if f.Update(func(*State) error { return nil }) == nil {
		return nil
	}
	return errors.New(f.Trouble())
}

// errUnchanged lets apply say that there is nothing to write.
var errUnchanged = errors.New("unchanged")
