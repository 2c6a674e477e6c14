package certs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	token := NewToken("kt01.example.com:11372", Fingerprint{1, 2, 3}, now.Add(time.Hour))
	text := token.Text()
	got, err := ParseToken("\n " + text + " \n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Address != token.Address || got.Authority != token.Authority || !got.Expires.Equal(token.Expires) || got.Secret() != token.Secret() {
		t.Errorf("read %q, want what was written", got.Address)
	}
	if got.Hash() != HashSecret(token.Secret()) || strings.Contains(got.Hash(), token.Secret()) {
		t.Error("the hash is wrong")
	}
	if got.Expired(now.Add(time.Hour - time.Second)) {
		t.Error("expired a second early")
	}
	if !got.Expired(now.Add(time.Hour)) {
		t.Error("not expired in time")
	}
	for _, s := range []string{fmt.Sprint(token), fmt.Sprintf("%+v", *token), fmt.Sprintf("%#v", token)} {
		if s != "[redacted]" {
			t.Errorf("printed as %q", s)
		}
	}
	if again := NewToken("a:1", Fingerprint{}, now); again.Secret() == NewToken("a:1", Fingerprint{}, now).Secret() {
		t.Error("two tokens share a secret")
	}
}

func TestParseTokenRefuses(t *testing.T) {
	text := NewToken("kt01:11372", Fingerprint{9}, time.Unix(2e9, 0)).Text()
	tests := []struct{ name, text, says string }{
		{"empty", "", "it does not begin with ktjoin1."},
		{"other text", "hvs.CAESIJ", "it does not begin with ktjoin1."},
		{"prefix only", "ktjoin1.", "its end is missing"},
		{"cut", text[:len(text)-4], "a part is missing"},
		{"cut much", text[:40], "its end is missing"},
		{"a blank inside", text[:30] + " " + text[30:], "a character that no token has"},
	}
	for _, tt := range tests {
		_, err := ParseToken(tt.text)
		if !errors.Is(err, errTokenForm) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
	for i := len(tokenPrefix); i < len(text); i++ { // every single mistyped character
		c := byte('A')
		if text[i] == c {
			c = 'B'
		}
		if _, err := ParseToken(text[:i] + string(c) + text[i+1:]); !errors.Is(err, errTokenForm) {
			t.Fatalf("character %d mistyped: %v", i, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken("kt01:11372", Fingerprint{9}, time.Unix(2e9, 0)).Text())
	f.Add("ktjoin1.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if token.Text() != strings.TrimSpace(text) {
			t.Errorf("%q reads as %q", text, token.Text())
		}
	})
}
