package faults

// noEquivocation: a version, once shown, has that material for ever and on either host; material that a client chose belongs to the version
// that it was acknowledged as; one request id makes one version.
func noEquivocation(h History) Finding {
	var f Finding
	type version struct {
		key    string
		number int
	}
	shown := map[version]Op{} // who first saw it
	hashes := map[version]string{}
	made := map[string]Served{} // by request id
	see := func(o Op, v Served) {
		f.Judged++
		at := version{o.Key, v.Number}
		if first, again := hashes[at]; again && first != v.Hash {
			f.violated(o.Key, "%s@%d has two materials: %v; %v", o.Key, v.Number, shown[at], o)
		} else if !again {
			hashes[at], shown[at] = v.Hash, o
		}
	}
	for _, o := range h.Ops {
		for _, v := range o.Served {
			see(o, v)
		}
		if !o.acknowledged() || !o.Kind.makes() || len(o.Served) == 0 {
			continue
		}
		v := o.Served[0]
		if o.Given != "" && v.Hash != o.Given {
			f.violated(o.Key, "acknowledged with material that the client did not send: %v", o)
		}
		if o.RequestID == "" {
			continue
		}
		if first, again := made[o.RequestID]; again && first != v {
			f.violated(o.Key, "request id %s made version %d, and is told of version %d: %v", o.RequestID, first.Number, v.Number, o)
		}
		made[o.RequestID] = v
	}
	twice(h, &f)
	return f
}

// twice looks for material of one request, known by its id, in two versions.
func twice(h History, f *Finding) {
	once := map[string]bool{} // material that was sent under a request id
	for _, o := range h.Ops {
		if o.Given != "" && o.RequestID != "" {
			once[o.Given] = true
		}
	}
	places := map[string]int{}
	for _, o := range h.Ops {
		for _, v := range o.Served {
			if !once[v.Hash] {
				continue
			}
			if number, seen := places[v.Hash]; seen && number != v.Number {
				f.violated(o.Key, "one request made versions %d and %d of %s: %v", number, v.Number, o.Key, o)
			}
			places[v.Hash] = v.Number
		}
	}
}

// refusedIsAbsent: what no delivery of a write may have done never appears. Material that the client chose tells whose a version is; a
// creation whose every delivery was turned away leaves no key.
func refusedIsAbsent(h History) Finding {
	var f Finding
	attempted, attemptedKey := map[string]bool{}, map[string]bool{} // by material; by key
	refused, refusedKey := map[string]Op{}, map[string]Op{}
	for _, o := range h.Ops {
		switch {
		case o.mayChange() && o.Kind.makes():
			attempted[o.Given] = true
			attemptedKey[o.Key] = true
		case o.Kind.makes():
			if o.Given != "" {
				refused[o.Given] = o
			}
			if o.Kind == Create {
				refusedKey[o.Key] = o
			}
		}
	}
	f.Judged = len(refused) + len(refusedKey)
	appears := func(key, hash string, number int, where any) {
		if o, wrong := refused[hash]; wrong && !attempted[hash] {
			f.violated(key, "%s@%d is of a write that was not attempted: %v; %v", key, number, o, where)
		}
		if o, wrong := refusedKey[key]; wrong && !attemptedKey[key] {
			f.violated(key, "%s exists, whose creation was never attempted: %v; %v", key, o, where)
		}
	}
	for _, o := range h.Ops {
		for _, v := range o.Served {
			appears(o.Key, v.Hash, v.Number, o)
		}
	}
	for _, census := range h.of(Census) {
		for name, key := range census.Keys {
			if key.Versions > 0 && len(key.Hashes) == 0 {
				appears(name, "", 0, census)
			}
			for number, hash := range key.Hashes {
				appears(name, hash, number, census)
			}
		}
	}
	return f
}
