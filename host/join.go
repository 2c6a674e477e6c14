package host

import (
	"context"
	"errors"
	"syscall"

	"keytrustee/certs"
	"keytrustee/postgres"
	"keytrustee/replication"
)

// JoinOptions say how a host joins. Token nil is proof by what the host has: in the original's way the root key of a confdir
// that was copied from the active, in a re-clone the cluster certificate of the passive that it is.
type JoinOptions struct {
	Kind   JoinKind // empty: NewPassive
	Token  *certs.Token
	Active string // the address of the host that admits: the active's, in a restore the survivor's; empty: the token's
	// Name and Address of this host; empty: the other host settles them.
	Name, Address string
	// Former is where the data lies that this host has, if PGRoot is another place, for the copy; empty: in PGRoot.
	Former string
	// Ports of this host where they are given; 0: as the other host's.
	Port, ClusterPort, DBPort int
	// Configure saves node.yaml with what was learned, and returns the Host as it is configured from now on.
	Configure func(Learned) (*Host, error)
	// Linked returns nil when no row is missing in the database of the server that another row speaks of. A restore asks it of its copy; nil:
	// nobody does.
	Linked   func(context.Context, *postgres.Server) error
	Progress Progress
}

// Learned is what a joiner did not know before.
type Learned struct {
	Name, Address string // its own
	Active        Peer   // who admitted it
}

// join is one attempt.
type join struct {
	*Host
	o      JoinOptions
	inst   postgres.Installation
	server *postgres.Server
	had    *replication.State // what this host was; nil: of no pair
	begun  string             // the copy that an earlier attempt was making, which broke off

	incarnation           string
	clusterKey, publicKey []byte // PEM
	answer                *joinAnswer
	recovered             replication.Recovered // of a restore
}

// Join makes this host what o.Kind says, out of a copy of the other host's database. A new passive, and a re-clone: admitted by
// the active, given its certificates and wraps and the cluster's files, with a copy in PGRoot, verified file by file and never
// started. A restore: see restore.go. A new passive wants PGRoot empty or absent; otherwise what is there is moved aside and
// never deleted. When Join returns nil, this host can be started. After an error the confdir may hold the cluster's files, and a
// damaged copy lies beside PGRoot under a name that the error tells; repeating the command is safe, and Abort ends it.
func (h *Host) Join(ctx context.Context, o JoinOptions) error {
	if o.Kind == "" {
		o.Kind = NewPassive
	}
	j := &join{Host: h, o: o, incarnation: replication.NewIncarnation()}
	if err := j.check(ctx); err != nil {
		return err
	}
	steps := []step{{creating, j.create}, {bootstrapping, j.bootstrap}}
	if o.Kind != NewPassive {
		steps = append(steps, step{"moving aside", j.moveAside})
	}
	steps = append(steps, step{initialSync, j.copy}, step{verifying, j.verify})
	if o.Kind == Restore {
		steps = append(steps, step{recovering, j.recover})
	}
	steps = append(steps, step{completing, j.complete})
	release, err := j.lockData(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := j.check(ctx); err != nil { // the daemon may have changed the state before it ended
		return err
	}
	return h.operate(ctx, operations[o.Kind], steps...)
}

// lockData keeps this host's PostgreSQL, and its daemon, from being started while its data is exchanged. It refuses while that, or the daemon,
// runs: to stop them is the operator's to do.
func (h *Host) lockData(ctx context.Context) (release func(), err error) {
	if have, err := exists(h.NodeDir()); err != nil {
		return nil, err
	} else if !have { // nothing was ever run here
		return func() {}, nil
	}
	const stop = "stop the services of this host: systemctl stop keytrusteed keytrustee-db"
	lock, err := h.lockDB(ctx)
	if err != nil {
		if _, refused := errors.AsType[*HintedError](err); refused {
			return nil, hinted(stop, "%w", errors.Unwrap(err))
		}
		return nil, err
	}
	daemon, err := h.tryLock("daemon.lock")
	if err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, hinted(stop, "keytrusteed runs on this host")
		}
		return nil, err
	}
	return func() { daemon.Close(); lock.Close() }, nil
}

// stage tells the operator which stage begins.
func (j *join) stage(name string) { j.o.Progress.Stage(stageOf(j.o.Kind, name)) }

// point is where a crash may follow.
func (j *join) point(name string) error { return j.reached(operations[j.o.Kind] + ": " + name) }
