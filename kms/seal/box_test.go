package seal

import (
	"bytes"
	"testing"
)

func TestBoxes(t *testing.T) {
	h := newHosts(t)
	box, err := h.activeRing.SealBox("authority", []byte("secret"))
	must(t, err)
	got, err := h.ring.OpenBox("authority", box)
	must(t, err)
	if string(got) != "secret" || bytes.Contains(box, []byte("secret")) {
		t.Error("the box is open, or holds something else")
	}
	if _, err := h.ring.OpenBox("cookie", box); err == nil {
		t.Error("a box opened under another name")
	}
	for i := range 8 * len(box) {
		bad := bytes.Clone(box)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := h.ring.OpenBox("authority", bad); err == nil {
			t.Errorf("opened with bit %d flipped", i)
		}
	}
	for n := range len(box) {
		if _, err := h.ring.OpenBox("authority", box[:n]); err == nil {
			t.Errorf("opened %d bytes of it", n)
		}
	}
}

func FuzzOpenBox(f *testing.F) {
	k := newKEK(made)
	ring := &Keyring{cluster: "c", keks: map[string]*kek{k.id: k}, newest: k}
	box, _ := ring.SealBox("authority", []byte("secret"))
	f.Add(box)
	f.Fuzz(func(t *testing.T, box []byte) {
		if secret, err := ring.OpenBox("authority", box); err == nil && string(secret) != "secret" {
			t.Fatal("a forged box opened")
		}
	})
}
