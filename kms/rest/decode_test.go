package rest

import (
	"bytes"
	"encoding/base64"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"keytrustee/kms"
)

func testServer(t testing.TB) *Server {
	t.Helper()
	s, err := New(Config{Service: &failing{}, Clients: &doorman{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeBase64(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"AAEC":                 "\x00\x01\x02",
		"+/+/":                 "\xfb\xff\xbf",
		"-_-_":                 "\xfb\xff\xbf",
		"AA==":                 "\x00",
		"AA":                   "\x00",
		"AAE":                  "\x00\x01",
		"A":                    "",
		"A A\r\nE?C":           "\x00\x01\x02",
		"AA==AAAA":             "\x00",
		"=AAAA":                "",
		"!!!":                  "",
		"AAECAwQF\r\nBgcICQ==": "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09",
	} {
		if got := string(decodeBase64(text)); got != want {
			t.Errorf("%q decodes to %q, want %q", text, got, want)
		}
	}
}

// FuzzBase64: what either alphabet encodes comes back, with or without padding and line feeds.
func FuzzBase64(f *testing.F) {
	f.Add([]byte{0xfb, 0xff, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(b)
			if len(text) > 2 {
				text = text[:1] + "\r\n" + text[1:]
			}
			if got := decodeBase64(text); !bytes.Equal(got, b) {
				t.Fatalf("%x comes back from %q as %x", b, text, got)
			}
		}
	})
}

// FuzzPath: every name that a key can have comes back from every path of it; no path makes anything panic.
func FuzzPath(f *testing.F) {
	for _, name := range []string{"k", "a b", "sl/ash", "//", ";x=y", "%2F", "_metadata", "k/_metadata", "ü", "\n", "..", "/_eek/"} {
		f.Add(name)
	}
	s := testServer(f)
	f.Fuzz(func(t *testing.T, name string) {
		s.resolve("/kms/v1/key/" + name)
		s.resolve(name)
		if _, err := kms.ParseKeyName(name); err != nil {
			return
		}
		escaped := url.PathEscape(name)
		for suffix, want := range map[string]resource{"": key, "/_metadata": metadata, "/_eek": keyEEK, "/_versions/": keyVersions, "/_metadata;x=1": metadata} {
			found, got, err := s.resolve("/kms/v1/key/" + escaped + suffix)
			if err != nil || got != name || found != want {
				t.Fatalf("%q + %s is %s of %q, %v", escaped, suffix, found, got, err)
			}
		}
		r := httptest.NewRequest("GET", "/kms/v1/key/"+escaped, nil)
		if target := targetOf(r); target.EscapedPath() != escapedPath(r) {
			t.Fatalf("%q is forwarded as %q", escapedPath(r), target.EscapedPath())
		}
	})
}

// FuzzEEK: no item of a batch makes anything panic, and what is taken is whole.
func FuzzEEK(f *testing.F) {
	f.Add([]byte(`{"versionName":"k@0","iv":"8PHy","encryptedKeyVersion":{"name":null,"versionName":"EEK","material":"AIjb"}}`))
	f.Add([]byte(`{"versionName":null}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parseEEK(raw)
		if err == nil && (e.Version == "" || e.IV == nil || e.EEK == nil || strings.ContainsRune(string(e.Version), 0)) {
			t.Fatalf("%q is taken as %+v", raw, e)
		}
	})
}

func TestToUTF8(t *testing.T) {
	const want = `{"name":"ü€"}`
	encode := func(mark []byte, low int) []byte {
		text := bytes.Clone(mark)
		for _, u := range utf16.Encode([]rune(want)) {
			pair := [2]byte{byte(u >> 8), byte(u)}
			text = append(text, pair[low], pair[1-low])
		}
		return text
	}
	for name, text := range map[string][]byte{
		"UTF-8":               []byte(want),
		"UTF-8 with a mark":   []byte("\xef\xbb\xbf" + want),
		"UTF-16BE":            encode(nil, 0),
		"UTF-16LE":            encode(nil, 1),
		"UTF-16BE and a mark": encode([]byte{0xfe, 0xff}, 0),
		"UTF-16LE and a mark": encode([]byte{0xff, 0xfe}, 1),
	} {
		if got, err := toUTF8(text); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := toUTF8([]byte("{\xfc}")); err == nil {
		t.Error("bytes that are no UTF-8 are taken")
	}
}
