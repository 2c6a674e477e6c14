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

// TestTheRecoveryKeyOpensWhatAPassiveHas: a host that joins has the wraps for the recovery key too, so that it, and a backup of it, can be
// opened where every root key is lost.
func TestTheRecoveryKeyOpensWhatAPassiveHas(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	private, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	a, h := startActive(t), newHost(t, "kt02", 2)
	if err := a.Init(pgtest.Context(t), InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	if err := h.joinWith(t, a, a.token(t)); err != nil {
		t.Fatal(err)
	}
	joined(t, h, a)
	if err := h.ConfirmRecovery(private, time.Now()); err != nil {
		t.Error(err)
	}
	files, err := h.BackupFiles()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for name := range files {
		if strings.HasSuffix(name, "/"+public.Fingerprint()+".wrap") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("a backup of it has %d wraps for the recovery key", n)
	}
}
