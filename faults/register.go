package faults

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// register is what a key is, for the model that histories are held against.
type register struct {
	exists, deleted bool
	versions        []string // hashes of their material
}

// unnamed stands for material that the server chose for a write of unknown outcome: the first read that shows it names it.
const unnamed = "?"

func (r register) live() bool { return r.exists && !r.deleted }

// with returns r with one more version. It shares nothing with r that a change could alter.
func (r register) with(hash string) register {
	r.versions = append(slices.Clone(r.versions), hash)
	return r
}

// shows returns r as it is known after a host has shown these versions, and whether r may be shown so.
func (r register) shows(served []Served) (register, bool) {
	r.versions = slices.Clone(r.versions)
	for _, v := range served {
		if v.Number >= len(r.versions) || r.versions[v.Number] != v.Hash && r.versions[v.Number] != unnamed {
			return r, false
		}
		r.versions[v.Number] = v.Hash
	}
	return r, true
}

// step says whether the operation may have ended as it did on r, and what r is then. One of unknown outcome may always have: it changes r if
// it can. As it has no end, it may also stand behind everything else, and so have done nothing.
func (r register) step(o Op) (bool, register) {
	if o.Kind.writes() {
		return r.write(o)
	}
	if o.Outcome == Absent {
		return !r.live() || o.Kind == Version && o.Number >= len(r.versions), r
	}
	after, may := r.shows(o.Served)
	last := len(r.versions) - 1
	switch o.Kind {
	case Current:
		may = may && len(o.Served) == 1 && o.Served[0].Number == last
	case Versions:
		may = may && len(o.Served) == last+1
	}
	return may && r.live(), after
}

func (r register) write(o Op) (bool, register) {
	after, can := r, false
	switch o.Kind {
	case Create:
		if can = !r.exists; can {
			after = register{exists: true}.with(material(o))
		}
	case Roll:
		if can = r.live(); can {
			after = r.with(material(o))
		}
	case Delete:
		if can = r.live(); can {
			after.deleted = true
		}
	case Undelete:
		if can = r.exists && r.deleted; can {
			after.deleted = false
		}
	}
	switch o.Outcome {
	case Failed:
		return !can, r
	case Unknown:
		return true, after
	}
	return can && (len(o.Served) == 0 || o.Served[0].Number == len(after.versions)-1), after
}

// material is the hash of what the write makes, as far as anybody knows it.
func material(o Op) string {
	if len(o.Served) > 0 {
		return o.Served[0].Hash
	}
	if o.Given != "" {
		return o.Given
	}
	return unnamed
}

// model is register as porcupine wants it. The input is the whole Op.
var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		may, after := state.(register).step(input.(Op))
		return may, after
	},
	Equal: func(a, b any) bool {
		x, y := a.(register), b.(register)
		return x.exists == y.exists && x.deleted == y.deleted && slices.Equal(x.versions, y.versions)
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}
