package auth

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keytrustee/kms"
)

// typeSimple is the type of the cookies that Simple makes and believes.
const typeSimple = "simple-dt"

// Config is what a Simple is made of.
type Config struct {
	// Secrets returns the pair's cookie secrets. It is asked for each request and does no I/O; its error (a
	// *kms.ReadOnlyError while they are not loaded) is what the client is told. Required.
	Secrets func() (Secrets, error)

	Validity   time.Duration    // of a cookie; 0 means 10 h
	Domain     string           // of the cookie; empty: none
	Path       string           // of the cookie; empty: none
	Persistent bool             // the cookie carries Expires
	Now        func() time.Time // nil means time.Now
}

// Simple is Hadoop's pseudo authentication. Its methods may be called concurrently.
type Simple struct{ Config }

// New returns a Simple.
func New(c Config) (*Simple, error) {
	if c.Secrets == nil {
		return nil, errors.New("auth.Config.Secrets is missing")
	}
	if c.Validity == 0 {
		c.Validity = 10 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Simple{c}, nil
}

// Authenticate returns who sends r. It puts what belongs to it into the headers of the answer, whatever that will be: a
// cookie when the client gave its name, its erasure when nobody was proven. The error is an *Error, a *kms.DeniedError for
// a user that may not act for another, an *kms.InvalidError, or what Secrets returned.
func (s *Simple) Authenticate(h http.Header, r *http.Request) (kms.Principal, error) {
	secrets, err := s.Secrets()
	if err != nil {
		return kms.Principal{}, err
	}
	query := r.URL.Query()
	t, err := s.prove(secrets, query, r)
	if err != nil {
		var refused *Error
		if errors.As(err, &refused) && refused.LoginAgain() {
			h.Set("WWW-Authenticate", "PseudoAuth")
			h.Add("Set-Cookie", s.setCookie("", time.Unix(0, 0), r))
		}
		return kms.Principal{}, err
	}
	if t.fresh {
		expires := time.UnixMilli(t.Expires)
		h.Add("Set-Cookie", s.setCookie(`"`+sign(t.String(), secrets.Current)+`"`, expires, r))
	}
	full := strings.Clone(t.Principal) // of a request that may be much larger, and is not to live as long as the name
	p := kms.Principal{Short: shortName(full), Full: full, Method: kms.Simple, Addr: address(r)}
	return p, impersonate(p, query)
}

// proven is a ticket, and whether the client is yet to be given it.
type proven struct {
	ticket
	fresh bool
}

func (s *Simple) prove(secrets Secrets, query url.Values, r *http.Request) (proven, error) {
	t, cookieFault := s.fromCookie(secrets, r)
	if cookieFault == nil {
		return proven{ticket: t}, nil
	}
	if _, sent := r.Header["X-Hadoop-Delegation-Token"]; sent || query.Has("delegation") {
		return proven{}, &Error{Sentence: "delegation tokens are not accepted by this server; log in by name"}
	}
	if !query.Has("user.name") {
		return proven{}, cookieFault
	}
	name := query.Get("user.name")
	if fault := checkName(name); fault != "" {
		return proven{}, loginAgain("user.name " + fault)
	}
	expires := s.Now().Add(s.Validity).UnixMilli()
	return proven{ticket{User: name, Principal: name, Type: typeSimple, MaxInactive: -1, Expires: expires}, true}, nil
}

func (s *Simple) fromCookie(secrets Secrets, r *http.Request) (ticket, error) {
	value, found := cookieValue(r.Header["Cookie"], cookieName)
	if !found {
		return ticket{}, loginAgain("Authentication required")
	}
	if value == "" {
		return ticket{}, loginAgain("Unauthorized access")
	}
	text, err := unsign(value, secrets)
	if err != nil {
		return ticket{}, loginAgain(err.Error())
	}
	t, err := parseTicket(text)
	switch {
	case err != nil:
		return ticket{}, loginAgain(err.Error())
	case t.Type != typeSimple:
		return ticket{}, loginAgain("Invalid AuthenticationToken type")
	case checkName(t.Principal) != "":
		return ticket{}, loginAgain("Invalid authentication token: the principal " + checkName(t.Principal))
	case t.expired(s.Now()):
		return ticket{}, loginAgain("AuthenticationToken expired")
	}
	return t, nil
}

// maxName bounds the name of a user: it is kept with each key that the user makes and in each line of the audit log.
const maxName = 512

// checkName says what is wrong with the name of a user, or nothing. A control character would be changed on its way to
// the client and back, and the signature with it.
func checkName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxName:
		return "is longer than " + strconv.Itoa(maxName) + " bytes"
	case strings.Contains(name, "&"):
		return "contains &"
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "contains a control character"
	case shortName(name) == "":
		return "has no short name"
	}
	return ""
}

// shortName is what comes before the instance and the realm: client of client/host@REALM.
func shortName(principal string) string {
	if cut := strings.IndexAny(principal, "/@"); cut >= 0 {
		return principal[:cut]
	}
	return principal
}

// impersonate refuses a request in which p acts for another user: nobody is a proxy user. Oneself needs the right too.
func impersonate(p kms.Principal, query url.Values) error {
	for name, values := range query {
		if !strings.EqualFold(name, "doAs") {
			continue
		}
		if values[0] == "" {
			return &kms.InvalidError{Field: "doAs", Reason: "is empty; name the user to act for, or leave it out"}
		}
		return &kms.DeniedError{Sentence: "User: " + p.Full + " is not allowed to impersonate " + values[0]}
	}
	return nil
}

// setCookie is the header as Hadoop writes it: http.SetCookie would quote and drop by rules of its own.
func (s *Simple) setCookie(value string, expires time.Time, r *http.Request) string {
	c := cookieName + "=" + value
	if s.Path != "" {
		c += "; Path=" + s.Path
	}
	if s.Domain != "" {
		c += "; Domain=" + s.Domain
	}
	if s.Persistent {
		c += "; Expires=" + expires.UTC().Format("Mon, 02-Jan-2006 15:04:05 GMT")
	}
	if r.TLS != nil {
		c += "; Secure"
	}
	return c + "; HttpOnly"
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
