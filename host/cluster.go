package host

import (
	"time"

	"keytrustee/postgres"
	"keytrustee/replication"
)

// Cluster is the pair as it is seen from one host, with the other one's own word where that can be had. docs/cluster.md
// explains every field; their names are promised to scripts. What is not known is left out.
type Cluster struct {
	Writes    Writes            `json:"writes"`
	Summary   Verdict           `json:"summary"`
	Problems  []Problem         `json:"problems,omitempty"` // why it is BAD: those of the pair and of each node
	ID        string            `json:"cluster_id"`
	Epoch     replication.Epoch `json:"epoch,omitzero"`
	From      string            `json:"from"`
	Updated   time.Time         `json:"last_updated"`
	NodeCount int               `json:"node_count"`
	Nodes     []Node            `json:"nodes"` // the one that was asked first
	Line      *Line             `json:"replication,omitempty"`

	Operation *replication.Operation `json:"operation,omitempty"`
	Outcome   *replication.Outcome   `json:"last_outcome,omitempty"`
	Former    *replication.Former    `json:"former,omitempty"`
	Joining   string                 `json:"joining,omitempty"` // a host that was admitted and has not come in yet
}

// Verdict is GOOD or BAD.
type Verdict string

// Bad: somebody should look.
const (
	Good Verdict = "GOOD"
	Bad  Verdict = "BAD"
)

// Problem is why something is BAD.
type Problem struct {
	Node    string     `json:"node,omitempty"` // empty: the pair
	Message string     `json:"message"`
	Since   *time.Time `json:"since,omitempty"`
}

// Writes says whether a write that is sent to the pair now is taken.
type Writes struct {
	State WriteState         `json:"state"`
	Host  string             `json:"host,omitempty"`  // the active
	Since *time.Time         `json:"since,omitempty"` // when they were opened, or were last taken
	For   float64            `json:"for_seconds,omitempty"`
	Why   replication.Reason `json:"reason,omitempty"`
	What  string             `json:"what,omitempty"` // why not, in words
	Do    string             `json:"do,omitempty"`   // what to do about it
	// Reads: at least one host is known to read keys.
	Reads bool `json:"reads"`
}

// WriteState is open or refused.
type WriteState string

// The states. What nobody can vouch for is refused.
const (
	WritesOpen    WriteState = "open"
	WritesRefused WriteState = "refused"
)

// Node is one host.
type Node struct {
	Name     string     `json:"node"`
	ThisNode bool       `json:"is_this_node"`
	Host     string     `json:"host,omitempty"` // its address
	Status   NodeStatus `json:"status"`
	Summary  Verdict    `json:"summary"`
	Problems []Problem  `json:"errors,omitempty"`
	// Source is whose word all of this is: its own, the other host's, or files. AsOf is when, if that is not now; what does
	// not change by itself is true still.
	Source Source     `json:"source"`
	AsOf   *time.Time `json:"as_of,omitempty"`

	Duty     replication.Duty  `json:"duty,omitempty"`
	Epoch    replication.Epoch `json:"epoch,omitzero"`
	State    string            `json:"state,omitempty"` // what it does: serving, streaming, starting, …
	Daemon   *bool             `json:"daemon,omitempty"`
	Database *bool             `json:"database,omitempty"`
	Reads    string            `json:"reads,omitempty"` // everything, known, nothing
	Release  string            `json:"release,omitempty"`

	PostgreSQL string            `json:"postgresql,omitempty"`
	SystemID   uint64            `json:"system_id,string,omitempty"`
	Uptime     float64           `json:"uptime_seconds,omitempty"` // of its PostgreSQL
	Timeline   postgres.Timeline `json:"timeline,omitempty"`
	Flushed    postgres.LSN      `json:"flush_lsn,omitempty"`
	Replayed   postgres.LSN      `json:"replay_lsn,omitempty"`    // passive
	Confirmed  postgres.LSN      `json:"confirmed_lsn,omitempty"` // active: what the passive has confirmed; passive: what it keeps of that
	Age        *float64          `json:"attested_age_seconds,omitempty"`
	ClockSkew  *float64          `json:"clock_skew_seconds,omitempty"` // the other one's clock minus its own
	RootProof  *float64          `json:"root_proof_age_seconds,omitempty"`

	DiskFree     uint64               `json:"disk_free_bytes,omitempty"`
	DiskSize     uint64               `json:"disk_size_bytes,omitempty"`
	Certificates map[string]float64   `json:"certificate_days,omitempty"`     // public, cluster, authority
	Begins       map[string]time.Time `json:"certificates_begin,omitempty"`   // of these, those that are not good yet, and when they are
	Foreign      []string             `json:"foreign_certificates,omitempty"` // of these, those that another authority than the cluster's has signed
	Recovery     string               `json:"recovery_key,omitempty"`         // missing, unconfirmed, confirmed
	AuditTrouble string               `json:"audit_trouble,omitempty"`
	AuditLost    uint64               `json:"audit_lost,omitempty"`
	Syslog       string               `json:"syslog,omitempty"` // connected, or why not; empty: none
	SyslogLost   uint64               `json:"syslog_lost,omitempty"`
	Unfinished   string               `json:"unfinished,omitempty"` // a command that has not ended on it

	Backups *replication.Backups `json:"backups,omitempty"`

	Sees *Sees `json:"sees,omitempty"` // the other host
}

// NodeStatus is a node's status, as a code and in words.
type NodeStatus struct {
	Code string `json:"code"` // r ready, s starting, j joining, o in an operation, f fenced, d down, u unknown, none
	Text string `json:"description"`
}

// Source is whose word it is.
type Source string

// The sources.
const (
	OwnWord   Source = "itself"
	PeersWord Source = "peer"    // what the other one's daemon last heard of it
	FilesWord Source = "files"   // its daemon does not answer
	NoWord    Source = "nothing" // only that it is there
)

// Sees is what one host sees of the other.
type Sees struct {
	Node    string     `json:"node"`
	Answers bool       `json:"answers"`
	Heard   *time.Time `json:"heard,omitempty"` // when it was last heard; nil: never since this daemon started
	Summary Verdict    `json:"summary"`
	Why     string     `json:"why,omitempty"`
}

// Line is the replication from the active to the passive, as the active sees it.
type Line struct {
	From       string       `json:"from"`
	To         string       `json:"to"`
	Connected  bool         `json:"connected"`
	Since      *time.Time   `json:"connect_time,omitempty"`
	State      string       `json:"state,omitempty"`      // pg_stat_replication's
	SyncState  string       `json:"sync_state,omitempty"` // likewise
	Blocked    bool         `json:"replication_blocked"`  // replay is paused
	SentLSN    postgres.LSN `json:"sent_lsn,omitempty"`
	WriteLSN   postgres.LSN `json:"write_lsn,omitempty"`
	FlushLSN   postgres.LSN `json:"flush_lsn,omitempty"`
	ReplayLSN  postgres.LSN `json:"replay_lsn,omitempty"`
	SentLag    *uint64      `json:"sent_lag_bytes,omitempty"`
	WriteLag   *uint64      `json:"write_lag_bytes,omitempty"`
	FlushLag   *uint64      `json:"flush_lag_bytes,omitempty"`
	ReplayLag  *uint64      `json:"replay_lag_bytes,omitempty"`
	WriteTime  float64      `json:"write_lag_seconds"`
	FlushTime  float64      `json:"flush_lag_seconds"`
	ReplayTime float64      `json:"replay_lag_seconds"`

	Slot       string  `json:"slot,omitempty"`
	SlotStatus string  `json:"slot_status,omitempty"`
	SlotSafe   *int64  `json:"slot_safe_bytes,omitempty"`
	Waiting    int     `json:"waiting_writes"`
	Unshown    *int    `json:"unconfirmed_changes,omitempty"`
	WaitedFor  float64 `json:"oldest_wait_seconds"`
}
