package kms

// Method says how a principal was proven.
type Method string

// Simple: it said so (user.name), or a cookie that came of that.
const Simple Method = "simple"

// Principal is who calls. Policy looks at Short, audit prints Full.
type Principal struct {
	Short  string     // the name that access rules use
	Full   string     // as it was proven, such as client/host@REALM
	Real   *Principal // the proxy user that acts for this one, if any
	Method Method
	Addr   string // the client's address, without port
}

// Identity is one text for one principal with the proxy user that acts for it and the way it was proven: two deliveries
// of a request come from the same caller only if it is equal.
func (p Principal) Identity() string {
	s := string(p.Method) + "\x00" + p.Full
	if p.Real != nil {
		s += "\x00" + p.Real.Identity()
	}
	return s
}

// By is the principal as changes are signed with it: its full name, and who acted for it.
func (p Principal) By() string {
	if p.Real == nil {
		return p.Full
	}
	return p.Full + " via " + p.Real.By()
}
