package kms_test

import (
	"errors"
	"fmt"
	"testing"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

// Which right each operation asks for first, in which words it is refused, and as what it is logged.
func TestRights(t *testing.T) {
	r := kmstest.NewService(t)
	createWith(t, r, "k", make([]byte, 16))
	p, ctx := kmstest.User("eve"), t.Context()
	eek := kms.EncryptedKeyVersion{Key: "k", Version: "k@0", IV: make([]byte, 16)}
	eve, given := withID("eve", ""), kms.NewMaterial(make([]byte, 16))
	const (
		kmsLevel = "User:eve not allowed to do '%s' on 'k'"
		unnamed  = "User:eve not allowed to do '%s'"
		keyLevel = "User [eve] is not authorized to perform [%s] on key with ACL name [k]!!"
	)
	create := func(m kms.Material) error {
		_, _, err := r.CreateKey(ctx, eve, kms.CreateRequest{Name: "k", Material: m})
		return err
	}
	roll := func(m kms.Material) error {
		_, _, err := r.RollNewVersion(ctx, eve, "k", m)
		return err
	}
	stepped := func(step func() (*kms.Hand, error)) error {
		_, err := step()
		return err
	}
	metadata := func() error { _, err := r.Metadata(ctx, p, "k"); return err }
	bulk := func() error { _, err := r.KeysMetadata(ctx, p, []kms.KeyName{"absent", "k"}); return err }
	current := func() error { _, err := r.CurrentKey(ctx, p, "k"); return err }
	version := func() error { _, err := r.KeyVersion(ctx, p, "k@0"); return err }
	all := func() error { _, err := r.KeyVersions(ctx, p, "k"); return err }
	generate := func() error { _, err := r.GenerateEEK(ctx, p, "k", 1); return err }
	decrypt := func() error { _, err := r.DecryptEEK(ctx, p, eek); return err }
	reencrypt := func() error { _, err := r.ReencryptEEK(ctx, p, eek); return err }
	batch := func() error { _, err := r.ReencryptEEKs(ctx, p, "k", []kms.EncryptedKeyVersion{eek}); return err }
	makeKey, rollKey := func() error { return create(kms.Material{}) }, func() error { return roll(kms.Material{}) }
	remove := func() error { return stepped(func() (*kms.Hand, error) { return r.DeleteKey(ctx, eve, "k") }) }

	for _, c := range []struct {
		deny     string
		do       func() error
		sentence string
		logged   kms.AuditOp
	}{
		{"CREATE", makeKey, kmsLevel, kms.AuditCreateKey},
		{"SET_KEY_MATERIAL", func() error { return create(given) }, kmsLevel, kms.AuditCreateKey},
		{"key MANAGEMENT", makeKey, "User [eve] is not authorized to create key !!", "MANAGEMENT"},
		{"ROLLOVER", rollKey, kmsLevel, kms.AuditRollNewVersion},
		{"SET_KEY_MATERIAL", func() error { return roll(given) }, kmsLevel, kms.AuditRollNewVersion},
		{"key MANAGEMENT", rollKey, keyLevel, "MANAGEMENT"},
		{"DELETE", remove, kmsLevel, kms.AuditDeleteKey},
		{"key MANAGEMENT", remove, keyLevel, "MANAGEMENT"},
		{"UNDELETE", func() error {
			return stepped(func() (*kms.Hand, error) { return r.UndeleteKey(ctx, withID("eve", "u"), "k") })
		}, kmsLevel, kms.AuditUndeleteKey},
		{"PURGE", func() error {
			return stepped(func() (*kms.Hand, error) { return r.PurgeKey(ctx, withID("eve", "p"), "k") })
		}, kmsLevel, kms.AuditPurgeKey},
		{"GET_KEYS", func() error { _, err := r.KeyNames(ctx, p); return err }, unnamed, kms.AuditGetKeys},
		{"GET_METADATA", metadata, kmsLevel, kms.AuditGetMetadata},
		{"key READ", metadata, keyLevel, "READ"},
		{"GET_METADATA", bulk, unnamed, kms.AuditGetKeysMetadata},
		{"key READ", bulk, keyLevel, "READ"},
		{"GET", current, kmsLevel, kms.AuditGetCurrentKey},
		{"key READ", current, keyLevel, "READ"},
		{"GET", version, unnamed, kms.AuditGetKeyVersion},
		{"key READ", version, keyLevel, "READ"},
		{"GET", all, kmsLevel, kms.AuditGetKeyVersions},
		{"key READ", all, keyLevel, "READ"},
		{"GENERATE_EEK", generate, kmsLevel, kms.AuditGenerateEEK},
		{"key GENERATE_EEK", generate, keyLevel, "GENERATE_EEK"},
		{"DECRYPT_EEK", decrypt, kmsLevel, kms.AuditDecryptEEK},
		{"key DECRYPT_EEK", decrypt, keyLevel, "DECRYPT_EEK"},
		{"GENERATE_EEK", reencrypt, kmsLevel, kms.AuditReencryptEEK},
		{"key GENERATE_EEK", reencrypt, keyLevel, "GENERATE_EEK"},
		{"GENERATE_EEK", batch, kmsLevel, kms.AuditReencryptEEKBatch},
		{"key GENERATE_EEK", batch, keyLevel, "GENERATE_EEK"},
	} {
		before := len(r.Recorder.Events())
		r.Policy.Deny("eve", c.deny)
		err := c.do()
		r.Policy.Permit("eve", c.deny)
		want := c.sentence
		if c.sentence == kmsLevel || c.sentence == unnamed || c.sentence == keyLevel {
			want = fmt.Sprintf(c.sentence, c.logged)
		}
		if !errors.Is(err, kms.ErrDenied) || err.Error() != want {
			t.Errorf("without %s: %v; want %q", c.deny, err, want)
			continue
		}
		events := r.Recorder.Events()[before:]
		if len(events) == 0 || events[0].Result != kms.AuditUnauthorized || events[0].Op != c.logged {
			t.Errorf("without %s: recorded %v; want UNAUTHORIZED of %s first and no attempt", c.deny, events, c.logged)
		}
	}
}

func TestInvalidateCacheRights(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	r.Policy.Deny("eve", string(kms.OpRollover))
	if err := r.InvalidateCache(t.Context(), kmstest.Call("eve"), "k"); err != nil {
		t.Errorf("with DELETE alone: %v", err)
	}
	r.Policy.Deny("eve", string(kms.OpDelete))
	if err := r.InvalidateCache(t.Context(), kmstest.Call("eve"), "k"); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("with neither right: %v; want %v", err, kms.ErrDenied)
	}
	r.Recorder.Fail(func(kms.Event) error { return errors.New("disk full") })
	r.Store.SetNotReady(errors.New("no database"))
	r.Gate.SetWorld("")
	if err := r.InvalidateCache(t.Context(), alice, "k"); err != nil {
		t.Errorf("in a bad state: %v; want success in every state", err)
	}
}

// What the error tells depends on who asks.
func TestWhoMayKnowTheMaker(t *testing.T) {
	r := kmstest.NewService(t)
	create(t, r.Service, alice, "k").must(t).hand.Told()
	for _, user := range []string{"alice", "bob", "eve", "mallory"} {
		r.Policy.Deny(user, string(kms.OpGetMetadata))
	}
	r.Policy.Permit("bob", string(kms.OpGetMetadata))
	r.Policy.Permit("mallory", string(kms.OpGetMetadata))
	r.Policy.Deny("mallory", kmstest.KeyOp(kms.KeyRead))
	for user, want := range map[string]bool{"alice": true, "bob": true, "eve": false, "mallory": false} {
		e, ok := errors.AsType[*kms.ExistsError](create(t, r.Service, kmstest.Call(user), "k").err)
		if !ok || (e.Key != nil) != want {
			t.Errorf("%s is told %v; want the maker named: %t", user, e, want)
		}
	}
}

func TestCreateIsChecked(t *testing.T) {
	r := kmstest.NewService(t)
	material := func(n int) kms.Material { return kms.NewMaterial(make([]byte, n)) }
	nul := "\x00"
	for _, c := range []struct {
		field string
		r     kms.CreateRequest
	}{
		{"name", kms.CreateRequest{Name: "a/_metadata"}},
		{"length", kms.CreateRequest{Name: "k", BitLength: 129}},
		{"length", kms.CreateRequest{Name: "k", BitLength: -1}},
		{"length", kms.CreateRequest{Name: "k", BitLength: 64, Material: material(8)}},
		{"material", kms.CreateRequest{Name: "k", Material: material(32)}},
		{"material", kms.CreateRequest{Name: "k", BitLength: 256, Material: material(16)}},
		{"material", kms.CreateRequest{Name: "k", Material: material(0)}},
		{"cipher", kms.CreateRequest{Name: "k", Cipher: "DES/CTR/NoPadding"}},
		{"cipher", kms.CreateRequest{Name: "k", Cipher: "AES/\x00"}},
		{"description", kms.CreateRequest{Name: "k", Description: &nul}},
		{"attributes", kms.CreateRequest{Name: "k", Attributes: map[string]string{"a": "\xff"}}},
		{"attributes", kms.CreateRequest{Name: "k", Attributes: map[string]string{kms.ACLAttribute: ""}}},
	} {
		_, _, err := r.CreateKey(t.Context(), alice, c.r)
		wantInvalid(t, err, c.field)
	}
	if n := len(r.Recorder.Events()); n != 0 {
		t.Errorf("%d events of requests that are wrong; want none", n)
	}
	for _, cipher := range []string{"AES", "aes/ctr/nopadding", "AES/CBC/PKCS5Padding"} {
		_, h, err := r.CreateKey(t.Context(), alice, kms.CreateRequest{Name: cipher[:3] + fmt.Sprint(len(cipher)), Cipher: cipher, BitLength: 192})
		if err != nil {
			t.Errorf("cipher %s: %v", cipher, err)
		}
		h.Told()
	}
	create(t, r.Service, alice, "k").must(t).hand.Told()
	_, _, err := r.RollNewVersion(t.Context(), alice, "k", material(32))
	wantInvalid(t, err, "material")
}

func TestMaterialOnlyForWhoMayGet(t *testing.T) {
	r := kmstest.NewService(t)
	r.Policy.Deny("alice", string(kms.OpGet))
	for _, a := range []answer{create(t, r.Service, alice, "k").must(t), roll(t, r.Service, alice, "k")} {
		a.must(t).hand.Told()
		if a.version.Material.Present() {
			t.Errorf("%s has material", a.version.Name)
		}
	}
}
