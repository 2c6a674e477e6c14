package kmstest

import (
	"maps"
	"sync"

	"keytrustee/kms"
)

// Policy allows everybody everything, but what a test denies. As Hadoop's rules do, it gives a new key the attribute
// key.acl.name.
type Policy struct {
	mu     sync.Mutex
	denied map[[2]string]bool
}

// Deny takes a right from a user: string(kms.Op), or KeyOp of a right on keys.
func (p *Policy) Deny(user string, op string) { p.set(user, op, true) }

// Permit gives it back.
func (p *Policy) Permit(user string, op string) { p.set(user, op, false) }

func (p *Policy) set(user, op string, denied bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.denied == nil {
		p.denied = map[[2]string]bool{}
	}
	p.denied[[2]string{user, op}] = denied
}

func (p *Policy) allows(user, op string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.denied[[2]string{user, op}]
}

// KeyOp is how Deny and Permit spell a right on a key, since both kinds share names.
func KeyOp(op kms.KeyOp) string { return "key " + string(op) }

// Allows is kms.Policy's.
func (p *Policy) Allows(who kms.Principal, op kms.Op) bool { return p.allows(who.Short, string(op)) }

// AllowsKey is kms.Policy's.
func (p *Policy) AllowsKey(who kms.Principal, op kms.KeyOp, _ string) bool {
	return p.allows(who.Short, KeyOp(op))
}

// AllowsCreate is kms.Policy's.
func (p *Policy) AllowsCreate(who kms.Principal, name kms.KeyName, attributes map[string]string) (map[string]string, bool) {
	if !p.allows(who.Short, KeyOp(kms.KeyManagement)) {
		return nil, false
	}
	all := maps.Clone(attributes)
	if all == nil {
		all = map[string]string{}
	}
	if _, ok := all[kms.ACLAttribute]; !ok {
		all[kms.ACLAttribute] = string(name)
	}
	return all, true
}
