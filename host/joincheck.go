package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// check refuses what is known to fail, before anything is changed.
func (j *join) check(ctx context.Context) error {
	state, err := replication.OpenState(j.StateFile())
	if err == nil {
		had := state.Current()
		j.had = &had
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := j.checkDuty(); err != nil {
		return err
	}
	if j.inst, err = postgres.Find(ctx); err != nil {
		return err
	}
	journal, err := j.Journal()
	if err != nil {
		return err
	}
	if journal != nil && journal.Operation == operations[j.o.Kind] {
		j.begun = journal.Incarnation
	}
	if j.o.Kind == NewPassive || j.had == nil {
		if err := j.checkEmpty(journal); err != nil {
			return err
		}
	}
	return j.checkProof()
}

// checkDuty refuses a host that is not what a join of that kind is for.
func (j *join) checkDuty() error {
	s := j.had
	switch kind := j.o.Kind; {
	case s == nil && kind == Reclone:
		return hinted("join it: ktadmin init-slave --token-file FILE, with a token of ktadmin join-token on the active", "this host is of no pair: there is nothing to re-clone")
	case s == nil:
		return nil
	case kind == NewPassive && s.Duty == replication.Active && s.Fenced != nil:
		peer := "the other host"
		if s.Peer != nil {
			peer = s.Peer.Name
		}
		return hinted("if "+peer+" is the active now, and not fenced: ktadmin init-slave --reclone --token-file FILE, with a token of ktadmin join-token on "+peer+"; what is here is moved aside",
			"this host was the active, and is fenced: %s", s.Fenced.Detail)
	case kind == NewPassive && s.Duty == replication.Active:
		return hinted("nothing was changed. Run ktadmin init-slave on the host that is to be the passive. If another host was promoted in the place of this one, start the services here: it fences itself; "+
			"then ktadmin init-slave --reclone here", "this host is the active of a pair")
	case kind == Reclone && s.Duty == replication.Active && s.Fenced == nil:
		return hinted("start its services: if another host has taken its place, it finds out and fences itself, and can be re-cloned then",
			"this host is the active of a pair, and nothing says that another one has taken its place")
	case kind == Restore && s.Duty == replication.Passive:
		return hinted("nothing was changed. If the active is gone this host has the good copy: leave it as it is, and run the command on the host of the active; the token for it comes from ktadmin join-token here",
			"this host is the passive of a pair; its active is restored on the active's own host")
	}
	return nil
}

// checkEmpty refuses a data directory that holds what is not known here.
func (j *join) checkEmpty(journal *Journal) error {
	entries, err := os.ReadDir(j.PGRoot)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && (journal == nil || journal.Making != j.PGRoot) {
		hint := "move it aside, or name another one with --pg-rootdir; nothing was changed"
		if j.had != nil {
			hint = "to replace this host's data, which is moved aside: ktadmin init-slave --reclone; nothing was changed"
		}
		return hinted(hint, "the directory %s is not empty", j.PGRoot)
	}
	return nil
}

// checkProof refuses a host that has nothing to be believed for.
func (j *join) checkProof() error {
	done, err := j.Initialized()
	own, cerr := j.authorityCertificate()
	switch t := j.o.Token; {
	case t == nil && j.o.Kind == Restore:
		return hinted("run ktadmin join-token on the passive, and give the token with --token-file", "there is no join token")
	case t == nil && j.o.Kind == Reclone:
		if _, err := j.ownKey(); err != nil || j.had.Duty != replication.Passive || j.had.Peer == nil {
			return hinted("run ktadmin join-token --replace on the active, and give the token with --token-file",
				"this host can not show that it is the passive: it needs a join token")
		}
		return nil
	case err != nil && t == nil:
		return err
	case !done && t == nil:
		return hinted("copy it from the active (rsync --exclude .ssl), or give a token of ktadmin join-token with --token-file",
			"there is neither a join token nor a copied %s", j.Confdir)
	case cerr == nil && t != nil && certs.FingerprintOf(own) != t.Authority:
		return hinted("use a token of that cluster, or move "+j.Confdir+" aside", "the join token is of another cluster than %s", j.Confdir)
	case t != nil && t.Expired(time.Now()):
		return hinted("make another one with ktadmin join-token", "this join token expired at %s", stamp(t.Expires))
	}
	return nil
}
