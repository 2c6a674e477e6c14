package replication

import (
	"time"

	"keytrustee/postgres"
)

// Status is what this node knows at one instant: facts, and ages in place of times, so that what follows from it follows
// without a clock. An age of never means that it has not happened.
type Status struct {
	Self      string     `json:"self"`
	Duty      Duty       `json:"duty"`
	Epoch     Epoch      `json:"epoch"`
	SystemID  uint64     `json:"system_id,string"`
	Fenced    *Fence     `json:"fenced,omitempty"`
	Operation *Operation `json:"operation,omitempty"`

	// Polled: everything has been asked anew since this process started, or last stood still.
	Polled bool          `json:"polled"`
	Local  Server        `json:"local"`
	Age    time.Duration `json:"age"` // of Local

	// PeerName is empty while this node has no peer; Pending names a joiner that has not come in, and PendingTrouble says why, once it answers.
	PeerName       string `json:"peer_name,omitempty"`
	Pending        string `json:"pending,omitempty"`
	PendingTrouble string `json:"pending_trouble,omitempty"`
	Incarnation    string `json:"incarnation"` // active: of the passive that joined; passive: its own
	StandbyName    string `json:"standby_name,omitempty"`
	SyncEnabled    bool   `json:"sync_enabled"`
	// Peer is the last whole answer of the peer; whole means that its PostgreSQL answered too.
	Peer        Answer        `json:"peer"`
	PeerAge     time.Duration `json:"peer_age"`               // of Peer, counted from when it was asked
	ReplyAge    time.Duration `json:"reply_age"`              // of the last answer of any kind, counted likewise
	HeardAge    time.Duration `json:"heard_age"`              // since the peer's daemon answered or asked anything at all
	PeerTrouble string        `json:"peer_trouble"`           // the peer's last word on its PostgreSQL, if that did not answer
	PeerExpired string        `json:"peer_expired,omitempty"` // the peer answers under a certificate that is not good by this host's clock
	// MessageAge, at the passive: since the last WAL message of the active.
	MessageAge time.Duration `json:"message_age"`

	Standing Standing      `json:"standing"` // of this start of PostgreSQL
	Standbys []StandbyRow  `json:"standbys,omitempty"`
	Slot     *Slot         `json:"slot,omitempty"` // the peer's
	Canary   time.Duration `json:"canary"`         // how long the oldest position has waited for the peer to confirm it
	Through  time.Duration `json:"through"`        // while the gate is shut: how long ago the newest position was written that the peer has confirmed
	Skew     time.Duration `json:"skew"`           // peer's clock minus ours

	RootProofAge   time.Duration `json:"root_proof_age"`
	RootProofError string        `json:"root_proof_error,omitempty"` // the last attempt failed, on either host
	DiskFree       uint64        `json:"disk_free"`                  // bytes, where the data and the state file lie
	DiskSize       uint64        `json:"disk_size"`                  // of the fuller of those disks
	StateTrouble   string        `json:"state_trouble,omitempty"`    // why the state file can not be written

	StepTrouble string `json:"step_trouble,omitempty"` // why this host's PostgreSQL, or its operation, is not yet where it should be

	Confirmed postgres.LSN `json:"confirmed"` // active: what the peer has flushed and replayed; passive: the last position persisted

	console, peerConsole console // of both hosts' PostgreSQL, for what an operator is told to do
}

// Standing is what has been found out about this start of this node's PostgreSQL, and, on the active, about the passive's.
type Standing struct {
	Start string `json:"start"`
	// Below, on the active: recovery ended below what was confirmed, or the data is otherwise not what this node left.
	Below string `json:"below,omitempty"`
	// Verdict, on the active, of the comparison with the passive: Compared, or why not.
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"`
	// Ready, on the passive: replay has reached the end of the local WAL and the last confirmed position.
	Ready bool `json:"ready"`
}

// Verdict is how the comparison of two starts ended: empty while it has not, "compared", or a Reason.
type Verdict string

// VerdictCompared: the histories of both starts are one.
const VerdictCompared Verdict = "compared"

// Server is what a PostgreSQL says of itself.
type Server struct {
	Answers  bool              `json:"answers"`
	Trouble  string            `json:"trouble,omitempty"` // why not
	Start    string            `json:"start"`             // known without SQL
	Role     Role              `json:"role"`
	SystemID uint64            `json:"system_id,string"`
	Timeline postgres.Timeline `json:"timeline"`
	Version  int               `json:"version"` // server_version_num
	Started  time.Time         `json:"started"`
	Epoch    *Epoch            `json:"epoch,omitempty"`
	// Flushed is the WAL on its disk; on a standby max(received, replayed), since after a start received begins anew.
	Flushed      postgres.LSN      `json:"flushed"`
	Replayed     postgres.LSN      `json:"replayed"`
	ReplayPaused bool              `json:"replay_paused"`
	Settings     map[string]string `json:"settings"`
	Overrides    int               `json:"overrides"` // rows of pg_db_role_setting
	Receiver     string            `json:"receiver"`  // status of the WAL receiver
	MessageAge   time.Duration     `json:"message_age"`
	// Damaged is how often a page was met whose checksum did not fit, DamagedAt when last. A crash forgets both.
	Damaged   int64     `json:"damaged,omitempty"`
	DamagedAt time.Time `json:"damaged_at,omitzero"`
}

// StandbyRow is a row of pg_stat_replication, with the certificate that its connection showed.
type StandbyRow struct {
	PID         int          `json:"pid"`
	User        string       `json:"user"`
	Application string       `json:"application"`
	Address     string       `json:"address"`
	State       string       `json:"state"`
	SyncState   string       `json:"sync_state"`
	Since       time.Time    `json:"since"` // when it connected
	SentLSN     postgres.LSN `json:"sent_lsn"`
	WriteLSN    postgres.LSN `json:"write_lsn"`
	FlushLSN    postgres.LSN `json:"flush_lsn"`
	ReplayLSN   postgres.LSN `json:"replay_lsn"`
	// How long the newest WAL took to be written, flushed and replayed there; nil while there is nothing new.
	WriteLag  *time.Duration `json:"write_lag,omitempty"`
	FlushLag  *time.Duration `json:"flush_lag,omitempty"`
	ReplayLag *time.Duration `json:"replay_lag,omitempty"`
	ClientDN  string         `json:"client_dn"`
}

// Slot is a row of pg_replication_slots.
type Slot struct {
	Name      string `json:"name"`
	Active    bool   `json:"active"`
	WALStatus string `json:"wal_status"`
	// SafeBytes may still be written before WAL that the slot keeps is removed; nil: as much as one likes, or none is kept.
	SafeBytes *int64 `json:"safe_bytes,omitempty"`
}

// Policy holds the limits that Decide applies. The zero value of a field means its default.
type Policy struct {
	HeartbeatLimit time.Duration // an answer older than this proves nothing; 1 s
	AnswerLimit    time.Duration // a host silent for this long is gone; 2 s
	StaleLimit     time.Duration // a position that waits this long for the peer is stale; 1 s
	RootProofLimit time.Duration // 1 min
	SkewLimit      time.Duration // 5 min
	DiskFloor      uint64        // bytes free on either host; 256 MiB
}

func (p Policy) withDefaults() Policy {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.HeartbeatLimit, time.Second}, {&p.AnswerLimit, 2 * time.Second}, {&p.StaleLimit, time.Second},
		{&p.RootProofLimit, time.Minute}, {&p.SkewLimit, 5 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if p.DiskFloor == 0 {
		p.DiskFloor = 256 << 20
	}
	return p
}
