package backup

import (
	"crypto/fips140"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/postgres"
)

// TestParseRecipients: every fault is named with the position of its value and what to do, and no value is repeated in a
// sentence, for it may be a secret.
func TestParseRecipients(t *testing.T) {
	classicalOne := func() string { return newIdentity(t).Recipient().String() }
	quantum := func() string {
		identity, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		return identity.Recipient().String()
	}
	a, b, c, p, q := classicalOne(), classicalOne(), classicalOne(), quantum(), quantum()
	secret := newIdentity(t).String()
	for name, row := range map[string]struct {
		texts []string
		want  []string // of the faults
	}{
		"two":                  {[]string{a, b}, nil},
		"three":                {[]string{a, b, c}, nil},
		"post-quantum":         {[]string{p, q}, nil},
		"blanks":               {[]string{" " + a + "\n", b}, nil},
		"capitals":             {[]string{strings.ToUpper(a), b}, nil},
		"none":                 {nil, []string{"there is none"}},
		"one":                  {[]string{a}, []string{"there is only one"}},
		"one twice":            {[]string{a, b, a}, []string{"value 3 of 3 is the same as value 1"}},
		"one twice in capital": {[]string{a, strings.ToUpper(a)}, []string{"value 2 of 2 is the same as value 1"}},
		"mixed":                {[]string{a, b, q}, []string{"value 3 of 3 is a post-quantum recipient, and value 1 is an X25519 recipient"}},
		"mixed otherwise":      {[]string{p, b}, []string{"value 2 of 2 is an X25519 recipient, and value 1 is a post-quantum recipient"}},
		"a wrong character":    {[]string{a, b[:len(b)-1] + "b"}, []string{"value 2 of 2 is no recipient of age"}},
		"cut":                  {[]string{p[:100], q}, []string{"value 1 of 2 is no post-quantum recipient"}},
		"an identity":          {[]string{secret, b}, []string{"value 1 of 2 is an identity, which is secret"}},
		"an OpenPGP key":       {[]string{"-----BEGIN PGP PUBLIC KEY BLOCK-----", b}, []string{"value 1 of 2 is the key itself"}},
		"an address":           {[]string{"alice@example.com", b}, []string{"value 1 of 2 is not a recipient"}},
		"empty":                {[]string{a, "", b}, []string{"value 2 of 3 is empty"}},
		"all at once": {[]string{"x", a, a, secret}, []string{"value 1 of 4 is not a recipient", "value 3 of 4 is the same as value 2",
			"value 4 of 4 is an identity"}},
	} {
		r, err := ParseRecipients(row.texts, "", time.Now())
		if row.want == nil {
			if err != nil || len(r.list) != len(row.texts) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			opensOwn(t, r)
			continue
		}
		wrong, ok := errors.AsType[*RecipientsError](err)
		if !ok || len(wrong.Faults) != len(row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
			continue
		}
		for i, f := range wrong.Faults {
			if !strings.HasPrefix(f.Problem, row.want[i]) || f.Remedy == "" {
				t.Errorf("%s: %q, want %q with a remedy", name, f.Problem, row.want[i])
			}
		}
		for _, text := range row.texts {
			if len(text) > 1 && strings.Contains(err.Error(), text) {
				t.Errorf("%s: the error quotes a value", name)
			}
		}
	}
}

// opensOwn: the recipients and the run's own are taken together, and that one opens.
func opensOwn(t *testing.T, r Recipients) {
	t.Helper()
	own, seal, err := r.ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	w, err := seal(&file)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := own.open(strings.NewReader(file.String())); err != nil {
		t.Error(err)
	}
}

// TestCiphers: where FIPS 140 is enforced, a backup is neither made nor opened, and it is not called damaged.
func TestCiphers(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCiphers$")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	_, _, made := Recipients{}.ephemeral()
	_, _, opened := openArchive(strings.NewReader(ageMagic), Identities{})
	_, parsed := ParseIdentities("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n")
	fingerprint := openPGPPrefix + strings.Repeat("0", 40)
	if _, err := ParseRecipients([]string{fingerprint, fingerprint}, "", time.Now()); err == nil || !strings.Contains(err.Error(), "which the FIPS 140 mode that is enforced here forbids") {
		t.Errorf("OpenPGP recipients: %v", err)
	}
	for _, err := range []error{made, opened, parsed} {
		if setup, ok := errors.AsType[*postgres.SetupError](err); !ok || setup.Hint() == "" {
			t.Errorf("error %v", err)
		}
	}
}
