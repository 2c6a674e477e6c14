package pairtest_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// newest is the backup of the shelf that was begun last, of those that a right clock has begun.
func (s *shelf) newest() string {
	return filepath.Join(s.on.File(s.dir), slices.Max(slices.Collect(maps.Keys(s.whole)))+".ktb")
}

// secrets puts what opens a backup, and the backup, where root of a host has it.
func (s *shelf) secrets(n *pairtest.Node, recovery, backup []byte) (flags []string) {
	s.Helper()
	for name, text := range map[string][]byte{"identity.txt": []byte(s.identity.String() + "\n"), "recovery.txt": recovery, "backup.ktb": backup} {
		if err := os.WriteFile(n.File("/root/"+name), text, 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return []string{"--identity", "/root/identity.txt", "--recovery-key", "/root/recovery.txt"}
}

func (s *shelf) read(path string) []byte {
	s.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// restoreTests: a restore test is broken off, and the next one removes what was left.
func restoreTests(on *shelf) {
	if len(on.whole) == 0 { // none was made before
		on.create()
	}
	s := on.at(on.on, "/srv/tested")
	forget := s.on.ForgetfulAt(s.T, s.dir, s.dir+".backing")
	recovery := s.read(s.pair.Active.File("/root/recovery.key"))
	flags := append(s.secrets(s.on, recovery, s.read(on.newest())), "--user", "keytrustee", "--directory", s.dir)
	args := append([]string{"backup", "restore-test", "/root/backup.ktb"}, flags...)
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
			return s.said(stderr, status)
		}},
		{"power loss", func(c *pairtest.Command) string {
			c.Kill(s.T)
			forget(s.T)
			return "killed"
		}},
	} {
		for _, at := range []struct{ point, what string }{{"unpacked", "it is unpacked"}, {"restored", "its server runs"}} {
			c := s.on.KtadminAt(s.T, "restore test: "+at.point, nil, args...)
			ended := f.befall(c)
			s.seen.row(tried, f.fault, at.what, ended, s.left(), s.writes())
		}
	}
	if _, stderr, status := s.on.Run(s.T, append([]string{"ktadmin"}, args...)...); status != 0 || s.left() != "nothing" {
		s.Errorf("at last it ends with %d, and leaves %s: %s", status, s.left(), stderr)
	}
}

// opened is the tar within a backup, as its members.
type member struct {
	header *tar.Header
	text   []byte
}

func (s *shelf) opened(backup []byte) (members []member) {
	s.Helper()
	plain, err := age.Decrypt(bytes.NewReader(backup), s.identity)
	if err != nil {
		s.Fatal(err)
	}
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		text, rerr := io.ReadAll(in)
		if err := errors.Join(err, rerr); err != nil {
			s.Fatal(err)
		}
		members = append(members, member{header, text})
	}
}

// closed is a backup of these members, that anybody can make who knows the recipient.
func (s *shelf) closed(to age.Recipient, members []member) []byte {
	s.Helper()
	var file bytes.Buffer
	sealed, err := age.Encrypt(&file, to)
	if err != nil {
		s.Fatal(err)
	}
	out := tar.NewWriter(sealed)
	for _, m := range members {
		m.header.Size = int64(len(m.text))
		_, werr := 0, out.WriteHeader(m.header)
		if werr == nil {
			_, werr = out.Write(m.text)
		}
		if werr != nil {
			s.Fatal(werr)
		}
	}
	if err := errors.Join(out.Close(), sealed.Close()); err != nil {
		s.Fatal(err)
	}
	return file.Bytes()
}

// changed is the manifest with one field another.
func (s *shelf) changed(members []member, field string, value any) []member {
	s.Helper()
	var manifest map[string]any
	if err := json.Unmarshal(members[0].text, &manifest); err != nil || manifest[field] == nil {
		s.Fatalf("the manifest has no %s: %v", field, err)
	}
	manifest[field] = value
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		s.Fatal(err)
	}
	all := slices.Clone(members)
	all[0].text = append(text, '\n')
	return all
}

// wrong is a backup of which no use may be made, or what it is to be opened with.
type wrong struct {
	what     string
	backup   []byte
	recovery []byte
}

// wrongOnes are made of a backup that is right.
func (s *shelf) wrongOnes(backup, recovery []byte) []wrong {
	s.Helper()
	members := s.opened(backup)
	flipped := bytes.Clone(backup)
	flipped[len(flipped)/2] ^= 1
	swapped := slices.Clone(members)
	n := len(swapped)
	swapped[n-3], swapped[n-2] = swapped[n-2], swapped[n-3]
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		s.Fatal(err)
	}
	other, _, err := seal.NewRecovery()
	if err != nil {
		s.Fatal(err)
	}
	to := s.identity.Recipient()
	return []wrong{
		{"it is cut", backup[:len(backup)-70000], recovery},
		{"it goes on", append(bytes.Clone(backup), 0), recovery},
		{"one bit is another", flipped, recovery},
		{"two members have changed places", s.closed(to, swapped), recovery},
		{"it is for somebody else", s.closed(stranger.Recipient(), members), recovery},
		{"it is of a later version", s.closed(to, s.changed(members, "format", 2)), recovery},
		{"it is another cluster's", backup, []byte(other + "\n")},
	}
}

// damagedOnes: what is damaged, or another's, is told and not used: neither on the shelf, nor by a restore test.
func damagedOnes(s *shelf) {
	file := s.newest()
	whole, recovery := s.read(file), s.read(s.pair.Active.File("/root/recovery.key"))
	name := strings.TrimSuffix(filepath.Base(file), ".ktb")
	for _, w := range s.wrongOnes(whole, recovery) {
		flags := append(s.secrets(s.on, w.recovery, w.backup), "--user", "keytrustee", "--directory", "/srv/tested")
		_, stderr, status := s.on.Run(s.T, append([]string{"ktadmin", "backup", "restore-test", "/root/backup.ktb"}, flags...)...)
		s.refuses(status, w.what)
		s.came(damaged, w.what, "restore-test", s.anyFile(s.said(stderr, status)))
	}
	for _, w := range s.wrongOnes(whole, recovery)[:3] {
		if err := os.WriteFile(file, w.backup, 0o600); err != nil {
			s.Fatal(err)
		}
		_, stderr, status := s.ktadmin("backup", "verify", name)
		s.refuses(status, w.what)
		said := s.said(stderr, status)
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			s.Fatal(err)
		}
		s.came(damaged, w.what, "verify", said)
	}
}

func (s *shelf) refuses(status int, what string) {
	s.Helper()
	if status == 0 {
		s.Errorf("%s: it ended with 0", what)
	}
}

// anyFile names no identity, key or file that is another each time.
func (s *shelf) anyFile(said string) string {
	status, text, failed := strings.Cut(said, ": ")
	if !failed {
		return said
	}
	text = aMember.ReplaceAllString(strings.ReplaceAll(text, s.identity.Recipient().String(), "RECIPIENT"), "")
	return status + ": " + anyDigits.ReplaceAllString(text, "N")
}

// restores: the pair is lost, and brought back from a backup of it; on the way each run is broken off.
func restores(s *shelf) {
	p := s.pair
	a, b := p.Active, p.Passive
	name, material := a.MustCreate(s.T)
	s.keys[name] = material
	made := s.create()
	backup, recovery := s.read(filepath.Join(s.on.File(s.dir), made+".ktb")), s.read(a.File("/root/recovery.key"))
	for _, n := range p.Nodes {
		n.Kill(s.T)
		n.Destroy(s.T)
	}
	restore := []string{"restore", "--from-backup", "/root/backup.ktb"}
	for _, w := range s.wrongOnes(backup, recovery) {
		flags := s.secrets(b, w.recovery, w.backup)
		_, stderr, status := b.Ktadmin(s.T, append(restore, flags...)...)
		s.refuses(status, w.what)
		s.seen.row(damaged, w.what, "restore", s.anyFile(s.said(stderr, status)), "", orNothing(leftOf(s, b)), "both hosts are lost")
	}

	disk := "/srv/disk"
	shell(s.T, a, "mkdir -p "+disk+" && mount -t tmpfs tmpfs "+disk)
	forget := a.ForgetfulAt(s.T, "/var/lib/keytrustee", disk+"/backing")
	for _, f := range []struct {
		fault  string
		on     *pairtest.Node
		befall func(c *pairtest.Command) string
	}{
		{"power loss: what was not synced is gone", a, func(c *pairtest.Command) string {
			c.Kill(s.T)
			forget(s.T)
			return "killed"
		}},
		{"SIGTERM", b, func(c *pairtest.Command) string {
			_, stderr, status := c.Terminate(s.T)
			return s.anyFile(s.said(stderr, status))
		}},
	} {
		do := slices.Concat(restore, s.secrets(f.on, recovery, backup), []string{"--i-confirm", a.Name + " is powered off"}) // the backup is the other's, and so is the name that it brings
		done := false
		for _, point := range []string{"before unpacking", "unpacked", "before bootstrapping", "claimed", "before recovering", "recovered", "new root key", "before completing", "state", "before its end"} {
			c := f.on.KtadminAt(s.T, "restore from a backup: "+point, nil, do...)
			ended := f.befall(c)
			if done = ended == "0"; done { // it came too late
				s.seen.row(rebuilt, f.fault, point, ended)
				break
			}
			if _, stderr, status := f.on.Run(s.T, "timeout", "20", "runuser", "-u", "keytrustee", "--", "/usr/bin/ktadmin", "db", "run"); status == 0 || status == 124 || stderr == "" {
				s.Errorf("%s at %s: what is left can be started: %d, %s", f.fault, point, status, stderr)
			}
			s.seen.row(rebuilt, f.fault, point, ended)
			s.Logf("%s at %s: %s", f.fault, point, ended)
		}
		if done {
			continue
		}
		if _, stderr, status := f.on.Ktadmin(s.T, do...); status != 0 {
			s.Fatalf("at last: %d, %s", status, stderr)
		}
	}
	b.Begin(s.T)
	for name, material := range s.keys {
		b.AwaitServed(s.T, name, material)
	}
	a.Destroy(s.T)
	_, stderr, status := a.Ktadmin(s.T, slices.Concat(restore, s.secrets(a, recovery, backup), []string{"--i-confirm", a.Name + " is powered off"})...)
	s.refuses(status, "an earlier epoch's")
	s.seen.row(damaged, "it is of an earlier epoch than the pair, of which a host lives", "restore", s.anyFile(s.said(stderr, status)), "", orNothing(leftOf(s, a)), "")
}

// leftOf is what a restore has left on a bare host.
func leftOf(s *shelf, n *pairtest.Node) (found []string) {
	s.Helper()
	for _, name := range []string{"db", "node/journal.json", "node/state.json", ".keytrustee/root.key"} {
		if _, err := os.Lstat(filepath.Join(n.Home, name)); err == nil {
			found = append(found, name)
		}
	}
	return found
}
