package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"keytrustee/kms"
)

// PrincipalHeader carries a principal that the passive has proven to the active. It means something on the cluster
// listener only, whose clients are hosts of the pair; the public one never looks at it.
const PrincipalHeader = "X-Keytrustee-Principal"

// asserted is a principal on its way between the hosts.
type asserted struct {
	Short  string     `json:"short"`
	Full   string     `json:"full"`
	Method kms.Method `json:"method"`
	Addr   string     `json:"addr"`
	Real   *asserted  `json:"real,omitempty"`
}

// Assert says in h that p sends the request. It replaces what h said before.
func Assert(h http.Header, p kms.Principal) {
	text, err := json.Marshal(toAsserted(p))
	if err != nil {
		panic("a principal has no JSON: " + err.Error()) // strings alone: can not happen
	}
	h.Set(PrincipalHeader, base64.RawURLEncoding.EncodeToString(text))
}

// Peer believes what the other host asserts. It must stand behind mutual TLS.
type Peer struct{}

// Authenticate returns the principal that the request's header asserts; the error is an *Error.
func (Peer) Authenticate(_ http.Header, r *http.Request) (kms.Principal, error) {
	text, err := base64.RawURLEncoding.DecodeString(r.Header.Get(PrincipalHeader))
	if err != nil {
		return kms.Principal{}, &Error{Sentence: PrincipalHeader + " is not base64"}
	}
	var a asserted
	if err := json.Unmarshal(text, &a); err != nil {
		return kms.Principal{}, &Error{Sentence: PrincipalHeader + " is not a principal"}
	}
	for p := &a; p != nil; p = p.Real {
		if p.Short == "" || p.Full == "" || p.Method == "" {
			return kms.Principal{}, &Error{Sentence: PrincipalHeader + " lacks a name or a method"}
		}
	}
	return a.principal(), nil
}

func toAsserted(p kms.Principal) *asserted {
	a := &asserted{Short: p.Short, Full: p.Full, Method: p.Method, Addr: p.Addr}
	if p.Real != nil {
		a.Real = toAsserted(*p.Real)
	}
	return a
}

func (a *asserted) principal() kms.Principal {
	p := kms.Principal{Short: a.Short, Full: a.Full, Method: a.Method, Addr: a.Addr}
	if a.Real != nil {
		real := a.Real.principal()
		p.Real = &real
	}
	return p
}
