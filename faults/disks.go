package faults

import "slices"

// ackedDurable holds every copy of a host's disk against what had been acknowledged when it was taken.
func ackedDurable(h History) Finding {
	f, _ := counted(h, OnDisk, false)
	return f
}

// servedDurable holds what the survivor has, after the other's disk was destroyed, against all that was served before.
func servedDurable(h History) Finding {
	f, _ := counted(h, OnSurvivor, true)
	return f
}

// counted holds each census of that source, which it returns, against what was acknowledged, or served too, before it.
func counted(h History, source string, served bool) (f Finding, all []Event) {
	for _, census := range h.of(Census) {
		if census.Source == source {
			all = append(all, census)
			holds(h, census, &f, served)
		}
	}
	return f, all
}

// holds checks that a census has every version that was acknowledged, or served too, before it began, and that a key is deleted if that
// was acknowledged and nobody has tried to bring it back.
func holds(h History, census Event, f *Finding, served bool) {
	revived := map[string]bool{}
	for _, o := range h.Ops {
		if o.Kind == Undelete && o.Outcome != Unsent && o.Outcome != Refused && o.Invoked <= census.Until {
			revived[o.Key] = true
		}
	}
	for _, o := range h.Ops {
		if o.Returned >= census.At {
			continue
		}
		key, there := census.Keys[o.Key]
		switch {
		case o.acknowledged() && o.Kind == Delete && !revived[o.Key]:
			f.Judged++
			if !there || !key.Deleted {
				f.violated(o.Key, "%s's disk does not know that %s was deleted: %v; %v", census.Host, o.Key, o, census)
			}
		case o.acknowledged() && o.Kind.makes(), served && o.Outcome == Done && len(o.Served) > 0:
			f.Judged++
			for _, v := range o.Served {
				if v.Number >= key.Versions {
					f.violated(o.Key, "%s's disk has %d versions of %s, without %d: %v; %v", census.Host, key.Versions, o.Key, v.Number, o, census)
				} else if len(key.Hashes) > v.Number && key.Hashes[v.Number] != v.Hash {
					f.violated(o.Key, "%s's disk has other material: %v; %v", census.Host, o, census)
				}
			}
		}
	}
}

// unknownSettles holds the two hosts against each other and against all that was served, when the run has ended. Each serves what it has.
func unknownSettles(h History) Finding {
	f, ends := counted(h, AtTheEnd, true)
	if len(ends) < 2 {
		f.Void = append(f.Void, "the run has no census of both hosts at its end")
		return f
	}
	for _, end := range ends {
		for name, key := range end.Keys {
			f.Judged++
			if !key.Deleted && len(key.Hashes) != key.Versions {
				f.violated(name, "at the end %s has %d versions of %s, and serves %d", end.Host, key.Versions, name, len(key.Hashes))
			}
		}
	}
	for name, here := range ends[0].Keys {
		f.Judged++
		there, ok := ends[1].Keys[name]
		if !ok || here.Versions != there.Versions || here.Deleted != there.Deleted || !slices.Equal(here.Hashes, there.Hashes) {
			f.violated(name, "at the end %s has %s as %+v and %s as %+v", ends[0].Host, name, here, ends[1].Host, there)
		}
	}
	for name := range ends[1].Keys {
		if _, ok := ends[0].Keys[name]; !ok {
			f.violated(name, "at the end %s has %s, and %s has not", ends[1].Host, name, ends[0].Host)
		}
	}
	return f
}
