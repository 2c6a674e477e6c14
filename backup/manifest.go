package backup

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"keytrustee/postgres"
)

// Format is the number of the form that this version writes, and the only one that it reads.
const Format = 1

// Facts are what whoever makes a backup knows of the host.
type Facts struct {
	Product     string   `json:"product_version"`
	Cluster     string   `json:"cluster_id"`
	Host        string   `json:"host"` // the node's name
	Duty        string   `json:"duty"`
	Epoch       int      `json:"epoch"`
	EpochID     string   `json:"epoch_id"`
	KEKs        []string `json:"keks"`                   // ids of the key-encryption keys
	RootKey     string   `json:"root_key"`               // fingerprint of the host's
	RecoveryKey string   `json:"recovery_key,omitempty"` // fingerprint; empty: there is none
	Other       Other    `json:"other_host"`
}

// Other is how the host stood to the other one of its pair when the backup was begun: one that did not hear it may have been given up.
type Other struct {
	Name  string     `json:"name,omitempty"`
	State OtherState `json:"state"`
	Heard time.Time  `json:"heard,omitzero"` // when it was heard last; zero: not since keytrusteed was started
}

// OtherState is what was known of the other host.
type OtherState string

// Empty, in a backup that does not tell, is as OtherUnknown.
const (
	OtherNone        OtherState = "none"        // the pair had no other host
	OtherConfirmed   OtherState = "confirmed"   // what was acknowledged was on both hosts
	OtherUnconfirmed OtherState = "unconfirmed" // it was heard
	OtherSilent      OtherState = "silent"      // it was not
	OtherUnknown     OtherState = "unknown"     // keytrusteed did not run, so nobody listened
)

// Manifest is what was known when the backup was begun: its first member.
type Manifest struct {
	Format int `json:"format"`
	Facts
	PostgreSQL string            `json:"postgresql_version"`
	SystemID   uint64            `json:"system_id,string"`
	Timeline   postgres.Timeline `json:"timeline"`
	Started    time.Time         `json:"started"`
	Recipients []string          `json:"recipients"`
}

// Major is the major version of PostgreSQL that has made the backup.
func (m Manifest) Major() (int, error) {
	major, _, _ := strings.Cut(m.PostgreSQL, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0, fmt.Errorf("its manifest names no version of PostgreSQL: %q", m.PostgreSQL)
	}
	return n, nil
}

// parseManifest reads a manifest. A *postgres.SetupError means that a newer version has written it.
func parseManifest(text []byte) (m Manifest, err error) {
	var head struct {
		Format  int    `json:"format"`
		Product string `json:"product_version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return m, fmt.Errorf("its manifest: %w", err)
	}
	switch {
	case head.Format > Format:
		return m, &postgres.SetupError{Problem: fmt.Sprintf("the backup has the format %d, of keytrustee %q, and this version reads %d", head.Format, head.Product, Format),
			Remedy: "use the version that wrote it, or a later one"}
	case head.Format != Format:
		return m, fmt.Errorf("its manifest has the format %d", head.Format)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("its manifest: %w", err)
	}
	return m, nil
}

// Trailer is what was known when all was written: the last member.
type Trailer struct {
	Format  int      `json:"format"`
	Streams []Stream `json:"streams"` // in their order
	Rows    Count    `json:"rows"`
}

// Stream is one thing in a backup, cut into members.
type Stream struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Receipt is what was seen of a backup when it was proven. It lies beside the backup, in the clear, and holds no secret.
type Receipt struct {
	Format   int       `json:"format"`
	Name     string    `json:"name"`
	Size     int64     `json:"size"`   // of the file
	SHA256   string    `json:"sha256"` // of the file
	Verified time.Time `json:"verified"`
	Rows     Count     `json:"rows"`
	Newer    int64     `json:"newer_rows"` // in the base backup alone: made while the backup was
	Start    Position  `json:"start"`      // the log that the base backup brings
	End      Position  `json:"end"`
	Manifest Manifest  `json:"manifest"`
	Streams  []Stream  `json:"streams"`
	// Authenticated: it shows by itself that it is by a host of the cluster. Otherwise who restores it wants SHA256.
	Authenticated bool `json:"authenticated"`
}

// Position is a place in the log.
type Position struct {
	Timeline postgres.Timeline `json:"timeline,omitempty"`
	LSN      postgres.LSN      `json:"lsn"`
}

// What lies in the directory for a backup of that name.
const (
	fileSuffix    = ".ktb"
	receiptSuffix = ".json"
	partialSuffix = fileSuffix + ".partial"
)

var namePattern = regexp.MustCompile(`^kt-[a-z0-9-]{1,32}-e\d{1,9}-\d{8}T\d{6}Z$`)

// newName names a backup. The host's name is one of ours, so it needs no escaping in the name of a file.
func newName(m Manifest) (string, error) {
	name := fmt.Sprintf("kt-%s-e%d-%s", m.Host, m.Epoch, m.Started.UTC().Format("20060102T150405Z"))
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("%q can not be the name of a backup", name)
	}
	return name, nil
}
