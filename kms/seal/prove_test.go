package seal

import (
	"bytes"
	"context"
	"testing"

	"keytrustee/kms"
)

func TestProofs(t *testing.T) {
	h := newHosts(t)
	ctx := context.Background()
	rootA, err := h.activeRing.ProveRoot(ctx, []byte("nonce"))
	must(t, err)
	rootB, err := h.ring.ProveRoot(ctx, []byte("nonce"))
	must(t, err)
	other, err := h.ring.ProveRoot(ctx, []byte("other"))
	must(t, err)
	if !bytes.Equal(rootA, rootB) || bytes.Equal(rootA, other) {
		t.Error("root proofs: alike on both hosts, and bound to the nonce")
	}

	v, err := h.activeRing.Seal(ref(), kms.NewMaterial([]byte("0123456789abcdef")))
	must(t, err)
	a, err := h.activeRing.ProveVersion(v, []byte("bind"))
	must(t, err)
	b, err := h.ring.ProveVersion(v, []byte("bind"))
	must(t, err)
	resealed, err := h.activeRing.Seal(v.VersionRef, kms.NewMaterial([]byte("0123456789abcdee")))
	must(t, err)
	c, err := h.ring.ProveVersion(resealed, []byte("bind"))
	must(t, err)
	d, err := h.ring.ProveVersion(v, []byte("binD"))
	must(t, err)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) || bytes.Equal(a, d) || bytes.Equal(a, v.Check) {
		t.Error("version proofs: alike on both hosts, bound to material and nonce, and not the check value")
	}

	change := kms.Change{ID: kms.NewID(), KeyID: kms.NewID(), Seq: 3, Kind: kms.Deleted, At: made, By: "alice", From: "192.0.2.7"}
	proof := h.activeRing.ProveChange(change, []byte("bind"))
	if !bytes.Equal(proof, h.ring.ProveChange(change, []byte("bind"))) {
		t.Error("change proofs differ between the hosts")
	}
	for what, alter := range map[string]func(c *kms.Change){
		"id": func(c *kms.Change) { c.ID = kms.NewID() }, "key": func(c *kms.Change) { c.KeyID = kms.NewID() },
		"seq": func(c *kms.Change) { c.Seq++ }, "kind": func(c *kms.Change) { c.Kind = kms.Purged },
		"version": func(c *kms.Change) { c.Version = kms.NewID() }, "at": func(c *kms.Change) { c.At = c.At.Add(1) },
		"by": func(c *kms.Change) { c.By = "bob" }, "from": func(c *kms.Change) { c.From = "" }, "request": func(c *kms.Change) { c.RequestID = "r" },
	} {
		altered := change
		alter(&altered)
		if bytes.Equal(proof, h.ring.ProveChange(altered, []byte("bind"))) {
			t.Errorf("the proof of a change does not cover its %s", what)
		}
	}
}
