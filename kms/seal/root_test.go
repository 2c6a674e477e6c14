package seal

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecretsHaveNoPrintableForm(t *testing.T) {
	h := newHosts(t)
	root, err := LoadRoot(RootPath(h.active))
	must(t, err)
	seed, err := root.key.Bytes()
	must(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, secret := range []any{root, h.activeRing.newest, struct{ *Root }{root}} {
			text := fmt.Sprintf(format, secret)
			for _, s := range [][]byte{seed, h.activeRing.newest.secret[:]} {
				if strings.Contains(text, string(s)) || strings.Contains(text, fmt.Sprintf("%x", s)) || strings.Contains(text, fmt.Sprint(s)) {
					t.Errorf("%s prints a secret", format)
				}
			}
		}
	}
}

func FuzzPublicKey(f *testing.F) {
	_, public, err := NewRecovery()
	if err != nil {
		f.Fatal(err)
	}
	text, _ := public.MarshalText()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var p Public
		if p.UnmarshalText(text) != nil {
			return
		}
		again, err := p.MarshalText()
		must(t, err)
		var q Public
		if err := q.UnmarshalText(again); err != nil || q.Fingerprint() != p.Fingerprint() {
			t.Fatalf("written and read again: %v", err)
		}
	})
}
