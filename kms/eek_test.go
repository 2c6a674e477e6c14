package kms_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

type eekVector struct {
	Kind, Key, MaterialHex0, MaterialHex1, IVHex, DEKHex, EEKHex, ReencryptedHex, ReencryptedVersion string
	Name                                                                                             string
	Index                                                                                            int
	Result                                                                                           string
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func createWith(t *testing.T, r *kmstest.Rig, name string, material []byte) {
	t.Helper()
	_, h, err := r.CreateKey(t.Context(), alice, kms.CreateRequest{Name: name, BitLength: 8 * len(material), Material: kms.NewMaterial(material)})
	if err != nil {
		t.Fatal(err)
	}
	h.Told()
}

// What Hadoop's own classes encrypted is decrypted, and re-encrypted to the same bytes.
func TestHadoopVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/hadoop-eek-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []eekVector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	tested := map[string]int{}
	for _, v := range file.Vectors {
		tested[v.Kind]++
		if v.Kind == "buildVersionName" {
			if got := kms.NthVersionName(kms.KeyName(v.Name), v.Index); string(got) != v.Result {
				t.Errorf("version %d of %q is %q; want %q", v.Index, v.Name, got, v.Result)
			}
			continue
		}
		if v.Key == "" {
			v.Key = "wrap"
		}
		r := kmstest.NewService(t)
		name := kms.KeyName(v.Key)
		createWith(t, r, v.Key, unhex(t, v.MaterialHex0))
		e := kms.EncryptedKeyVersion{Key: name, Version: kms.NthVersionName(name, 0), IV: unhex(t, v.IVHex), EEK: unhex(t, v.EEKHex)}
		dek, err := r.DecryptEEK(t.Context(), alice.Principal, e)
		if err != nil || !bytes.Equal(dek.Material.Bytes(), unhex(t, v.DEKHex)) || dek.Name != "EK" || dek.Key != name {
			t.Errorf("%s: DecryptEEK = %s %s %x, %v", v.Key, dek.Key, dek.Name, dek.Material.Bytes(), err)
		}
		same, err := r.ReencryptEEK(t.Context(), alice.Principal, e)
		if diff := cmp.Diff(e, same); err != nil || diff != "" {
			t.Errorf("%s: re-encrypted with the same version: %v\n%s", v.Key, err, diff)
		}
		if v.MaterialHex1 == "" {
			continue
		}
		_, h, err := r.RollNewVersion(t.Context(), alice, name, kms.NewMaterial(unhex(t, v.MaterialHex1)))
		if err != nil {
			t.Fatal(err)
		}
		h.Told()
		want := kms.EncryptedKeyVersion{Key: name, Version: kms.VersionName(v.ReencryptedVersion), IV: e.IV, EEK: unhex(t, v.ReencryptedHex)}
		got, err := r.ReencryptEEK(t.Context(), alice.Principal, e)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: ReencryptEEK: %v, difference (-want +got):\n%s", v.Key, err, diff)
		}
		e.Key = "" // as in a batch
		batch, err := r.ReencryptEEKs(t.Context(), alice.Principal, name, []kms.EncryptedKeyVersion{e, want})
		if diff := cmp.Diff([]kms.EncryptedKeyVersion{want, want}, batch); err != nil || diff != "" {
			t.Errorf("%s: ReencryptEEKs: %v, difference (-want +got):\n%s", v.Key, err, diff)
		}
	}
	if tested["eek"] != 3 || tested["eek-counter-wrap"] != 1 || tested["buildVersionName"] != 3 {
		t.Errorf("vectors tested: %v", tested)
	}
}

func TestGenerateEEK(t *testing.T) {
	r := kmstest.NewService(t)
	for _, bytes := range []int{16, 24, 32} {
		name := map[int]string{16: "k16", 24: "k24", 32: "k32"}[bytes]
		createWith(t, r, name, make([]byte, bytes))
		roll(t, r.Service, alice, kms.KeyName(name)).must(t).hand.Told()
		eeks, err := r.GenerateEEK(t.Context(), alice.Principal, kms.KeyName(name), 150)
		if err != nil || len(eeks) != 150 {
			t.Fatalf("%d EEKs, %v; want 150", len(eeks), err)
		}
		seen := map[string]bool{}
		for _, e := range eeks {
			dek, err := r.DecryptEEK(t.Context(), alice.Principal, e)
			if err != nil || len(dek.Material.Bytes()) != bytes || e.Version != kms.NthVersionName(kms.KeyName(name), 1) {
				t.Errorf("DecryptEEK of %s: %d bytes, %v", e.Version, len(dek.Material.Bytes()), err)
			}
			seen[string(dek.Material.Bytes())], seen[string(e.IV)] = true, true
		}
		if len(seen) != 300 {
			t.Errorf("%d different data keys and IVs; want 300", len(seen))
		}
	}
	for _, n := range []int{0, -1} {
		if eeks, err := r.GenerateEEK(t.Context(), alice.Principal, "k16", n); err != nil || eeks == nil || len(eeks) != 0 {
			t.Errorf("GenerateEEK of %d = %v, %v; want an empty list", n, eeks, err)
		}
	}
	_, err := r.GenerateEEK(t.Context(), alice.Principal, "k16", 10_001)
	wantInvalid(t, err, "num_keys")
}

// The checks come in Hadoop's order: the arguments, the right to the operation, the version, its key, the right on the key.
func TestDecryptEEKChecks(t *testing.T) {
	r := kmstest.NewService(t)
	createWith(t, r, "k", make([]byte, 16))
	createWith(t, r, "other", make([]byte, 16))
	createWith(t, r, "gone", make([]byte, 16))
	remove(t, r.Service, alice, "gone").must(t).hand.Told()
	iv, short := make([]byte, 16), make([]byte, 17)
	for _, c := range []struct {
		name        string
		e           kms.EncryptedKeyVersion
		user, error string
	}{
		{"IV", kms.EncryptedKeyVersion{Key: "k", Version: "k@0", IV: short}, "noop", "iv must have 16 bytes; it has 17"},
		{"Op", kms.EncryptedKeyVersion{Key: "k", Version: "k@9", IV: iv}, "noop", "User:noop not allowed to do 'DECRYPT_EEK' on 'k'"},
		{"Version", kms.EncryptedKeyVersion{Key: "other", Version: "k@1", IV: iv}, "nokey", "'k@1' not found"},
		{"NUL", kms.EncryptedKeyVersion{Key: "other", Version: "k@\x00", IV: iv}, "nokey", `'k@\x00' not found`},
		{"Deleted", kms.EncryptedKeyVersion{Key: "gone", Version: "gone@0", IV: iv}, "alice", "'gone@0' not found"},
		{"Key", kms.EncryptedKeyVersion{Key: "k", Version: "other@0", IV: iv}, "nokey", "KeyVersion 'other@0' does not belong to the key 'k'"},
		{"KeyOp", kms.EncryptedKeyVersion{Key: "k", Version: "k@0", IV: iv}, "nokey", "User [nokey] is not authorized to perform [DECRYPT_EEK] on key with ACL name [k]!!"},
	} {
		r.Policy.Deny("noop", string(kms.OpDecryptEEK))
		r.Policy.Deny("nokey", kmstest.KeyOp(kms.KeyDecryptEEK))
		if v, err := r.DecryptEEK(t.Context(), kmstest.User(c.user), c.e); err == nil || err.Error() != c.error || v.Material.Present() {
			t.Errorf("%s: %v; want %q", c.name, err, c.error)
		}
	}
	if v, err := r.DecryptEEK(t.Context(), alice.Principal, kms.EncryptedKeyVersion{Key: "k", Version: "k@0", IV: iv}); err != nil || !v.Material.Present() {
		t.Errorf("an EEK of no bytes: %v; want a data key of no bytes", err)
	}
}

func BenchmarkDecryptEEK(b *testing.B) {
	r := kmstest.NewService(b)
	if _, h, err := r.CreateKey(b.Context(), alice, kms.CreateRequest{Name: "k"}); err != nil {
		b.Fatal(err)
	} else {
		h.Told()
	}
	e, err := r.GenerateEEK(b.Context(), alice.Principal, "k", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.DecryptEEK(b.Context(), alice.Principal, e[0]); err != nil {
			b.Fatal(err)
		}
	}
}
