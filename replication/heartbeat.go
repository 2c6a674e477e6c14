package replication

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"keytrustee/postgres"
)

// Protocol is the version of what the two daemons say to each other.
const Protocol = 2

// Caller reaches the peer's daemon; peer.Client is one. Every method returns when its context ends, whatever the peer does,
// and may be called concurrently: a call that is stuck holds up no other.
type Caller interface {
	Ask(ctx context.Context, to Peer, q Ask) (Answer, error)
	Boundary(ctx context.Context, to Peer) (Boundary, error)
	Follow(ctx context.Context, to Peer, f Follow) error
	// Report is the peer's own view of the pair.
	Report(ctx context.Context, to Peer) (Report, error)
	// Operate gives the peer an operator's command; see Monitor.Operate.
	Operate(ctx context.Context, to Peer, c Command) (Operated, error)
	Takeover(ctx context.Context, to Peer, t Takeover) (TakeoverAnswer, error)
}

// TurnedAwayError is the answer of a host of this cluster that has another peer, or another epoch's.
type TurnedAwayError struct {
	Sentence string
	Epoch    Epoch // of the host that answers
}

func (e *TurnedAwayError) Error() string { return e.Sentence }

// Prover proves that this host can open what it holds. Both hosts compute; equal results are the proof. replication never
// learns what is proven.
type Prover interface {
	// ProveRoot opens the key-encryption key from the root key itself, not from memory, and answers the challenge.
	ProveRoot(ctx context.Context, challenge []byte) ([]byte, error)
	// Prove reads each row from this host's own PostgreSQL, opens it, and answers under bind, in the order of rows.
	Prove(ctx context.Context, rows [][16]byte, bind []byte) ([][]byte, error)
}

// Ask is one question to the peer's daemon, with what the asker says of itself. Nonce alone makes it a heartbeat.
type Ask struct {
	Nonce []byte `json:"nonce"`
	From  string `json:"from"`
	Duty  Duty   `json:"duty"`
	Epoch Epoch  `json:"epoch"`

	// Of the active: its start of PostgreSQL, what the peer is known to have confirmed once that covers all that was ever acknowledged,
	// and how its gate stands.
	Start     string       `json:"start,omitempty"`
	Confirmed postgres.LSN `json:"confirmed,omitempty"`
	Gate      *GateReport  `json:"gate,omitempty"`
	Operation string       `json:"operation,omitempty"` // the ID of the one that is under way

	Forget    bool         `json:"forget,omitempty"`    // what was remembered before this question; see Config
	Challenge bool         `json:"challenge,omitempty"` // prove the root key
	Rows      [][16]byte   `json:"rows,omitempty"`      // prove these rows, which are all committed at At
	At        postgres.LSN `json:"at,omitempty"`
}

// GateReport is how the active's gate stands, for the passive's status.
type GateReport struct {
	Open     bool      `json:"open"`
	Reason   Reason    `json:"reason,omitempty"`
	Since    time.Time `json:"since"`
	Sentence string    `json:"sentence,omitempty"`
}

// Answer is what a node says of itself to a nonce.
type Answer struct {
	Nonce       []byte `json:"nonce"`
	Protocol    int    `json:"protocol"`
	Name        string `json:"name"`
	Duty        Duty   `json:"duty"`
	Epoch       Epoch  `json:"epoch"`
	Incarnation string `json:"incarnation"`
	Fenced      Reason `json:"fenced,omitempty"`
	Server      Server `json:"server"`
	Ready       bool   `json:"ready"`     // passive: may be read
	Following   string `json:"following"` // passive: the active's start that it streams from
	// Unconfirmed: passive: no active has ever said that it has all that was acknowledged. It may be a copy that nobody has taken in.
	Unconfirmed bool      `json:"unconfirmed,omitempty"`
	Clock       time.Time `json:"clock"`
	DiskFree    uint64    `json:"disk_free"`
	DiskSize    uint64    `json:"disk_size"`
	// StateTrouble: its state file can not be written, so it can not confirm anything.
	StateTrouble string     `json:"state_trouble,omitempty"`
	Backups      BackupWord `json:"backups,omitzero"`

	Root      []byte   `json:"root,omitempty"`
	RootError string   `json:"root_error,omitempty"`
	Rows      [][]byte `json:"rows,omitempty"` // the proofs; none if the rows could not be proven
	RowsError string   `json:"rows_error,omitempty"`
}

// BackupWord is what a host says of its backups to the other one, so that the two do not both make one, and neither is blamed for what the
// other has sent.
type BackupWord struct {
	Newest  time.Time      `json:"newest,omitzero"` // when its newest verified one was begun; zero: it has none
	Running bool           `json:"running,omitempty"`
	Targets []BackupTarget `json:"targets,omitempty"` // what each of its targets has
}

// position is what the answering standby has both flushed and replayed.
func (a Answer) position() postgres.LSN { return min(a.Server.Flushed, a.Server.Replayed) }

// bind is what a proof is bound to: whose it is, when, and where. prover is the host that answers, so that no host can hand
// back what it was sent.
func bind(nonce []byte, epoch Epoch, prover string, at postgres.LSN) []byte {
	text, err := json.Marshal([]any{"keytrustee proof", nonce, epoch, prover})
	if err != nil {
		panic(err) // strings and bytes have a JSON form
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, uint64(at)))
	return sum[:]
}
