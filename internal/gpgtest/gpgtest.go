// Package gpgtest makes OpenPGP keys for tests, with GnuPG, which tools/need installs, and uses them as whoever holds them would.
package gpgtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Home is the keyring of one person.
type Home struct {
	tb  testing.TB
	dir string
}

// New is a keyring of nobody yet. It is gone when the test ends, and its agent with it.
func New(tb testing.TB) *Home {
	tb.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		tb.Fatalf("GnuPG is missing: tools/need gpg (%v)", err)
	}
	dir, err := os.MkdirTemp("", "gpg") // short: the agent's socket lies in it
	if err != nil {
		tb.Fatal(err)
	}
	h := &Home{tb, dir}
	tb.Cleanup(func() {
		if out, err := h.command("gpgconf", "--homedir", dir, "--kill", "all").CombinedOutput(); err != nil {
			tb.Errorf("ending the agent: %v: %s", err, out)
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return h
}

func (h *Home) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GNUPGHOME="+h.dir)
	return cmd
}

// Try runs gpg, which asks nobody: secret keys have no passphrase, but for those that options give one.
func (h *Home) Try(stdin []byte, options ...string) (stdout []byte, stderr string, err error) {
	cmd := h.command("gpg", append([]string{"--homedir", h.dir, "--batch", "--yes", "--no-tty", "--trust-model", "always", "--pinentry-mode", "loopback", "--passphrase", ""}, options...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &said
	err = cmd.Run()
	return out.Bytes(), said.String(), err
}

// Run is Try of what has to succeed, and returns what gpg has written.
func (h *Home) Run(stdin []byte, options ...string) []byte {
	h.tb.Helper()
	out, said, err := h.Try(stdin, options...)
	if err != nil {
		h.tb.Fatalf("gpg %q: %v: %s", options, err, said)
	}
	return out
}

// What keys consist of: a part that certifies and signs, and one that encrypts.
const (
	RSA   = "Key-Type: RSA\nKey-Length: 3072\nKey-Usage: sign\nSubkey-Type: RSA\nSubkey-Length: 3072\nSubkey-Usage: encrypt\n"
	Curve = "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\nSubkey-Type: ECDH\nSubkey-Curve: cv25519\nSubkey-Usage: encrypt\n"
)

// Make makes a key of name, of such parts and further lines as gpg reads them, and returns its fingerprint. Without a line Passphrase it has
// no passphrase, and without Expire-Date it never expires.
func (h *Home) Make(name, parts string, options ...string) string {
	h.tb.Helper()
	if !strings.Contains(parts, "Passphrase:") {
		parts = "%no-protection\n" + parts
	}
	if !strings.Contains(parts, "Expire-Date:") {
		parts += "Expire-Date: 0\n"
	}
	said := h.Run(fmt.Appendf(nil, "%sName-Real: %s\n", parts, name), append(options, "--status-fd", "1", "--generate-key")...)
	for line := range strings.Lines(string(said)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[1] == "KEY_CREATED" {
			return fields[3]
		}
	}
	h.tb.Fatalf("gpg made no key: %s", said)
	return ""
}

// Public exports the public halves, binary.
func (h *Home) Public(fingerprints ...string) []byte {
	h.tb.Helper()
	return h.Run(nil, append([]string{"--export"}, fingerprints...)...)
}

// Secret exports the secret half, armored.
func (h *Home) Secret(fingerprint string, options ...string) []byte {
	h.tb.Helper()
	return h.Run(nil, append(options, "--armor", "--export-secret-keys", fingerprint)...)
}

// Revoke revokes a key.
func (h *Home) Revoke(fingerprint string) {
	h.tb.Helper()
	text, err := os.ReadFile(h.dir + "/openpgp-revocs.d/" + fingerprint + ".rev")
	if err != nil {
		h.tb.Fatal(err)
	}
	h.Run(bytes.Replace(text, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), "--import")
}

// File is the path of a file of the keyring.
func (h *Home) File(name string) string { return h.dir + "/" + name }
