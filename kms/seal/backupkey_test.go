package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestBackupKey: whoever has the recovery key, and a host that has its box, make the same MAC; with another recovery key it is another
// one. It is what docs/backup-format.md says, and nothing prints the key.
func TestBackupKey(t *testing.T) {
	h := newHosts(t)
	root, err := ParseRecovery(h.recovery)
	must(t, err)
	key, err := root.BackupKey()
	must(t, err)
	again, err := root.BackupKey()
	must(t, err)
	box, err := h.activeRing.SealBackupKey(key)
	must(t, err)
	hosts, err := h.ring.OpenBackupKey(box)
	must(t, err)
	text, _, err := NewRecovery()
	must(t, err)
	stranger, err := ParseRecovery(text)
	must(t, err)
	another, err := stranger.BackupKey()
	must(t, err)

	message := []byte("a manifest, and a trailer")
	for name, k := range map[string]*BackupKey{"derived again": again, "a host's": hosts} {
		if !hmac.Equal(k.MAC(message), key.MAC(message)) || k.Recovery() != key.Recovery() {
			t.Errorf("%s: it is another key", name)
		}
	}
	if hmac.Equal(another.MAC(message), key.MAC(message)) || another.Recovery() == key.Recovery() {
		t.Error("two recovery keys make one key of backups")
	}

	seed, err := root.key.Bytes()
	must(t, err)
	plain, err := hkdf.Key(sha256.New, seed, nil, "keytrustee backup authentication 1", 32)
	must(t, err)
	by := hmac.New(sha256.New, plain)
	by.Write(message)
	if !hmac.Equal(by.Sum(nil), key.MAC(message)) {
		t.Error("it is not what the documentation says")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, key); strings.Contains(got, hex.EncodeToString(plain)[:16]) || !strings.Contains(got, key.Recovery()) {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if bytes.Contains(box, plain) {
		t.Error("the box is open")
	}

	cookie, err := h.activeRing.SealBox(backupKeyBox, []byte("another secret"))
	must(t, err)
	if _, err := h.ring.OpenBackupKey(cookie); err == nil || !strings.Contains(err.Error(), "no key of backups") {
		t.Errorf("another secret is taken for it: %v", err)
	}
	if _, err := h.ring.OpenBackupKey(box[:len(box)-1]); err == nil {
		t.Error("a box that was cut opens")
	}
}
