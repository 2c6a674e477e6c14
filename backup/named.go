package backup

import (
	"regexp"
	"slices"
	"strings"
)

// Named reports whether id names one of the recipients: one of age by itself, an OpenPGP key by its fingerprint or by the last 16 digits or
// more of it. Fewer digits name a key that anybody can make.
func (r Recipients) Named(id string) bool {
	return slices.ContainsFunc(r.texts, func(text string) bool { return names(id, text) })
}

func names(id, text string) bool {
	id = strings.ToLower(strings.TrimSpace(id))
	text = strings.ToLower(text)
	fingerprint, ofOpenPGP := strings.CutPrefix(text, "openpgp:")
	if !ofOpenPGP {
		return id == text
	}
	id = strings.TrimPrefix(strings.ReplaceAll(strings.TrimPrefix(id, "openpgp:"), " ", ""), "0x")
	return keyID.MatchString(id) && strings.HasSuffix(fingerprint, id)
}

var keyID = regexp.MustCompile(`^[0-9a-f]{16,}$`)
