package host

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication"
)

// TestBackupKey: a pair of an earlier release has nothing to authenticate backups with; when the active has seen the recovery key both
// hosts have, the passive out of its own database, and whoever joins later. A key that is not the recovery key's counts for none.
func TestBackupKey(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	private, public, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.ParseRecovery(private)
	if err != nil {
		t.Fatal(err)
	}
	want, err := root.BackupKey()
	if err != nil {
		t.Fatal(err)
	}
	a := startActive(t)
	if err := a.Init(pgtest.Context(t), InitOptions{Recovery: &public}); err != nil {
		t.Fatal(err)
	}
	key := func(h *Host, ring *seal.Keyring) *seal.BackupKey {
		t.Helper()
		k, err := h.BackupKey(pgtest.Context(t), ring)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if k := key(a.Host, a.ring); k != nil {
		t.Errorf("nobody has seen the recovery key, and there is %v", k)
	}
	if shared, err := a.ShareBackupKey(pgtest.Context(t)); shared || err != nil {
		t.Errorf("nothing was shared: %v, %v", shared, err)
	}

	if err := a.ConfirmRecovery(private, time.Now()); err != nil {
		t.Fatal(err)
	}
	if k := key(a.Host, a.ring); k == nil || !bytes.Equal(k.MAC(nil), want.MAC(nil)) {
		t.Errorf("the active has %v", k)
	}
	for range 2 {
		if shared, err := a.ShareBackupKey(pgtest.Context(t)); !shared || err != nil {
			t.Errorf("shared: %v, %v", shared, err)
		}
	}
	files, err := a.bundle()
	if err != nil || !slices.ContainsFunc(files, func(f bundleFile) bool { return f.Path == sealedFile("", backupBox) }) {
		t.Errorf("a joiner does not get it: %v", err)
	}

	// What a passive has that joined before is the database alone.
	if err := os.Remove(sealedFile(a.Confdir, backupBox)); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, "kt02", 2)
	if err := h.joinWith(t, a, a.token(t)); err != nil {
		t.Fatal(err)
	}
	a.adopt(t)
	serve(t, h)
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := h.Status(); err != nil || s.Recovery.Backups {
		t.Errorf("the passive has a file: %+v, %v", s.Recovery, err)
	}
	for _, host := range []struct {
		*Host
		ring *seal.Keyring
	}{{a.Host, a.ring}, {h, ring}} {
		if k := key(host.Host, host.ring); k == nil || !bytes.Equal(k.MAC(nil), want.MAC(nil)) {
			t.Errorf("%s has %v", host.Name, k)
		}
		if info, err := os.Stat(sealedFile(host.Confdir, backupBox)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", host.Name, info, err)
		}
		if s, err := host.Status(); err != nil || !s.Recovery.Backups {
			t.Errorf("%s: %+v, %v", host.Name, s.Recovery, err)
		}
	}
	if shared, err := h.ShareBackupKey(pgtest.Context(t)); shared || err != nil {
		t.Errorf("a passive shares it: %v, %v", shared, err)
	}

	text, _, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := seal.ParseRecovery(text)
	if err != nil {
		t.Fatal(err)
	}
	other, err := stranger.BackupKey()
	if err != nil {
		t.Fatal(err)
	}
	// What the database has mends what is wrong in the confdir.
	file := sealedFile(a.Confdir, backupBox)
	spoil := map[string]func(){
		"damaged": func() {
			if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"of another recovery key": func() {
			if err := a.keepBackupKey(a.ring, other); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range spoil {
		spoil()
		if k := key(a.Host, a.ring); k == nil || !bytes.Equal(k.MAC(nil), want.MAC(nil)) {
			t.Errorf("%s: the active has %v", name, k)
		}
		box, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := a.ring.OpenBackupKey(box); err != nil || !bytes.Equal(k.MAC(nil), want.MAC(nil)) {
			t.Errorf("%s: the confdir has %v, %v", name, k, err)
		}
	}
	conn, err := a.connect(pgtest.Context(t), a.server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := replication.Control(pgtest.Context(t), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(pgtest.Context(t), "delete from control.boxes where name = $1", backupBox)
		return err
	}); err != nil {
		t.Fatal(err)
	}

	spoil["of another recovery key"]()
	if k := key(a.Host, a.ring); k != nil {
		t.Errorf("that of another recovery key counts: %v", k)
	}
	spoil["damaged"]()
	if _, err := a.BackupKey(pgtest.Context(t), a.ring); err == nil || hintOf(err) == "" {
		t.Errorf("a damaged one: %v", err)
	}

	if err := a.state.Update(func(s *replication.State) error { s.Fenced = &replication.Fence{Since: time.Now()}; return nil }); err != nil {
		t.Fatal(err)
	}
	if shared, err := a.ShareBackupKey(pgtest.Context(t)); shared || err != nil {
		t.Errorf("a fenced host writes: %v, %v", shared, err)
	}
}
