package replication_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// pair is two servers and two monitors in this process, which talk over mutual TLS on loopback.
type pair struct {
	t               *testing.T
	dir             string
	ca              *pgtest.Authority
	active, passive *host
}

// newPair returns a pair whose gate is open.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, dir: pgtest.Dir(t), ca: pgtest.NewAuthority(t)}
	root := make([]byte, 32)
	rand.Read(root)

	a := p.newHost("kt01", root)
	p.active = a
	if err := a.server.Init(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	control, err := postgres.ReadControl(t.Context(), a.server.Installation, a.server.Data)
	if err != nil {
		t.Fatal(err)
	}
	a.create(replication.State{Self: a.name, Duty: replication.Active, Epoch: replication.NewEpoch(1), SystemID: control.SystemID, Incarnation: replication.NewIncarnation()})
	a.startServer()
	conn := a.connect()
	if err := replication.Bootstrap(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	err = replication.Control(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "create table item (id uuid primary key, xid xid8 not null, material bytea not null); create table noise (a int, v text)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a.startDaemon()
	a.awaitReason(replication.NoPassive)

	p.passive = p.newHost("kt02", root)
	p.join(p.passive, false)
	a.awaitReason(replication.SyncNotEnabled)
	p.enable()
	p.awaitOpen()
	return p
}

// enable makes replication synchronous, as soon as the passive streams.
func (p *pair) enable() {
	p.t.Helper()
	await(p.t, "synchronous replication", func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
		defer cancel()
		return p.active.monitor.EnableSync(ctx)
	})
}

// join clones the active to b and starts b.
func (p *pair) join(b *host, replace bool) {
	p.t.Helper()
	p.clone(b, replace)
	b.startServer()
	b.startDaemon()
}

// clone admits b and makes it a copy of the active, which is not started.
func (p *pair) clone(b *host, replace bool) {
	p.t.Helper()
	a, t := p.active, p.t
	incarnation := replication.NewIncarnation()
	admission, err := a.monitor.Admit(t.Context(), replication.Joiner{Replace: replace,
		Peer: replication.Peer{Name: b.name, Address: "127.0.0.1", ClusterPort: b.port, DatabasePort: b.server.Port, Incarnation: incarnation}})
	if err != nil {
		t.Fatal(err)
	}
	source := postgres.ConnString("host", "127.0.0.1", "port", strconv.Itoa(a.server.Port), "user", postgres.Replicator, "application_name", admission.StandbyName,
		"sslmode", "verify-full", "sslrootcert", b.server.TLS.CA, "sslcert", b.server.TLS.Cert, "sslkey", b.server.TLS.Key)
	err = postgres.BaseBackup(pgtest.Context(t), b.server.Installation,
		postgres.BaseBackupOptions{ConnString: source, Slot: admission.Slot, Target: b.server.Data, RunAs: b.server.RunAs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.SetSignal(postgres.StandbySignal); err != nil {
		t.Fatal(err)
	}
	b.create(replication.State{Self: b.name, Duty: replication.Passive, Epoch: admission.Epoch, SystemID: admission.SystemID, Incarnation: incarnation,
		Peer: &replication.Peer{Name: a.name, Address: "127.0.0.1", ClusterPort: a.port, DatabasePort: a.server.Port, Incarnation: admission.Active.Incarnation}})
}

func (p *pair) newHost(name string, root []byte) *host {
	t := p.t
	t.Helper()
	h := &host{t: t, name: name, dir: filepath.Join(p.dir, name), port: pgtest.FreePort(t)}
	user := pgtest.User(t)
	for _, dir := range []string{h.dir, filepath.Join(h.dir, "node")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		chown(t, user, dir)
	}
	files := p.ca.Issue(t, name)
	var err error
	if h.tls, err = tls.LoadX509KeyPair(files.Cert, files.Key); err != nil {
		t.Fatal(err)
	}
	h.pool = p.ca.Pool
	h.server = pgtest.Server(t, pgtest.Options{TLS: files, Listen: []string{"127.0.0.1"}, Dir: h.dir})
	h.prover = newProver(t, h.server, root)
	return h
}

func chown(t *testing.T, u *postgres.OSUser, path string) {
	t.Helper()
	if u == nil {
		return
	}
	if err := os.Chown(path, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
}

// await polls until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > 40*time.Second {
			t.Fatalf("no %s after %s: %v", what, time.Since(began).Round(time.Second), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *pair) awaitOpen() time.Duration {
	p.t.Helper()
	began := time.Now()
	await(p.t, "open gate", func() error {
		if closed := p.active.monitor.Gate().Closed(); closed != nil {
			return closed
		}
		return nil
	})
	return time.Since(began)
}

// awaitShut returns how long it took from since, and why.
func (p *pair) awaitShut(since time.Time) (time.Duration, *replication.ClosedError) {
	p.t.Helper()
	for time.Since(since) < 20*time.Second {
		if closed := p.active.monitor.Gate().Closed(); closed != nil {
			return time.Since(since), closed
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.t.Fatal("the gate stays open")
	return 0, nil
}
