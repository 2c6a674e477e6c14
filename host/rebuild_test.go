package host

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// lostPair is a pair of which nothing is left but a backup of its active and the recovery key.
type lostPair struct {
	*testing.T
	dead     *Host  // the active
	laid     string // the backup, as it is laid out
	backup   Backup
	was      replication.State
	recovery string
	checked  []string // the clusters whose keys were opened
	check    error    // what opening them says
	dump     bool     // the keys come from the dump
}

// newLostPair makes a pair, backs its active up, and destroys both; first, if it is not nil, is called before they are.
func newLostPair(t *testing.T, first func(a *activeHost, l *lostPair)) *lostPair {
	t.Helper()
	private, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	a := startActive(t)
	if err := a.Init(pgtest.Context(t), InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	other := passiveOf(t, a)
	if ring, err := seal.LoadWithRecovery(other.Confdir, private); err != nil || ring.Cluster() != a.ClusterID {
		t.Errorf("what the passive has the recovery key does not open: %v", err)
	}
	write(t, a.server)
	if err := a.state.Update(func(s *replication.State) error { s.SyncEnabled = true; return nil }); err != nil {
		t.Fatal(err)
	}

	l := &lostPair{T: t, dead: a.Host, laid: filepath.Join(pgtest.Dir(t), "laid"), recovery: private, was: a.monitor.State()}
	l.backup = Backup{Host: a.Name, Started: time.Now().UTC(), Keys: 1, Versions: 2, Major: a.server.Version.Major, Address: a.ExternalAddress, ClusterPort: a.ClusterPort}
	if err := os.Mkdir(l.laid, 0o700); err != nil {
		t.Fatal(err)
	}
	err = postgres.BaseBackup(pgtest.Context(t), a.server.Installation,
		postgres.BaseBackupOptions{ConnString: a.server.ConnString("postgres"), Target: filepath.Join(l.laid, "data")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.BackupFiles()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(l.laid, "config", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if first != nil {
		first(a, l)
	}
	a.end()
	if err := a.server.Stop(pgtest.Context(t), postgres.Immediate); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(a.Home()), os.RemoveAll(other.Home())); err != nil {
		t.Fatal(err)
	}
	return l
}

// write makes a table, as if nobody had to confirm it.
func write(t *testing.T, s *postgres.Server) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString(Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(pgtest.Context(t))
	for _, sql := range []string{"set synchronous_commit = local", "create table written as select 7 as n"} {
		if _, err := conn.Exec(pgtest.Context(t), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// options rebuild h from the backup. What an operator says is what has to be said.
func (l *lostPair) options(h *Host) RebuildOptions {
	return RebuildOptions{
		Unpack: func(_ context.Context, dir string) (Backup, error) {
			if out, err := exec.Command("cp", "-a", l.laid, dir).CombinedOutput(); err != nil {
				return Backup{}, errors.New(string(out))
			}
			b := l.backup
			b.Data, b.Config = filepath.Join(dir, "data"), filepath.Join(dir, "config")
			return b, nil
		},
		Recovery: l.recovery, Name: h.Name, Progress: new(stages), Confirm: "kt02 is powered off",
		Configure: func(n Learned) (*Host, error) {
			c := *h
			c.Name, c.ExternalAddress, c.Peer, c.ClusterID = n.Name, n.Address, Peer{Name: n.Active.Name, Address: n.Active.Address, Source: "127.0.0.1"}, l.dead.ClusterID
			c.Settings = settings{&c}
			return &c, c.Settings.SaveNode()
		},
		Check: func(_ context.Context, _ *postgres.Server, ring *seal.Keyring, dump bool) error {
			if dump != l.dump {
				l.Errorf("what was restored is held to be of the dump: %v", dump)
			}
			l.checked = append(l.checked, ring.Cluster())
			return l.check
		},
	}
}

// crashed is a bare host on which a restore with these options was killed at its n-th point. What it has left can not be started.
func (l *lostPair) crashed(t *testing.T, n int, options func(*Host) RebuildOptions) (*Host, RebuildOptions) {
	t.Helper()
	h := bareHost(t, l.dead)
	o := options(h)
	h.failpoint = crashAt(n)
	if _, err := h.Rebuild(pgtest.Context(t), o); !errors.Is(err, errCrash) {
		t.Fatalf("first: %v", err)
	}
	h.failpoint = nil
	if _, _, err := h.RunDB(t.Context()); err == nil {
		t.Fatal("what was left can be started")
	}
	return h, o
}

// rebuilt checks that h is the active of the lost pair, without a passive, and starts its database.
func (l *lostPair) rebuilt(t *testing.T, h *Host, other string) {
	t.Helper()
	if j, err := h.Journal(); j != nil || err != nil {
		t.Fatalf("journal %+v, %v", j, err)
	}
	s := stateOf(t, h.StateFile())
	if s.Self != h.Name || s.Duty != replication.Active || s.Peer != nil || s.Pending != nil || s.Operation != nil || !s.SyncEnabled || (s.SystemID == l.was.SystemID) == l.dump ||
		s.Epoch.Number <= l.was.Epoch.Number || s.Incarnation == l.was.Incarnation || s.Former == nil || s.Former.Name != other || s.Former.Key == "" {
		t.Fatalf("it was %+v and is %+v", l.was, s)
	}
	if !l.dump {
		if at, err := postgres.Forked(h.PGRoot, 2); err != nil || at != s.Confirmed.Position || at == 0 {
			t.Errorf("its timeline begins at %s, and %s is confirmed: %v", at, s.Confirmed.Position, err)
		}
	}
	if have, err := exists(filepath.Join(h.PGRoot, laid)); have || err != nil {
		t.Errorf("the backup lies in the data still: %v", err)
	}
	if marks, err := filepath.Glob(filepath.Join(h.PGRoot, ".restoring-*")); err != nil || len(marks) > 0 {
		t.Errorf("the data is marked as half made still: %q, %v", marks, err)
	}
	server := serve(t, h)
	if ask[bool](t, server, Database, "select pg_is_in_recovery()") {
		t.Error("it is a standby")
	}
	if got := ask[string](t, server, Database, "show synchronous_standby_names"); got != `"`+postgres.NoStandby+`"` {
		t.Errorf("commits wait for %s", got)
	}
	if got := ask[string](t, server, controlDatabase, "select number || '-' || id from control.epoch"); got != s.Epoch.String() {
		t.Errorf("the epoch of the database is %s", got)
	}
	if n := slots(t, server); n != 0 {
		t.Errorf("it keeps log in %d slots", n)
	}
	root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := seal.ParseRecovery(l.recovery)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{root.Public().Fingerprint(), recovery.Public().Fingerprint()}
	slices.Sort(want)
	wraps, err := seal.ReadWraps(h.Confdir)
	var have []string
	for _, w := range wraps {
		have = append(have, w.Recipient)
	}
	slices.Sort(have)
	if err != nil || !slices.Equal(have, want) {
		t.Errorf("there are wraps for %q in the confdir, want %q: %v", have, want, err)
	}
	if got := ask[[]string](t, server, controlDatabase, "select array_agg(recipient order by recipient) from control.kek_wraps"); !slices.Equal(got, want) {
		t.Errorf("there are wraps for %q in the database, want %q", got, want)
	}
	for _, f := range []certs.Files{h.ClusterFiles(), h.PublicFiles()} {
		if _, err := certs.NewReloader(f, nil); err != nil {
			t.Error(err)
		}
	}
	if err := h.CheckOwn(); err != nil {
		t.Error(err)
	}
	if st, err := h.Status(); err != nil || st.Recovery.String() != "confirmed" {
		t.Errorf("the recovery key is %s: %v", st.Recovery, err)
	}
	if len(l.checked) == 0 || l.checked[len(l.checked)-1] != l.dead.ClusterID {
		t.Errorf("opened were the keys of %q", l.checked)
	}
}

// untouched checks that nothing is left on a bare host but locks, and PostgreSQL's log and settings, which the next one replaces.
func untouched(t *testing.T, h *Host) {
	t.Helper()
	for path := range content(t, h.Home()) {
		if dir := filepath.Dir(path); filepath.Base(path) != "lock" && filepath.Ext(path) != ".lock" && dir != h.LogDir && dir != h.PGConf() {
			t.Errorf("%s is left", path)
		}
	}
}

func TestRebuildFromABackup(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	l := newLostPair(t, nil)
	var all []string
	t.Run("whole, and a passive joins", func(t *testing.T) {
		h := bareHost(t, l.dead)
		o := l.options(h)
		o.Confirm = ""
		looked, err := h.Rebuild(pgtest.Context(t), o)
		if err != nil || len(looked.Plan) == 0 || looked.Host != "kt01" {
			t.Fatalf("looking: %+v, %v", looked, err)
		}
		for _, f := range looked.Findings {
			if !f.OK {
				t.Errorf("against it: %+v", f)
			}
		}
		untouched(t, h)
		o.Confirm = "kt02 is powered off"
		all = points(t, h, func() error { _, err := h.Rebuild(pgtest.Context(t), o); return err })
		if said := o.Progress.(*stages).said; len(said) != 5 || said[4] != "restoring: completing (4/4)" {
			t.Errorf("stages %q", said)
		}
		h.ClusterID = l.dead.ClusterID
		l.rebuilt(t, h, "kt02")
		if n := ask[int](t, mustServer(t, h), Database, "select n from written"); n != 7 {
			t.Error("what was written is not there")
		}
		stopServer(t, h)
		a := &activeHost{Host: h}
		a.run(t)
		passive := newHost(t, "kt02", 2)
		if err := passive.joinWith(t, a, a.token(t)); err != nil {
			t.Fatal(err)
		}
		joined(t, passive, a)
		if _, err := h.Rebuild(pgtest.Context(t), o); err == nil || !strings.Contains(err.Error(), "no bare one") {
			t.Errorf("over a pair: %v", err)
		}
	})

	t.Run("under the name of the other host", func(t *testing.T) {
		h := newHost(t, "kt02", 2)
		o := l.options(h)
		o.Confirm = "kt01 is powered off"
		if _, err := h.Rebuild(pgtest.Context(t), o); err != nil {
			t.Fatal(err)
		}
		h.ClusterID = l.dead.ClusterID
		l.rebuilt(t, h, "kt01")
		if cert := parse(t, l.laid+"/config/.keytrustee/.ssl/cluster.pem"); stateOf(t, h.StateFile()).Former.Key != replication.KeyOf(cert) {
			t.Error("the other host would not be known under its old key")
		}
	})

	for n, point := range all {
		if !apart(all, n) {
			continue
		}
		t.Run("after a crash "+point, func(t *testing.T) {
			h, o := l.crashed(t, n, l.options)
			o.Confirm = ""
			if j, err := h.Journal(); err != nil || j == nil {
				t.Fatalf("journal %+v, %v", j, err)
			} else if _, err := h.Rebuild(pgtest.Context(t), o); err == nil || !strings.Contains(hintOf(err), "ktadmin restore --from-backup FILE") {
				t.Errorf("looking in its middle: %v (hint %q)", err, hintOf(err))
			}
			o.Confirm = "kt02 is powered off"
			if _, err := h.Rebuild(pgtest.Context(t), o); err != nil {
				t.Fatal(err)
			}
			h.ClusterID = l.dead.ClusterID
			l.rebuilt(t, h, "kt02")
		})
	}

	for _, at := range []string{"unpacked", "claimed", "new root key", "recovered", "state", "before its end"} {
		t.Run("aborted "+at, func(t *testing.T) {
			h := bareHost(t, l.dead)
			own := filepath.Join(h.Confdir, "kms-site.xml")
			if err := errors.Join(os.MkdirAll(h.Confdir, 0o700), os.WriteFile(own, []byte("<own/>"), 0o600)); err != nil {
				t.Fatal(err)
			}
			h.failpoint = func(point string) error {
				if point == rebuildOperation+": "+at {
					return errCrash
				}
				return nil
			}
			o := l.options(h)
			for range 2 { // what the first attempt has made the second is not to take for what was there
				if _, err := h.Rebuild(pgtest.Context(t), o); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
			}
			h.failpoint = nil
			if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(own); err != nil || string(text) != "<own/>" {
				t.Errorf("the operator's file is %q, %v", text, err)
			}
			if err := os.Remove(own); err != nil {
				t.Fatal(err)
			}
			untouched(t, h)
			if at == "state" {
				if _, err := h.Rebuild(pgtest.Context(t), o); err != nil {
					t.Fatal(err)
				}
				h.ClusterID = l.dead.ClusterID
				l.rebuilt(t, h, "kt02")
			}
		})
	}

	t.Run("what does not open is not used", func(t *testing.T) {
		h := bareHost(t, l.dead)
		l.check = errors.New("version payroll@2 does not open")
		defer func() { l.check = nil }()
		_, err := h.Rebuild(pgtest.Context(t), l.options(h))
		if err == nil || !strings.Contains(err.Error(), "payroll@2") {
			t.Fatalf("%v", err)
		}
		if have, _ := exists(h.StateFile()); have {
			t.Error("there is a state file")
		}
		if _, _, err := h.RunDB(t.Context()); err == nil {
			t.Error("it can be started")
		}
		if _, err := h.Abort(pgtest.Context(t), nil); err != nil {
			t.Fatal(err)
		}
		untouched(t, h)
	})
}

// mustServer is the server of h.
func mustServer(t *testing.T, h *Host) *postgres.Server {
	t.Helper()
	server, err := h.Server(pgtest.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func stopServer(t *testing.T, h *Host) {
	t.Helper()
	if err := mustServer(t, h).Stop(pgtest.Context(t), postgres.Fast); err != nil {
		t.Fatal(err)
	}
}

// TestRebuildRefuses holds what is not rebuilt. Nothing is changed then.
func TestRebuildRefuses(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	l := newLostPair(t, func(a *activeHost, l *lostPair) { // it lives
		h := bareHost(t, newHost(t, "kt02", 2))
		o := l.options(h)
		o.Confirm = "kt01 is powered off"
		for range 2 {
			looked, err := h.Rebuild(pgtest.Context(t), o)
			if o.Confirm != "" && (err == nil || !strings.Contains(hintOf(err), "ktadmin restore --from-survivor 127.0.0.1 ")) {
				t.Errorf("beside one that lives: %v (hint %q)", err, hintOf(err))
			}
			if !slices.ContainsFunc(looked.Findings, func(f replication.Finding) bool {
				return !f.OK && strings.Contains(f.What, "kt01 answers at 127.0.0.1:") && strings.Contains(f.What, "every key that was acknowledged")
			}) {
				t.Errorf("looked at was %+v", looked.Findings)
			}
			untouched(t, h)
			o.Confirm = ""
		}
	})
	another, _, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		host func() *Host
		o    func(*RebuildOptions)
		says string
		left bool // something was there
	}{
		{"under a third name", func() *Host { return newHost(t, "kt03", 3) }, func(*RebuildOptions) {}, "of the pair of kt01 and kt02, and this host is", false},
		{"without a word", func() *Host { return bareHost(t, l.dead) }, func(o *RebuildOptions) { o.Confirm = "kt01 is powered off" }, `nobody has confirmed that "kt02 is powered off"`, false},
		{"with another recovery key", func() *Host { return bareHost(t, l.dead) }, func(o *RebuildOptions) { o.Recovery = another }, "not this cluster's", false},
		{"with none", func() *Host { return bareHost(t, l.dead) }, func(o *RebuildOptions) { o.Recovery = "secret" }, "not a recovery key", false},
		{"a backup that can not be read", func() *Host { return bareHost(t, l.dead) }, func(o *RebuildOptions) {
			o.Unpack = func(context.Context, string) (Backup, error) { return Backup{}, errors.New("it is damaged") }
		}, "it is damaged", false},
		{"a file of the database is not what it was", func() *Host { return bareHost(t, l.dead) }, func(o *RebuildOptions) {
			unpack := o.Unpack
			o.Unpack = func(ctx context.Context, dir string) (Backup, error) {
				b, err := unpack(ctx, dir)
				pgtest.FlipByte(t, filepath.Join(b.Data, "global", "1260"), 100)
				return b, err
			}
		}, "differs from its manifest", false},
		{"over data", func() *Host {
			h := bareHost(t, l.dead)
			if err := os.MkdirAll(filepath.Join(h.PGRoot, "base"), 0o700); err != nil {
				t.Fatal(err)
			}
			return h
		}, func(*RebuildOptions) {}, "is not empty", false},
		{"over another cluster", func() *Host { h := bareHost(t, l.dead); mustInit(t, h); return h }, func(*RebuildOptions) {}, "this host is no bare one", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := tt.host()
			before := content(t, h.Home())
			o := l.options(h)
			tt.o(&o)
			_, err := h.Rebuild(pgtest.Context(t), o)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), o.Recovery) && o.Recovery != "" {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if j, err := h.Journal(); j != nil || err != nil {
				t.Errorf("journal %+v, %v", j, err)
			}
			if !tt.left {
				untouched(t, h)
			} else if len(before) > len(content(t, h.Home())) {
				t.Error("something is gone")
			}
		})
	}
}
