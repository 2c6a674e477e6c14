package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"keytrustee/kms"
)

func ref() kms.VersionRef {
	return kms.VersionRef{ID: kms.NewID(), KeyID: kms.NewID(), Key: "payroll", Name: "payroll@2", Ordinal: 2, Cipher: "AES/CTR/NoPadding"}
}

func TestMaterialOfEveryLength(t *testing.T) {
	h := newHosts(t)
	for _, n := range []int{0, 1, 16, 32, 4096} {
		want := bytes.Repeat([]byte{7}, n)
		sealed, err := h.activeRing.Seal(ref(), kms.NewMaterial(want))
		must(t, err)
		got, err := h.ring.Open(sealed)
		must(t, err)
		if !got.Present() || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes came back as %d", n, len(got.Bytes()))
		}
	}
	if _, err := h.activeRing.Seal(ref(), kms.Material{}); err == nil {
		t.Error("sealed material that is absent")
	}
}

// TestEveryAlterationIsSeen flips each bit of what is stored and changes each field that is bound.
func TestEveryAlterationIsSeen(t *testing.T) {
	h := newHosts(t)
	sealed, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("0123456789abcdef")))
	must(t, err)
	fails := func(what string, change func(v *kms.SealedVersion)) {
		t.Helper()
		v := sealed
		v.Sealed, v.Check = bytes.Clone(sealed.Sealed), bytes.Clone(sealed.Check)
		change(&v)
		if _, err := h.ring.Open(v); err == nil {
			t.Errorf("opened with %s", what)
		}
		if _, err := h.ring.ProveVersion(v, nil); err == nil {
			t.Errorf("proven with %s", what)
		}
	}
	for i := range 8 * len(sealed.Sealed) {
		fails(fmt.Sprintf("bit %d of the ciphertext flipped", i), func(v *kms.SealedVersion) { v.Sealed[i/8] ^= 1 << (i % 8) })
	}
	for i := range 8 * len(sealed.Check) {
		fails(fmt.Sprintf("bit %d of the check value flipped", i), func(v *kms.SealedVersion) { v.Check[i/8] ^= 1 << (i % 8) })
	}
	for n := range len(sealed.Sealed) {
		fails(fmt.Sprintf("a ciphertext of %d bytes", n), func(v *kms.SealedVersion) { v.Sealed = v.Sealed[:n] })
	}
	fails("no check value", func(v *kms.SealedVersion) { v.Check = nil })
	fails("another version id", func(v *kms.SealedVersion) { v.ID = kms.NewID() })
	fails("another key id", func(v *kms.SealedVersion) { v.KeyID = kms.NewID() })
	fails("another key name", func(v *kms.SealedVersion) { v.Key = "payrol" })
	fails("another version name", func(v *kms.SealedVersion) { v.Name = "payroll@1" })
	fails("a part of the key name moved", func(v *kms.SealedVersion) { v.Key, v.Name = "payrollp", "ayroll@2" })
	fails("another ordinal", func(v *kms.SealedVersion) { v.Ordinal = 1 })
	fails("another cipher", func(v *kms.SealedVersion) { v.Cipher = "AES/GCM/NoPadding" })
	fails("another KEK", func(v *kms.SealedVersion) { v.KEK = "0123456789abcdef" })
}

func TestUnknownKEKAsksThePeer(t *testing.T) {
	h, other := newHosts(t), newHosts(t)
	sealed, err := other.ring.Seal(ref(), kms.NewMaterial([]byte("x")))
	must(t, err)
	_, err = h.ring.Open(sealed)
	var ro *kms.ReadOnlyError
	if !errors.As(err, &ro) || ro.Remedy != kms.ElsewherePeer || ro.Reason != "root_key_mismatch" {
		t.Errorf("Open = %v", err)
	}
}

// TestWhatAVersionIsBoundTo: each of these alone gives another key or another binding, whatever else differs. What opens a
// version would show only that one of them does.
func TestWhatAVersionIsBoundTo(t *testing.T) {
	v, k := ref(), newKEK(made)
	one := versionBinding("cluster", k.id, v)
	other := v
	other.ID = kms.NewID()
	for what, bound := range map[string][]byte{
		"cluster": versionBinding("cluster 2", k.id, v), "KEK": versionBinding("cluster", "0123456789abcdef", v), "version": versionBinding("cluster", k.id, other),
	} {
		if bytes.Equal(one, bound) {
			t.Errorf("a version is not bound to its %s", what)
		}
	}
	if bytes.Equal(versionKey(k, v.ID), versionKey(k, other.ID)) {
		t.Error("two versions are sealed under one key")
	}
	if bytes.Equal(boxKey(k, "authority"), boxKey(k, "cookie")) {
		t.Error("two boxes are sealed under one key")
	}
}
