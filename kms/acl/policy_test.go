package acl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/kms"
)

func TestWithoutRules(t *testing.T) {
	p, err := Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	anybody := kms.Principal{Short: "anybody", Full: "anybody"}
	for op, want := range map[kms.Op]bool{
		kms.OpCreate: true, kms.OpDelete: true, kms.OpRollover: true, kms.OpGet: true, kms.OpGetKeys: true,
		kms.OpGetMetadata: true, kms.OpSetKeyMaterial: true, kms.OpGenerateEEK: true, kms.OpDecryptEEK: true,
		kms.OpUndelete: true, kms.OpPurge: false,
	} {
		if got := p.Allows(anybody, op); got != want {
			t.Errorf("Allows(%s) = %v, want %v", op, got, want)
		}
	}
	for _, op := range []kms.KeyOp{kms.KeyManagement, kms.KeyGenerateEEK, kms.KeyDecryptEEK, kms.KeyRead} {
		if !p.AllowsKey(anybody, op, "payroll") {
			t.Errorf("AllowsKey(%s) = false", op)
		}
	}
}

func TestCreateNamesTheRules(t *testing.T) {
	p, err := Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []map[string]string{nil, {}, {"a": "b"}} {
		got, ok := p.AllowsCreate(kms.Principal{}, "payroll", given)
		if !ok || got[kms.ACLAttribute] != "payroll" || len(got) != len(given)+1 {
			t.Errorf("AllowsCreate(%v) = %v, %v", given, got, ok)
		}
		if _, changed := given[kms.ACLAttribute]; changed {
			t.Error("AllowsCreate changed the caller's map")
		}
	}
	got, ok := p.AllowsCreate(kms.Principal{}, "payroll", map[string]string{kms.ACLAttribute: "hr"})
	if !ok || got[kms.ACLAttribute] != "hr" || len(got) != 1 {
		t.Errorf("a key that names its rules: %v, %v", got, ok)
	}
}

func TestRulesAreNeverIgnored(t *testing.T) {
	for _, make := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, []byte("<configuration/>"), 0o600) },
		func(path string) error { return os.Symlink("/nowhere", path) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, rulesFile)); err != nil {
			t.Fatal(err)
		}
		p, err := Load(dir)
		if p != nil || err == nil || !strings.Contains(err.Error(), rulesFile) {
			t.Errorf("Load with rules = %v, %v", p, err)
		}
	}
	if _, err := Load(string([]byte{'x', 0})); err == nil {
		t.Error("a confdir that can not be looked into has no rules")
	}
}
