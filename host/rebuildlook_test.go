package host

import (
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/certs"
	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// laidOut is the active of a pair with a recovery key, and what a backup has of its files, laid out.
func laidOut(t *testing.T) (lost *Host, b Backup, recovery string) {
	t.Helper()
	recovery, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	lost = newHost(t, "kt01", 1)
	if err := lost.Init(pgtest.Context(t), InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	_, err = replication.CreateState(lost.StateFile(), replication.State{Self: "kt01", Duty: replication.Active, Epoch: replication.NewEpoch(3), SystemID: 7, Incarnation: "i", SyncEnabled: true,
		Peer: &replication.Peer{Name: "kt02", Address: "127.0.0.2", ClusterPort: pgtest.FreePort(t), Key: "key of kt02"}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := lost.BackupFiles()
	if err != nil {
		t.Fatal(err)
	}
	b = Backup{Host: "kt01", Started: time.Now(), Config: filepath.Join(t.TempDir(), "config"), Address: lost.ExternalAddress, ClusterPort: lost.ClusterPort}
	for name, text := range files {
		path := filepath.Join(b.Config, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return lost, b, recovery
}

// TestRebuildMakesANewRoot: out of the files in a backup and the recovery key a bare host gets a root key and certificates that are its own,
// and opens what the lost hosts have sealed; their root keys open nothing there. What was made is taken away, and nothing else.
func TestRebuildMakesANewRoot(t *testing.T) {
	lost, b, recovery := laidOut(t)
	theirs, err := seal.Load(lost.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	box, err := theirs.SealBox("test", []byte("sealed by the lost host"))
	if err != nil {
		t.Fatal(err)
	}
	h := bareHost(t, lost)
	own := filepath.Join(h.Confdir, "kms-acls.xml")
	if err := errors.Join(os.MkdirAll(h.Confdir, 0o700), os.MkdirAll(h.NodeDir(), 0o700), os.WriteFile(own, []byte("<own/>"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.By, b.Warning = "a host", "WARNING: another one may have more"
	r := &rebuild{Host: h, backup: b, incarnation: "new", o: RebuildOptions{Recovery: recovery, Progress: new(stages), Configure: func(l Learned) (*Host, error) {
		if l.Name != "kt01" || l.Address != lost.ExternalAddress || l.Active != (Peer{Name: "kt02", Address: "127.0.0.2"}) {
			t.Errorf("learned was %+v", l)
		}
		h.ClusterID = lost.ClusterID
		return h, h.Settings.SaveNode()
	}}}
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.looked.Findings {
		if !f.OK {
			t.Errorf("against it: %+v", f)
		}
	}
	if len(r.looked.Plan) < 2 || r.looked.Plan[1] != b.Warning {
		t.Errorf("would be done: %q", r.looked.Plan)
	}
	journal := new(Journal)
	for range 2 { // again after it broke off
		if err := r.bootstrap(t.Context(), journal); err != nil {
			t.Fatal(err)
		}
		mine, err := r.newRoot()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := mine.OpenBox("test", box); err != nil || string(text) != "sealed by the lost host" {
			t.Errorf("what was sealed is %q: %v", text, err)
		}
		if s, err := h.Status(); err != nil || !s.Recovery.Backups {
			t.Errorf("its backups would not show who made them: %+v, %v", s.Recovery, err)
		}
		if err := r.noteMade(); err != nil {
			t.Fatal(err)
		}
		if journal, err = h.Journal(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := seal.LoadRoot(seal.RootPath(h.Confdir))
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParseRecovery(recovery)
	if err != nil {
		t.Fatal(err)
	}
	recipients := map[string]bool{}
	wraps, err := seal.ReadWraps(h.Confdir)
	for _, w := range wraps {
		recipients[w.Recipient] = true
	}
	if want := map[string]bool{root.Public().Fingerprint(): true, key.Public().Fingerprint(): true}; err != nil || !maps.Equal(recipients, want) {
		t.Errorf("wrapped for %v, want %v: %v", recipients, want, err)
	}
	for _, f := range []certs.Files{h.ClusterFiles(), h.PublicFiles()} {
		if _, err := certs.NewReloader(f, nil); err != nil {
			t.Error(err)
		}
	}
	if err := h.CheckOwn(); err != nil {
		t.Error(err)
	}
	s := r.state(7)
	if s.Duty != replication.Active || s.Peer != nil || !s.SyncEnabled || s.SystemID != 7 || s.Epoch.Number <= 3 || s.Former == nil || s.Former.Name != "kt02" || s.Former.Key != "key of kt02" {
		t.Errorf("the state would be %+v", s)
	}

	if _, err := h.removeMade(journal, false); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.putFilesBack(journal), os.RemoveAll(h.beforeDir()), os.Remove(h.journalFile())); err != nil {
		t.Fatal(err)
	}
	if left := content(t, h.Home()); len(left) != 1 || left[own] != "<own/>" {
		t.Errorf("left is %q", slices.Collect(maps.Keys(left)))
	}
}

// TestRebuildNames: a backup is of two hosts, and makes one of them; the other one is to be off.
func TestRebuildNames(t *testing.T) {
	lost, b, _ := laidOut(t)
	for _, tt := range []struct {
		name, address        string
		other, at, key, says string
	}{
		{name: "", other: "kt02", at: "127.0.0.1", key: "key of kt02"},
		{name: "kt01", address: "elsewhere", other: "kt02", at: "elsewhere", key: "key of kt02"},
		{name: "kt02", other: "kt01", at: "127.0.0.2", key: mustKey(t, lost)},
		{name: "kt03", says: `of the pair of kt01 and kt02, and this host is "kt03"`},
	} {
		r := &rebuild{Host: bareHost(t, lost), backup: b, o: RebuildOptions{Name: tt.name, Address: tt.address}}
		err := errors.Join(r.readFiles(), r.settleName())
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q: %v, want %q", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || r.other != tt.other || r.address != tt.at || r.otherKey() != tt.key || r.confirmation() != tt.other+" is powered off" {
			t.Errorf("%q: %v, beside %q at %q with key %q, confirmed by %q", tt.name, err, r.other, r.address, r.otherKey(), r.confirmation())
		}
	}
}

// TestRebuildAsksWhoLives: a host of the cluster that answers is found, by whatever name; one of another cluster is none; what can not be
// told to be another is not taken to be gone.
func TestRebuildAsksWhoLives(t *testing.T) {
	lost, b, recovery := laidOut(t)
	stranger := newHost(t, "kt01", 1)
	mustInit(t, stranger)
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		ok    bool
		says  string
	}{
		{"nobody", nil, true, "kt01 does not answer at "},
		{"itself", handshake(t, lost), false, "kt01 answers at "},
		{"a host of another cluster", handshake(t, stranger), true, "belongs to another cluster"},
		{"what speaks no TLS", func(c net.Conn) { c.Write([]byte("220 mail.example.com\r\n")) }, false, "something answers at "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.serve != nil {
				l, err := net.Listen("tcp", net.JoinHostPort(b.Address, strconv.Itoa(b.ClusterPort)))
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						tt.serve(c)
						c.Close()
					}
				}()
			}
			r := &rebuild{Host: bareHost(t, lost), backup: b, o: RebuildOptions{Recovery: recovery, Confirm: "kt02 is powered off"}}
			if err := r.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.looked.Findings, func(f replication.Finding) bool {
				return strings.Contains(f.What, tt.says) && f.OK == tt.ok && f.OK == (f.Hint == "")
			}) {
				t.Errorf("looked at was %+v, want %q", r.looked.Findings, tt.says)
			}
			if err := r.allowed(); (err == nil) != tt.ok {
				t.Errorf("allowed: %v", err)
			}
			r.o.Confirm = "kt01 is powered off"
			if err := r.allowed(); err == nil || tt.ok && !strings.Contains(hintOf(err), `--i-confirm "kt02 is powered off"`) {
				t.Errorf("with other words: %v (hint %q)", err, hintOf(err))
			}
		})
	}
}

// TestRebuildAsksWhomItIsTold: a host that joined after the backup was made is in no backup, and is asked where the operator says.
func TestRebuildAsksWhomItIsTold(t *testing.T) {
	lost, b, recovery := laidOut(t)
	for _, tt := range []struct{ listen, given string }{
		{net.JoinHostPort("127.0.0.3", strconv.Itoa(b.ClusterPort)), "127.0.0.3"},
		{net.JoinHostPort("127.0.0.3", strconv.Itoa(pgtest.FreePort(t))), ""},
	} {
		l, err := net.Listen("tcp", tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		serve := handshake(t, lost)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				serve(c)
				c.Close()
			}
		}()
		if tt.given == "" {
			tt.given = tt.listen
		}
		for _, also := range [][]string{nil, {tt.given}} {
			r := &rebuild{Host: bareHost(t, lost), backup: b, o: RebuildOptions{Recovery: recovery, Confirm: "kt02 is powered off", AlsoAsk: also}}
			if err := r.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			answers := slices.ContainsFunc(r.looked.Findings, func(f replication.Finding) bool {
				return !f.OK && strings.Contains(f.What, "answers at "+tt.listen+" as a host of this cluster")
			})
			if err := r.allowed(); answers != (also != nil) || (err == nil) != (also == nil) {
				t.Errorf("asked was %q: %+v, %v", also, r.looked.Findings, err)
			}
		}
		l.Close()
	}
}

// handshake serves a connection as the cluster listener of h does, as far as a bare host comes.
func handshake(t *testing.T, h *Host) func(net.Conn) {
	t.Helper()
	own, err := certs.NewReloader(h.ClusterFiles(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(c net.Conn) { tls.Server(c, own.ClusterServer()).Handshake() }
}

// TestRecoveryWraps: what a host that joins is given for the recovery key, and nothing for anybody else.
func TestRecoveryWraps(t *testing.T) {
	lost, _, recovery := laidOut(t)
	key, err := seal.ParseRecovery(recovery)
	if err != nil {
		t.Fatal(err)
	}
	wraps, err := lost.recoveryWraps()
	if err != nil || len(wraps) != 1 || wraps[0].Recipient != key.Public().Fingerprint() {
		t.Errorf("%+v, %v", wraps, err)
	}
	without := newHost(t, "kt03", 3)
	mustInit(t, without)
	if wraps, err := without.recoveryWraps(); err != nil || len(wraps) != 0 {
		t.Errorf("without a recovery key: %+v, %v", wraps, err)
	}
}
