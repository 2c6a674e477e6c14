package faults

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// A key leaves the pool before the order of its operations gets hard to search for.
const (
	poolSize    = 30
	usesOfAKey  = 60
	doubtsOfKey = 3
)

// pool is the keys that all clients work on at a time. It may be used concurrently.
type pool struct {
	seed uint64

	mu   sync.Mutex // guards what follows
	made int
	keys []*pooled
	old  []string // that left it
}

type pooled struct {
	name     string
	uses     int
	doubts   int
	versions int  // that were acknowledged
	deleted  bool // as far as the last answer said
}

// next returns the name of a key for the client, and whether it has to be made first.
func (p *pool) next(random *rand.Rand) (name string, create bool, k pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.keys) < poolSize || random.IntN(8) == 0 {
		name = fmt.Sprintf("s%d-%d", p.seed, p.made)
		p.made++
		return name, true, pooled{name: name}
	}
	at := p.keys[random.IntN(len(p.keys))]
	at.uses++
	return at.name, false, *at
}

// older returns a key that has left the pool, if there is one: it is read now and then.
func (p *pool) older(random *rand.Rand) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.old) == 0 {
		return "", false
	}
	return p.old[random.IntN(len(p.old))], true
}

// heard takes note of how a write ended.
func (p *pool) heard(o Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var k *pooled
	for _, known := range p.keys {
		if known.name == o.Key {
			k = known
		}
	}
	if k == nil {
		if !o.Kind.makes() || !o.mayChange() {
			return
		}
		k = &pooled{name: o.Key}
		p.keys = append(p.keys, k)
	}
	switch {
	case o.Outcome == Unknown:
		k.doubts++
	case o.Outcome == Done && o.Kind.makes():
		k.versions = o.Served[0].Number + 1
	case o.Outcome == Done:
		k.deleted = o.Kind == Delete
	}
	if k.doubts < doubtsOfKey && k.uses < usesOfAKey && len(p.keys) <= poolSize {
		return
	}
	for i, known := range p.keys {
		if worn := known.doubts >= doubtsOfKey || known.uses >= usesOfAKey; worn || known.name == p.keys[0].name && len(p.keys) > poolSize {
			p.old = append(p.old, known.name)
			p.keys = append(p.keys[:i:i], p.keys[i+1:]...)
			return
		}
	}
}
