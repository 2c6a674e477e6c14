package backup

import (
	"regexp"
	"slices"
	"strings"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Named reports whether id names one of the recipients: one of age by itself, an OpenPGP key by its fingerprint, by the last 16 digits or more
// of it, or by a mail address that the key itself vouches for at the time now. Fewer digits name a key that anybody can make.
func (r Recipients) Named(id string, now time.Time) bool {
	id = strings.ToLower(strings.TrimSpace(id))
	return slices.ContainsFunc(r.texts, func(text string) bool { return names(id, strings.ToLower(text)) }) ||
		slices.ContainsFunc(r.keys, func(key *openpgp.Entity) bool { return hasAddress(key, id, now) })
}

// names reports whether id names what is written so, both in small letters.
func names(id, text string) bool {
	fingerprint, ofOpenPGP := strings.CutPrefix(text, openPGPPrefix)
	if !ofOpenPGP {
		return id == text
	}
	id = strings.TrimPrefix(strings.ReplaceAll(strings.TrimPrefix(id, openPGPPrefix), " ", ""), "0x")
	return keyID.MatchString(id) && strings.HasSuffix(fingerprint, id)
}

var keyID = regexp.MustCompile(`^[0-9a-f]{16,}$`)

// hasAddress reports whether the address, with or without what is around one in a user id, is one of the key's, which its owner has not
// revoked by now: of several user ids with the same address one that stands is enough.
func hasAddress(key *openpgp.Entity, address string, now time.Time) bool {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "<"), ">")
	for _, id := range key.Identities {
		if id.UserId.Email == "" || !strings.EqualFold(id.UserId.Email, address) {
			continue
		}
		for _, revocation := range id.Revocations {
			revocation.Valid = nil // the library keeps what held when it was first asked: one whose time was yet to come would never count
		}
		if _, err := id.Verify(now, openPGPConfig()); err == nil {
			return true
		}
	}
	return false
}
