package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecovery(t *testing.T) {
	h := newHosts(t)
	must(t, h.activeRing.ConfirmRecovery(h.recovery))
	must(t, h.activeRing.ConfirmRecovery(" "+strings.ToUpper(strings.ReplaceAll(h.recovery, "-", " "))+"\n"))
	other, _, err := NewRecovery()
	must(t, err)
	if err := h.activeRing.ConfirmRecovery(other); err == nil {
		t.Error("another cluster's recovery key was confirmed")
	}
	public, err := ReadRecovery(h.active)
	must(t, err)
	must(t, os.Remove(filepath.Join(h.active, KEKDir, h.activeRing.newest.id, public.Fingerprint()+wrapSuffix)))
	if err := h.activeRing.ConfirmRecovery(h.recovery); err == nil {
		t.Error("a recovery key to which nothing is wrapped was confirmed")
	}
}

func TestRecoveryKeyKnowsItsTypingErrors(t *testing.T) {
	text := formatRecovery(bytes.Repeat([]byte{0x5a, 0x17}, 16))
	if _, err := ParseRecovery(text); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
			bad := text[:i] + string(c) + text[i+1:]
			if bad == text {
				continue
			}
			if _, err := ParseRecovery(bad); err == nil {
				t.Fatalf("accepted %q for %q", bad, text)
			}
		}
		if _, err := ParseRecovery(text[:i]); err == nil {
			t.Fatalf("accepted %d characters of it", i)
		}
		if i > 0 && text[i] != text[i-1] && text[i] != '-' && text[i-1] != '-' {
			if _, err := ParseRecovery(text[:i-1] + text[i:i+1] + text[i-1:i] + text[i+1:]); err == nil {
				t.Fatalf("accepted characters %d and %d exchanged", i-1, i)
			}
		}
	}
}

func FuzzParseRecovery(f *testing.F) {
	f.Add(formatRecovery(make([]byte, 32)))
	f.Add("ktrecovery1-aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		if root, err := ParseRecovery(text); err == nil {
			seed, err := root.key.Bytes()
			must(t, err)
			if len(formatRecovery(seed)) != len(recoveryPrefix)+14*5 {
				t.Fatal("not the form that is written")
			}
		} else if len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Fatal("the error quotes the key")
		}
	})
}
