//lint:file-ignore ST1005 the texts are those of Hadoop, which its clients show

package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// cookieName is the cookie that Hadoop's clients keep and read.
const cookieName = "hadoop.auth"

// Secrets sign cookies. Previous is empty when there is none; it verifies and signs nothing.
type Secrets struct{ Current, Previous []byte }

// ticket is what a cookie says, Hadoop's AuthToken.
type ticket struct {
	User        string // u: the name that access rules use
	Principal   string // p: as it was proven
	Type        string // t: how
	MaxInactive int64  // i: milliseconds since 1970; -1 is never
	Expires     int64  // e: the same
}

// String is the ticket's text, without a signature.
func (t ticket) String() string {
	s := "u=" + t.User + "&p=" + t.Principal + "&t=" + t.Type
	if t.MaxInactive != -1 {
		s += "&i=" + strconv.FormatInt(t.MaxInactive, 10)
	}
	return s + "&e=" + strconv.FormatInt(t.Expires, 10)
}

func (t ticket) expired(now time.Time) bool {
	ms := now.UnixMilli()
	return t.MaxInactive != -1 && ms > t.MaxInactive || t.Expires != -1 && ms > t.Expires
}

// parseTicket reads a ticket's text: attributes in any order, unknown ones ignored, the last of a name counts.
func parseTicket(s string) (ticket, error) {
	attributes := map[string]string{}
	for part := range strings.SplitSeq(s, "&") {
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return ticket{}, errors.New("Invalid authentication token")
		}
		attributes[name] = value
	}
	t := ticket{User: attributes["u"], Principal: attributes["p"], Type: attributes["t"], MaxInactive: -1}
	if t.User == "" || t.Principal == "" || t.Type == "" || attributes["e"] == "" {
		return ticket{}, errors.New("Invalid token string, missing attributes")
	}
	var err error
	if t.Expires, err = strconv.ParseInt(attributes["e"], 10, 64); err != nil {
		return ticket{}, errors.New("Invalid token string, e is not a number")
	}
	if i, ok := attributes["i"]; ok {
		if t.MaxInactive, err = strconv.ParseInt(i, 10, 64); err != nil {
			return ticket{}, errors.New("Invalid token string, i is not a number")
		}
	}
	return t, nil
}

// sign returns text with its signature.
func sign(text string, secret []byte) string { return text + "&s=" + signature(text, secret) }

func signature(text string, secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// unsign returns the text that was signed with one of the secrets.
func unsign(signed string, s Secrets) (string, error) {
	cut := strings.LastIndex(signed, "&s=")
	if cut < 0 {
		return "", errors.New("Invalid signed text")
	}
	text, got := signed[:cut], []byte(signed[cut+len("&s="):])
	for _, secret := range [][]byte{s.Current, s.Previous} {
		if len(secret) > 0 && hmac.Equal(got, []byte(signature(text, secret))) {
			return text, nil
		}
	}
	return "", errors.New("Invalid signature")
}

// cookieValue returns the value of the first cookie of that name in the Cookie headers, without quotes. net/http drops a
// value with a byte above 127, or a semicolon between its quotes; Hadoop's users may have such names.
func cookieValue(headers []string, name string) (string, bool) {
	for _, h := range headers {
		for h != "" {
			h = strings.TrimLeft(h, " \t;")
			var value string
			equals := strings.IndexAny(h, "=;")
			if equals < 0 || h[equals] == ';' {
				_, h, _ = strings.Cut(h, ";")
				continue
			}
			found := h[:equals]
			value, h = cutValue(h[equals+1:])
			if strings.TrimRight(found, " \t") == name {
				return value, true
			}
		}
	}
	return "", false
}

// cutValue cuts a cookie's value off s. A quoted one ends at the quote before a semicolon or the end.
func cutValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		for end := 1; end < len(s); end++ {
			if s[end] != '"' {
				continue
			}
			if after := strings.TrimLeft(s[end+1:], " \t"); after == "" || after[0] == ';' {
				return s[1:end], after
			}
		}
	}
	value, rest, _ = strings.Cut(s, ";")
	return strings.Trim(value, " \t"), rest
}
