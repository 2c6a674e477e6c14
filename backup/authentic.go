package backup

import (
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Authenticator has the key that the backups of a cluster are authenticated with. MAC is an HMAC-SHA-256 under it.
type Authenticator interface {
	MAC(message []byte) []byte
}

// authenticationMember is the last member, where there is one: it shows that all before it is by a host of the cluster.
const authenticationMember = "authentication.json"

// authentication is its form.
type authentication struct {
	HMAC string `json:"hmac_sha256"`
}

// said is what is authenticated: the manifest and the trailer as they were written. The trailer has the sums of all streams, so
// nothing that is unpacked is left out.
func said(manifest, trailer []byte) []byte {
	var b []byte
	for _, part := range [][]byte{[]byte("keytrustee backup 1"), manifest, trailer} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

func authenticate(by Authenticator, manifest, trailer []byte) authentication {
	return authentication{hex.EncodeToString(by.MAC(said(manifest, trailer)))}
}

// authentic reports whether text, the last member, was made by who has the key, of that manifest and trailer.
func authentic(by Authenticator, manifest, trailer, text []byte) bool {
	var a authentication
	if json.Unmarshal(text, &a) != nil {
		return false
	}
	got, err := hex.DecodeString(a.HMAC)
	return err == nil && hmac.Equal(got, by.MAC(said(manifest, trailer)))
}

// Origin is what a backup that is unpacked has to show of who made it.
type Origin struct {
	Key    Authenticator // that of the cluster
	SHA256 string        // of the file, as its receipt on the host that made it says; empty: nobody has given it
}

// check refuses a backup that somebody else has made than a host of the cluster.
func (o Origin) check(name string, u Unpacked) error {
	switch {
	case o.SHA256 != "" && !strings.EqualFold(o.SHA256, u.SHA256):
		return &ForeignError{name, fmt.Errorf("its SHA-256 is %s, and not the one that was given", u.SHA256)}
	case u.authentication == nil && o.SHA256 == "":
		return &UnauthenticatedError{name}
	case u.authentication != nil && !authentic(o.Key, u.manifest, u.trailer, u.authentication):
		return &ForeignError{name, errors.New("it was not made by a host of the cluster whose recovery key this is: its authentication is by another key, or of another backup")}
	}
	return nil
}

// ForeignError means that a backup is by somebody else than a host of the cluster, or was changed since. Nothing of it was started.
type ForeignError struct {
	Name string
	Err  error
}

func (e *ForeignError) Error() string {
	return "the backup " + e.Name + " is not to be trusted: " + e.Err.Error()
}
func (e *ForeignError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *ForeignError) Hint() string {
	return "start nothing from it, and keep it as evidence: whoever knows the recipients can write such a file. Look at who can write where it lay, and take another backup, from a host itself if one lives"
}

// UnauthenticatedError means that nothing in a backup says who made it.
type UnauthenticatedError struct{ Name string }

func (e *UnauthenticatedError) Error() string {
	return "nothing in the backup " + e.Name + " shows who made it: its host had not seen the recovery key, or it is by somebody else"
}

// Hint is what the operator can do.
func (e *UnauthenticatedError) Hint() string {
	return "give its SHA-256 with --sha256, as the host that made it says (ktadmin backup show NAME there, or the receipt, NAME.json, from that host's own disk, and not from where the file was). " +
		"Later backups show it by themselves after ktadmin root-key confirm-recovery on a host of the pair"
}
