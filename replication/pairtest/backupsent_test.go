package pairtest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"keytrustee/internal/sshtest"
	"keytrustee/replication/forgetfs"
	"keytrustee/replication/pairtest"
)

// store is a directory on a host elsewhere, behind SFTP, as a host of the pair reaches it.
type store struct {
	*shelf
	url, dir string
	relay    *sshtest.Relay
	env      []string
}

// store is one behind a real OpenSSH server.
func (s *shelf) store() *store {
	s.Helper()
	server := sshtest.New(s.T)
	relay := sshtest.RelayAt(s.T, s.pair.Listen(s.T), server.Port)
	st := &store{shelf: s, url: fmt.Sprintf("sftp://%s@192.0.2.3:%d%s", server.User, relay.Port, server.Store), dir: server.Store, relay: relay}
	key, err := os.ReadFile(server.Key)
	if err != nil {
		s.Fatal(err)
	}
	st.known(relay.Port, server.HostKey("ed25519"), key)
	return st
}

// known lets the host know the key of who is at a port, and gives it one to be let in by.
func (st *store) known(port int, of ssh.PublicKey, key []byte) {
	st.Helper()
	line := knownhosts.Line([]string{fmt.Sprintf("192.0.2.3:%d", port)}, of) + "\n"
	for name, text := range map[string][]byte{"/srv/known_hosts": []byte(line), "/srv/key": key} {
		if err := os.WriteFile(st.on.File(name), text, 0o600); err != nil {
			st.Fatal(err)
		}
		shell(st.T, st.on, "chown keytrustee "+name)
	}
	st.env = append(st.shelf.env(), "KEYTRUSTEE_BACKUP_SSH_KNOWN_HOSTS=/srv/known_hosts", "KEYTRUSTEE_BACKUP_SSH_KEY=/srv/key")
}

// ship sends what is lacking there.
func (st *store) ship() (stderr string, status int) {
	st.Helper()
	_, stderr, status = st.on.Run(st.T, append(append([]string{"env"}, st.env...), "ktadmin", "backup", "ship", "--target", st.url)...)
	return stderr, status
}

// came notes what has come of a fault: what is listed there is whole, and the next run sends the rest.
func (st *store) came(fault, at, ended string) {
	st.Helper()
	there := st.listed()
	left := orNothing(leftIn(st.T, st.dir, there))
	st.look() // nothing has changed here
	word := "no"
	if len(there) > 0 {
		word = "yes"
	}
	st.seen.row(sent, fault, at, ended, word, left, st.writes())
	st.Logf("%s at %s: %s; there: %v; left: %s", fault, at, ended, there, left)
}

// complete sends what is lacking, and finds every backup there and nothing else.
func (st *store) complete() {
	st.Helper()
	if stderr, status := st.ship(); status != 0 {
		st.Fatalf("the next run: %d, %s", status, stderr)
	}
	if there := st.listed(); len(there) != len(st.whole) || len(leftIn(st.T, st.dir, there)) > 0 {
		st.Errorf("there is %v, and beside it %v; here are %d", there, leftIn(st.T, st.dir, there), len(st.whole))
	}
}

// listed are the backups that are listed there: file and receipt, and the one is what the other says.
func (st *store) listed() (names []string) {
	st.Helper()
	files, err := filepath.Glob(filepath.Join(st.dir, "*.ktb"))
	if err != nil {
		st.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".ktb")
		receipt, err := os.ReadFile(filepath.Join(st.dir, name+".json"))
		var told struct{ SHA256 string }
		if err != nil || json.Unmarshal(receipt, &told) != nil {
			st.Errorf("beside %s is no receipt: %v", name, err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			st.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != told.SHA256 {
			st.Errorf("%s is listed, and is not whole", name)
		}
		names = append(names, name)
	}
	return names
}

// shipped: sending is broken off at every step, and the target is not what it was.
func shipped(on *shelf) {
	s := on.at(on.on, "/srv/sent")
	s.create()
	st := s.store()
	disk, err := forgetfs.Mount(st.dir, filepath.Join(s.TempDir(), "backing"), forgetfs.Options{})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := disk.Unmount(); err != nil {
			s.Error(err)
		}
	})
	for _, f := range []struct {
		fault  string
		befall func(c *pairtest.Command) string
	}{
		{"kill -9", func(c *pairtest.Command) string {
			c.Kill(s.T)
			return "killed"
		}},
		{"SIGTERM", func(c *pairtest.Command) string {
			_, stderr, status := c.Terminate(s.T)
			return st.saidOf(stderr, status)
		}},
		{"power loss at the target", func(c *pairtest.Command) string {
			c.Kill(s.T)
			if err := disk.Forget(); err != nil {
				s.Fatal(err)
			}
			return "killed"
		}},
	} {
		for _, at := range []struct{ point, what string }{
			{"begun", "nothing is sent"}, {"sent", "all of it is sent"}, {"checked", "it was read back"}, {"told", "its receipt is there"}, {"named", "it has its name"},
			{"withdrawn", "an earlier one has lost its name there"},
		} {
			if at.point == "withdrawn" {
				st.complete()
				s.create()
			}
			c := s.on.KtadminAt(s.T, "ship: "+at.point, st.env, "backup", "ship", "--target", st.url)
			st.came(f.fault, at.what, f.befall(c))
		}
		st.complete()
		st.empty()
	}

	st.relay.Left.Store(1 << 20)
	stderr, status := st.ship()
	st.came("the connection is cut", "in the middle", st.saidOf(stderr, status))
	st.relay.Left.Store(sshtest.Everything)
	st.complete()

	key, err := os.ReadFile(s.on.File("/srv/known_hosts"))
	if err != nil {
		s.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	public, err := ssh.NewPublicKey(other)
	if err != nil {
		s.Fatal(err)
	}
	st.empty()
	own, err := os.ReadFile(s.on.File("/srv/key"))
	if err != nil {
		s.Fatal(err)
	}
	st.known(st.relay.Port, public, own)
	stderr, status = st.ship()
	st.came("the key of the target is another one", "before anything is sent", st.saidOf(stderr, status))
	if err := os.WriteFile(s.on.File("/srv/known_hosts"), key, 0o600); err != nil {
		s.Fatal(err)
	}
	st.complete()

	liar := &sshtest.Liar{Dir: s.TempDir(), Size: func(name string, size int64) int64 {
		if strings.HasSuffix(name, ".ktb") {
			return size - 1
		}
		return size
	}}
	listener := s.pair.Listen(s.T)
	lies := *st
	port := listener.Addr().(*net.TCPAddr).Port
	lies.dir, lies.url = liar.Dir, fmt.Sprintf("sftp://somebody@192.0.2.3:%d%s", port, liar.Dir)
	lies.known(port, liar.Serve(s.T, listener), own)
	stderr, status = lies.ship()
	lies.came("the target says that what it has is shorter", "all of it is sent", lies.saidOf(stderr, status))
	liar.Size = nil
	lies.complete()
}

// saidOf is said, and names no port.
func (st *store) saidOf(stderr string, status int) string {
	st.Helper()
	text := strings.ReplaceAll(st.said(stderr, status), st.url, "TARGET")
	return aFingerprint.ReplaceAllString(strings.ReplaceAll(text, fmt.Sprint(st.relay.Port), "PORT"), "SHA256:…")
}

// empty takes all away that lies there.
func (st *store) empty() {
	st.Helper()
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		st.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(st.dir, e.Name())); err != nil {
			st.Fatal(err)
		}
	}
	dir, err := os.Open(st.dir)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close()) // or a power loss would bring it back
	}
	if err != nil {
		st.Fatal(err)
	}
}

// stalls begins to send a backup of the active to a target that stands still in the middle, which takes a minute to be given up. What it returns
// waits for that.
func (s *shelf) stalls() (stalled func(*shelf)) {
	s.Helper()
	s.setClock(today())
	s.create()
	st := s.store()
	st.relay.Stall.Store(true)
	st.relay.Left.Store(1 << 20)
	begun, ended := time.Now(), make(chan struct{})
	var stderr string
	var status int
	go func() {
		defer close(ended)
		stderr, status = st.ship()
	}()
	return func(now *shelf) {
		<-ended
		st.T = now.T
		st.Logf("given up %v after it was begun", time.Since(begun).Round(time.Second))
		st.came("the target stalls for a minute", "in the middle", st.saidOf(stderr, status))
		st.relay.Left.Store(sshtest.Everything)
		st.complete()
	}
}
