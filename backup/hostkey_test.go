package backup

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"keytrustee/internal/sshtest"
	"keytrustee/postgres/pgtest"
)

// TestHostKey: nothing is sent to a host that is not known, whose key is another one, or revoked. Each refusal tells the
// fingerprint that was seen.
func TestHostKey(t *testing.T) {
	s := sshtest.New(t, "ed25519", "ecdsa", "rsa")
	y := newYard(t, parsed(t, s.URL(s.Port)))
	y.SSH = sshOf(s)
	a := y.add(1, 100)
	known := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.KnownHosts, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := fmt.Sprintf("[127.0.0.1]:%d", s.Port)
	line := func(kind string) string {
		return address + " " + string(ssh.MarshalAuthorizedKey(s.HostKey(kind)))
	}

	known("# nobody\n")
	d := y.fails("its host is unknown")
	words := strings.Fields(d.Remedy)
	kind := words[len(words)-2]
	for name, k := range map[string]string{"ed25519": ssh.KeyAlgoED25519, "ecdsa": ssh.KeyAlgoECDSA256, "rsa": ssh.KeyAlgoRSA} {
		if k == kind && (!strings.Contains(d.Problem, ssh.FingerprintSHA256(s.HostKey(name))) || !strings.HasSuffix(d.Remedy, strings.TrimSpace(line(name)))) {
			t.Errorf("%+v", d)
		}
	}
	// The line that it gives is the one that is wanted.
	known(d.Remedy[strings.LastIndex(d.Remedy, "\n")+1:] + "\n")
	y.ship(a)
	// A host with several keys shows the one that it is known by.
	for _, name := range []string{"ed25519", "ecdsa", "rsa"} {
		known(line(name))
		y.ship()
	}
	known(strings.ReplaceAll(line("ed25519"), address, "[localhost]:"+address[strings.LastIndex(address, ":")+1:]))
	y.fails("its host is unknown")

	known(line("ecdsa") + "@revoked * " + string(ssh.MarshalAuthorizedKey(s.HostKey("ecdsa"))))
	if d := y.fails("showed a key that is revoked"); !strings.Contains(d.Problem, ssh.FingerprintSHA256(s.HostKey("ecdsa"))) {
		t.Errorf("%+v", d)
	}

	s2 := sshtest.New(t) // one that took its place, with keys of its own
	y.Targets = []Target{parsed(t, s2.URL(s2.Port))}
	for _, name := range []string{"ed25519", "ecdsa"} { // also where it has none of the kind that is known
		known(strings.ReplaceAll(line(name), address, fmt.Sprintf("[127.0.0.1]:%d", s2.Port)))
		d = y.fails("its host is not the one that is known")
		if !strings.Contains(d.Problem, ssh.FingerprintSHA256(s2.HostKey("ed25519"))) || !strings.Contains(d.Problem, ssh.FingerprintSHA256(s.HostKey(name))) ||
			!strings.Contains(d.Problem, "line 1 of "+s.KnownHosts) || !strings.Contains(d.Remedy, "nothing was sent") {
			t.Errorf("%+v", d)
		}
	}
	holds(t, s2.Store)

	known("nonsense\n")
	y.fails("the file with the keys of hosts can not be read")
	y.SSH.KnownHosts = ""
	if d := y.fails("nothing says by which key its host is known"); !strings.Contains(d.Remedy, "backup_ssh_known_hosts") {
		t.Errorf("%+v", d)
	}
}

// TestSSHKey: a private key that others can read, that wants a passphrase or is none is refused, and never quoted.
func TestSSHKey(t *testing.T) {
	s := sshtest.New(t)
	y := newYard(t, parsed(t, s.URL(s.Port)))
	y.SSH = sshOf(s)
	a := y.add(1, 100)
	if err := os.Chmod(s.Key, 0o640); err != nil {
		t.Fatal(err)
	}
	if d := y.fails("it has mode 0640"); !strings.Contains(d.Remedy, "chmod 0600") {
		t.Errorf("%+v", d)
	}
	if err := os.Chmod(s.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "locked")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", locked).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	y.SSH.Key = locked
	y.fails("it wants a passphrase")
	nonsense := filepath.Join(t.TempDir(), "nonsense")
	if err := os.WriteFile(nonsense, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	y.SSH.Key = nonsense
	if d := y.fails("it is no private key"); strings.Contains(d.Problem, "c2VjcmV0") {
		t.Errorf("%+v", d)
	}
	y.SSH.Key = filepath.Join(t.TempDir(), "absent")
	y.fails("no such file")
	y.SSH.Key = t.TempDir()
	y.fails("others could read it")

	stranger := filepath.Join(t.TempDir(), "stranger")
	sshtest.NewKey(t, stranger)
	y.SSH.Key = stranger
	if d := y.fails("it did not let the user " + s.User + " in with the key of " + stranger); !strings.Contains(d.Remedy, "authorized_keys") {
		t.Errorf("%+v", d)
	}
	y.SSH.Key = s.Key
	y.ship(a)
}

// TestSSHAgent: without a key the agent is asked, and what is wrong with it is told.
func TestSSHAgent(t *testing.T) {
	s := sshtest.New(t)
	y := newYard(t, parsed(t, s.URL(s.Port)))
	a := y.add(1, 100)
	y.SSH = SSH{KnownHosts: s.KnownHosts}
	y.fails("no agent to ask")
	dir := pgtest.Dir(t)
	y.SSH.Agent = filepath.Join(dir, "agent")
	y.fails("does not answer")

	binary, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-D", "-a", y.SSH.Agent)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pgtest.Await(t, "the agent answers", func() bool {
		conn, err := net.Dial("unix", y.SSH.Agent)
		if err != nil {
			return false
		}
		defer conn.Close()
		keys, err := agent.NewClient(conn).List()
		return err == nil && len(keys) == 0
	})
	y.fails("has no key")
	add := exec.Command("ssh-add", "-q", s.Key)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+y.SSH.Agent)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatal(errors.Join(err, errors.New(string(out))))
	}
	y.ship(a)
	holds(t, s.Store, a)
}
