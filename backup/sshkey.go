package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// SSH is how targets behind SFTP are known, and this host to them.
type SSH struct {
	KnownHosts string // a file in the form of OpenSSH's known_hosts
	Key        string // a file with a private key; empty: the agent at Agent is asked
	Agent      string // socket of an agent
}

// login is what lets this host in at a target.
type login struct {
	method ssh.AuthMethod
	shown  string // the keys that it can show, for people
	close  func() error
}

// open reads the key, or reaches the agent.
func (s SSH) open(ctx context.Context) (*login, error) {
	if s.Key != "" {
		signer, err := readKey(s.Key)
		if err != nil {
			return nil, err
		}
		return &login{ssh.PublicKeys(signer), "the key of " + s.Key + ", " + ssh.FingerprintSHA256(signer.PublicKey()), func() error { return nil }}, nil
	}
	noAgent := func(err error) error {
		return &TargetError{Err: err, Remedy: "name a private key as backup_ssh_key, or have an agent run that SSH_AUTH_SOCK names, for the user of the service"}
	}
	if s.Agent == "" {
		return nil, noAgent(errors.New("there is no key to show it, and no agent to ask for one"))
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.Agent)
	if err != nil {
		return nil, noAgent(fmt.Errorf("the agent that SSH_AUTH_SOCK names does not answer: %w", err))
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	client := agent.NewClient(conn)
	keys, err := client.List()
	if err == nil && len(keys) == 0 {
		err = errors.New("the agent that SSH_AUTH_SOCK names has no key")
	}
	if err != nil {
		stop()
		return nil, errors.Join(noAgent(err), conn.Close())
	}
	return &login{ssh.PublicKeysCallback(client.Signers), fmt.Sprintf("the %d keys of the agent", len(keys)), func() error { stop(); return conn.Close() }}, nil
}

// readKey reads a private key that nobody else could have read.
func readKey(path string) (ssh.Signer, error) {
	bad := func(err error, remedy string) (ssh.Signer, error) {
		return nil, &TargetError{Err: fmt.Errorf("the private key %s can not be used: %w", path, err), Remedy: remedy}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return bad(err, "name the file of a private key as backup_ssh_key, which the service's user can read")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&closedTo != 0 || !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return bad(fmt.Errorf("it has mode %04o, or another owner: others could read it", mode.Perm()),
			"give it to the service's user alone: chown and chmod 0600. If others may have read it, make a new one: ssh-keygen -t ed25519")
	}
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return bad(errors.New("it wants a passphrase, and nobody is there to give it"), "take a key without one, for this purpose alone: ssh-keygen -t ed25519 -N ''; or let an agent have it, and leave backup_ssh_key empty")
	} else if err != nil {
		return bad(errors.New("it is no private key that is known here"), "make one: ssh-keygen -t ed25519 -N ''") // the error may quote it
	}
	return signer, nil
}
