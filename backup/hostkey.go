package backup

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys are the keys that hosts are known by: a file in the form of OpenSSH's known_hosts.
type hostKeys struct {
	file  string
	check ssh.HostKeyCallback
}

func loadHostKeys(file string) (hostKeys, error) {
	if file == "" {
		return hostKeys{}, &TargetError{Err: errors.New("nothing says by which key its host is known"),
			Remedy: "name a file in the form of OpenSSH's known_hosts, with the key of that host, as backup_ssh_known_hosts: ssh-keyscan fetches one, and who runs the host knows whether it is its own"}
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return hostKeys{}, &TargetError{Err: fmt.Errorf("the file with the keys of hosts can not be read: %w", err),
			Remedy: "correct backup_ssh_known_hosts, or that file: one line a key, HOST TYPE KEY; for a port other than 22 [HOST]:PORT TYPE KEY"}
	}
	return hostKeys{file, check}, nil
}

// algorithms are those of the keys that the host is known by, so that it shows one of these where it has several; none for a
// host that is unknown.
func (k hostKeys) algorithms(address string) (names []string) {
	unknown, ok := errors.AsType[*knownhosts.KeyError](k.check(address, nowhere{}, noKey{}))
	if !ok {
		return nil
	}
	for _, known := range unknown.Want {
		switch kind := known.Key.Type(); kind {
		case ssh.KeyAlgoRSA: // the name of the key, and of a way to sign with SHA-1
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			names = append(names, kind)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuse returns why a host that shows key is not the one that is known, or nil.
func (k hostKeys) refuse(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(address, remote, key)
	if err == nil {
		return nil
	}
	seen := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	name := knownhosts.Normalize(address)
	if wrong, ok := errors.AsType[*knownhosts.KeyError](err); ok && len(wrong.Want) == 0 {
		return &TargetError{Err: fmt.Errorf("its host is unknown: %s has no key of %s, and it showed %s", k.file, name, seen),
			Remedy: "ask who runs it whether that is its key (there: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub, for one of another type its own file); if so, add this line to " +
				k.file + ":\n" + knownhosts.Line([]string{address}, key)}
	} else if ok {
		known := wrong.Want[0]
		return &TargetError{Err: fmt.Errorf("its host is not the one that is known: it showed the key %s, and line %d of %s has %s %s", seen, known.Line, known.Filename,
			known.Key.Type(), ssh.FingerprintSHA256(known.Key)), Remedy: "nothing was sent. Somebody may be between this host and that one. If it was set up anew, ask who runs it for its key, and only if that is " +
			ssh.FingerprintSHA256(key) + " replace the line"}
	}
	if revoked, ok := errors.AsType[*knownhosts.RevokedError](err); ok {
		return &TargetError{Err: fmt.Errorf("its host showed a key that is revoked: %s, by line %d of %s", seen, revoked.Revoked.Line, revoked.Revoked.Filename),
			Remedy: "nothing was sent: ask who runs that host for its key"}
	}
	return fmt.Errorf("its host showed %s: %w", seen, err)
}

// noKey is a key that no host has, to ask with which ones are known.
type noKey struct{ ssh.PublicKey }

func (noKey) Type() string    { return "none" }
func (noKey) Marshal() []byte { return []byte("none") }

// nowhere is the address of nobody.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "0.0.0.0:0" }
