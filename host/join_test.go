package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// copyConfdir is rsync --exclude .ssl.
func copyConfdir(t *testing.T, from, to *Host) {
	t.Helper()
	if err := os.MkdirAll(to.Home(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to.Confdir, os.DirFS(from.Confdir)); err != nil {
		t.Fatal(err)
	}
	chmodSecrets(t, to)
	if err := os.RemoveAll(filepath.Join(to.Confdir, ".ssl")); err != nil {
		t.Fatal(err)
	}
	to.ClusterPort = from.ClusterPort // what the copied keytrustee.yaml says
}

// joined checks that h is a passive that can be started, and starts it.
func joined(t *testing.T, h *Host, a *activeHost) {
	t.Helper()
	if j, err := h.Journal(); j != nil || err != nil {
		t.Fatalf("journal %+v, %v", j, err)
	}
	f, err := replication.OpenState(h.StateFile())
	if err != nil {
		t.Fatal(err)
	}
	s, admitted := f.Current(), a.monitor.State().Pending
	if admitted == nil || s.Duty != replication.Passive || s.Peer == nil || s.Peer.Name != a.Name || s.Incarnation != admitted.Peer.Incarnation ||
		s.Epoch != admitted.Epoch || s.LastConfirmed != 0 {
		t.Fatalf("state %+v, admitted %+v", s, admitted)
	}
	own, err := h.ownKey()
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := a.ownKey(); err != nil || s.Peer.Key != theirs || admitted.Peer.Key != own || own == theirs {
		t.Errorf("the hosts do not know each other's keys: %+v, %v", s.Peer, err)
	}
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	challenge := []byte("challenge")
	mine, err := ring.ProveRoot(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := a.ring.ProveRoot(t.Context(), challenge); err != nil || string(mine) != string(theirs) {
		t.Errorf("the two hosts open different keys: %v", err)
	}
	if _, err := certs.NewReloader(h.ClusterFiles(), nil); err != nil {
		t.Error(err)
	}
	if name, ok := certs.NodeName(parse(t, h.ClusterFiles().Cert)); !ok || name != s.Self {
		t.Errorf("the cluster certificate names %q", name)
	}
	server := serve(t, h)
	if !ask[bool](t, server, Database, "select pg_is_in_recovery()") {
		t.Error("the copy is a primary")
	}
	if got := ask[string](t, server, Database, "show primary_conninfo"); got != "" {
		t.Errorf("the copy streams from %s before it was compared", got)
	}
}

func TestJoinWithAToken(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	o := joinOptions(h, a, a.token(t))
	if err := h.Join(pgtest.Context(t), o); err != nil {
		t.Fatal(err)
	}
	seen := o.Progress.(*stages)
	want := []string{"joining: creating (1/5)", "joining: bootstrapping (2/5)", "joining: initial sync (3/5)", "joining: verifying (4/5)", "joining: completing (5/5)"}
	if diff := cmp.Diff(want, seen.said); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if seen.bytes == 0 {
		t.Error("no progress of the copy")
	}
	mine, err := seal.LoadRoot(seal.RootPath(h.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := seal.LoadRoot(seal.RootPath(a.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	if mine.Public().Fingerprint() == theirs.Public().Fingerprint() {
		t.Error("the root key travelled")
	}
	if err := parse(t, h.PublicFiles().Cert).VerifyHostname("127.0.0.2"); err != nil {
		t.Error(err)
	}
	if got := ask[int](t, a.server, controlDatabase, "select count(*) from control.kek_wraps where recipient = '"+mine.Public().Fingerprint()+"'"); got != 1 {
		t.Errorf("the active stores %d wraps for the joiner", got)
	}
	joined(t, h, a)
	// A second time the directory is not empty; the host stays what it is.
	err = h.Join(pgtest.Context(t), joinOptions(h, a, o.Token))
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("joining again: %v", err)
	}
}

func TestJoinWithTheCopiedRootKey(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	copyConfdir(t, a.Host, h)
	o := joinOptions(h, a, nil)
	o.Name, o.Address = "", ""
	a.Host.Peer = Peer{Name: "kt02", Address: "localhost", Source: "127.0.0.1"} // db --bootstrap --slave localhost
	if err := h.Join(pgtest.Context(t), o); err != nil {
		t.Fatal(err)
	}
	if have, _ := exists(h.PublicFiles().Cert); have {
		t.Error("a public certificate was made before the external address was known")
	}
	h.Name, h.ClusterID = "kt02", a.ClusterID
	mustInit(t, h)
	whole(t, h)
	joined(t, h, a)
}

func TestJoinNeedsTheRootKeyItself(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	copyConfdir(t, a.Host, h)
	other := newHost(t, "kt02", 2)
	mustInit(t, other)
	// Another cluster's root key and wraps under this cluster's authority: the proof is made with the wrong KEK.
	if err := os.RemoveAll(h.Confdir); err != nil {
		t.Fatal(err)
	}
	copyConfdir(t, other, h)
	h.ClusterPort = a.ClusterPort
	err := h.Join(pgtest.Context(t), joinOptions(h, a, nil))
	if err == nil || !strings.Contains(err.Error(), "is of another cluster") {
		t.Errorf("a foreign confdir: %v", err)
	}
	// A guess at the proof.
	client := newJoinClient(a.ClusterAddress(), certs.FingerprintOf(parse(t, a.AuthorityFile())))
	defer client.close()
	csr, _, err := newRequest("kt02")
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.NewRoot(filepath.Join(h.Home(), "guess.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := root.Public().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var c challenge
	if err := client.call(t.Context(), challengePath, struct{}{}, &c); err != nil {
		t.Fatal(err)
	}
	q := joinRequest{Nonce: c.Nonce, Proof: make([]byte, 32), Name: "kt02", Address: "127.0.0.2", Root: string(public), ClusterCSR: csr, PublicCSR: csr, PostgreSQL: a.server.Version.Major}
	if err := client.call(t.Context(), admitPath, q, new(joinAnswer)); err == nil || !strings.Contains(err.Error(), "does not open what the active's opens") {
		t.Errorf("a guessed proof: %v", err)
	}
	if err := client.call(t.Context(), admitPath, q, new(joinAnswer)); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("a nonce used twice: %v", err)
	}
	if a.monitor.State().Pending != nil {
		t.Error("somebody was admitted")
	}
}

func TestTokens(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	authority := certs.FingerprintOf(parse(t, a.AuthorityFile()))
	used := a.token(t)
	if err := newHost(t, "kt02", 2).joinWith(t, a, used); err != nil {
		t.Fatal(err)
	}
	short := a.token(t)
	tests := []struct {
		name  string
		token *certs.Token
		now   time.Time
		says  string
	}{
		{"unknown", certs.NewToken(a.ClusterAddress(), authority, time.Now().Add(time.Hour)), time.Now(), "does not know this join token"},
		{"used by another host", used, time.Now(), "was used at "},
		{"expired, by the joiner's clock", certs.NewToken(a.ClusterAddress(), authority, time.Now()), time.Now(), "expired at "},
		{"expired, by the active's clock", short, time.Now().Add(TokenLife), "expired at "},
		{"of another cluster", certs.NewToken(a.ClusterAddress(), certs.Fingerprint{1}, time.Now().Add(time.Hour)), time.Now(), "is of another cluster"},
		{"nobody there", certs.NewToken("127.0.0.1:1", authority, time.Now().Add(time.Hour)), time.Now(), "it can not be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a.admitter.now = func() time.Time { return tt.now }
			defer func() { a.admitter.now = time.Now }()
			before := a.monitor.State().Pending
			h := newHost(t, "kt03", 3)
			err := h.joinWith(t, a, tt.token)
			if err == nil || !strings.Contains(err.Error(), tt.says) || hintOf(err) == "" {
				t.Errorf("error %v (hint %q), want %q", err, hintOf(err), tt.says)
			}
			for _, path := range []string{h.PGRoot, h.StateFile(), h.AuthorityFile(), h.ClusterFiles().Cert} {
				if have, _ := exists(path); have {
					t.Errorf("%s exists", path)
				}
			}
			if diff := cmp.Diff(before, a.monitor.State().Pending); diff != "" {
				t.Errorf("the active's state changed:\n%s", diff)
			}
		})
	}
	for _, text := range []string{used.Text(), used.Secret()} {
		for path, held := range content(t, a.Home()) {
			if strings.Contains(held, text) {
				t.Errorf("%s holds a token", path)
			}
		}
	}
}

func (h *Host) joinWith(t *testing.T, a *activeHost, token *certs.Token) error {
	t.Helper()
	o := joinOptions(h, a, token)
	o.Active = ""
	return h.Join(pgtest.Context(t), o)
}

func TestJoinRefusesBeforeItChangesAnything(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	full := newHost(t, "kt02", 2)
	if err := os.MkdirAll(filepath.Join(full.PGRoot, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		host *Host
		o    func(*JoinOptions)
		says string
	}{
		{"the directory is not empty", full, func(*JoinOptions) {}, "is not empty"},
		{"neither token nor copied confdir", newHost(t, "kt02", 2), func(o *JoinOptions) { o.Token = nil }, "neither a join token nor a copied"},
		{"the active itself", a.Host, func(*JoinOptions) {}, "this host is the active"},
		{"the active's name", newHost(t, "kt01", 2), func(*JoinOptions) {}, "a node named kt01 exists"},
		{"the active's address", newHost(t, "kt02", 2), func(o *JoinOptions) { o.Address = "127.0.0.1" }, "is the address of the active"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := joinOptions(tt.host, a, a.token(t))
			tt.o(&o)
			if tt.host == a.Host {
				o.Configure = nil
			}
			err := tt.host.Join(pgtest.Context(t), o)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want %q", err, tt.says)
			}
			if tt.host != a.Host {
				if have, _ := exists(tt.host.StateFile()); have {
					t.Error("there is a state file")
				}
			}
			if a.monitor.State().Pending != nil {
				t.Error("somebody was admitted")
			}
		})
	}
}

// TestJoinFindsAFlippedByte flips one byte of the copy before it is verified: the join fails, names the file, and moves
// the copy aside; a second one succeeds.
func TestJoinFindsAFlippedByte(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	token := a.token(t)
	victim := filepath.Join("global", "pg_filenode.map")
	h.failpoint = func(point string) error {
		if point != "join: verifying" {
			return nil
		}
		path := filepath.Join(h.PGRoot, victim)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		return os.WriteFile(path, data, 0o600)
	}
	err := h.Join(pgtest.Context(t), joinOptions(h, a, token))
	damage := (*postgres.DamageError)(nil)
	if !errors.As(err, &damage) || !strings.Contains(err.Error(), victim) {
		t.Fatalf("error %v, want one that names %s", err, victim)
	}
	aside, err := filepath.Glob(h.PGRoot + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("moved aside: %v, %v", aside, err)
	}
	for _, path := range []string{h.PGRoot, h.StateFile()} {
		if have, _ := exists(path); have {
			t.Errorf("%s exists", path)
		}
	}
	if _, _, err := h.RunDB(t.Context()); err == nil {
		t.Error("the host can be started")
	}
	h.failpoint = nil
	if err := h.Join(pgtest.Context(t), joinOptions(h, a, token)); err != nil {
		t.Fatal(err)
	}
	joined(t, h, a)
}

func TestJoinRepeatedAfterACrash(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	a := startActive(t)
	first := newHost(t, "kt02", 2)
	all := points(t, first, func() error { return first.Join(pgtest.Context(t), joinOptions(first, a, a.token(t))) })
	if len(all) < 9 {
		t.Fatalf("only %d points: %v", len(all), all)
	}
	for n, point := range all {
		t.Run(point, func(t *testing.T) {
			h, token := newHost(t, "kt02", 2), a.token(t)
			h.failpoint = crashAt(n)
			if err := h.Join(pgtest.Context(t), joinOptions(h, a, token)); !errors.Is(err, errCrash) {
				t.Fatalf("first join: %v", err)
			}
			h.failpoint = nil
			if _, _, err := h.RunDB(t.Context()); err == nil {
				t.Fatal("what was left can be started")
			}
			if err := h.Join(pgtest.Context(t), joinOptions(h, a, token)); err != nil {
				t.Fatal(err)
			}
			joined(t, h, a)
		})
	}
}
