package backup

import (
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestParseIdentities: files as age-keygen makes them are read, with both kinds in them.
func TestParseIdentities(t *testing.T) {
	classic, hybrid := newIdentity(t), newHybrid(t)
	ids, err := ParseIdentities("# created: 2026-11-29T15:00:00Z\r\n# public key: " + classic.Recipient().String() + "\r\n" + classic.String() + "\r\n\n  " + hybrid.String() + "  \n")
	if err != nil || len(ids.list) != 2 || ids.list[0].recipient != classic.Recipient().String() || ids.list[1].recipient != hybrid.Recipient().String() {
		t.Fatalf("%v, %v", ids, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(verb, ids) + fmt.Sprintf(verb, &ids)
		for _, secret := range []string{classic.String()[20:30], hybrid.String()[20:30]} {
			if strings.Contains(strings.ToUpper(text), secret) || len(text) > 20_000 {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

// TestParseIdentitiesRefuses: each wrong file is refused with what to do, and nothing of it is quoted.
func TestParseIdentitiesRefuses(t *testing.T) {
	one := newIdentity(t).String()
	for name, row := range map[string]struct{ text, want string }{
		"nothing":                {"", "there is no identity"},
		"comments":               {"# " + one + "\n\n", "there is no identity"},
		"a character is missing": {"\n" + one[:40] + one[41:] + "\n", "line 2 of the identities is no identity: a character is missing"},
		"one of two":             {one + "\n" + one[:len(one)-1], "line 2 of the identities"},
		"a recipient":            {newIdentity(t).Recipient().String(), "is a recipient, which opens nothing"},
		"a plugin's":             {"AGE-PLUGIN-YUBIKEY-1QQPQQQQ", "of a plugin or of SSH"},
		"SSH":                    {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "of a plugin or of SSH"},
		"a passphrase":           {"age-encryption.org/v1\n-> scrypt xxx 18\n", "encrypted with a passphrase"},
		"a passphrase, in text":  {"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "encrypted with a passphrase"},
		"something else":         {"correct horse battery staple", "line 1 of the identities is no identity of age"},
	} {
		_, err := ParseIdentities(row.text)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
			continue
		}
		hint, ok := err.(interface{ Hint() string })
		if !ok || hint.Hint() == "" {
			t.Errorf("%s: no hint", name)
		}
		for line := range strings.Lines(row.text) {
			if line = strings.TrimSpace(line); len(line) > 12 && strings.Contains(err.Error(), line[8:]) {
				t.Errorf("%s: the error quotes it: %v", name, err)
			}
		}
	}
}

func FuzzParseIdentities(f *testing.F) {
	f.Add("AGE-SECRET-KEY-1QQQ\n# x\n")
	f.Add("AGE-SECRET-KEY-PQ-1QQQ")
	f.Fuzz(func(t *testing.T, text string) {
		if ids, err := ParseIdentities(text); err == nil && len(ids.list) == 0 {
			t.Error("no error, and no identity")
		}
	})
}

func newHybrid(t *testing.T) *age.HybridIdentity {
	t.Helper()
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}
