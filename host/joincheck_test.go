package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

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

// TestAJoinOnTheWrongHost: a command that is for another host, or is another command here, says which one, and never one that would
// replace the good copy.
func TestAJoinOnTheWrongHost(t *testing.T) {
	peer := &replication.Peer{Name: "kt02"}
	fence := &replication.Fence{Reason: replication.EpochConflict, Detail: "two epochs"}
	for name, row := range map[string]struct {
		kind    JoinKind
		state   replication.State
		refused string
		hint    []string
		not     string // in the hint
	}{
		"a join of the active that was overtaken": {NewPassive, replication.State{Duty: replication.Active, Peer: peer, Fenced: fence},
			"this host was the active, and is fenced", []string{"ktadmin init-slave --reclone --token-file FILE", "join-token on kt02", "moved aside"}, ""},
		"a join of an overtaken active that gave its passive up": {NewPassive, replication.State{Duty: replication.Active, Fenced: fence},
			"is fenced", []string{"join-token on the other host"}, ""},
		"a join of the active": {NewPassive, replication.State{Duty: replication.Active, Peer: peer},
			"this host is the active of a pair", []string{"on the host that is to be the passive", "it fences itself"}, ""},
		"a re-clone of the active": {Reclone, replication.State{Duty: replication.Active, Peer: peer},
			"nothing says that another one has taken its place", []string{"start its services"}, ""},
		"a restore of the survivor": {Restore, replication.State{Duty: replication.Passive, Peer: peer},
			"this host is the passive", []string{"nothing was changed", "leave it as it is", "on the host of the active", "ktadmin join-token here"}, "init-slave"},
		"a re-clone of the active that was overtaken": {Reclone, replication.State{Duty: replication.Active, Peer: peer, Fenced: fence}, "", nil, ""},
		"a re-clone of the passive":                   {Reclone, replication.State{Duty: replication.Passive, Peer: peer}, "", nil, ""},
		"a restore of the active":                     {Restore, replication.State{Duty: replication.Active, Peer: peer}, "", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&join{Host: newHost(t, "kt01", 1), o: JoinOptions{Kind: row.kind}, had: &row.state}).checkDuty()
			if row.refused == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.refused) {
				t.Fatalf("error %v, want %q", err, row.refused)
			}
			for _, says := range row.hint {
				if !strings.Contains(hintOf(err), says) {
					t.Errorf("the hint %q does not say %q", hintOf(err), says)
				}
			}
			if row.not != "" && strings.Contains(hintOf(err), row.not) {
				t.Errorf("the hint %q says %q", hintOf(err), row.not)
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
