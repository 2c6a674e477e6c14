package backup

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh/knownhosts"

	"keytrustee/internal/sshtest"
	"keytrustee/postgres/pgtest"
)

// TestShipEndlessListing: a server that lists names without end is given up, and said.
func TestShipEndlessListing(t *testing.T) {
	target, s := serve(t, &sshtest.Liar{Dir: pgtest.Dir(t), Endless: true})
	y := newYard(t, target)
	y.SSH = s
	y.add(1, 100)
	y.fails("it lists more than 32 MiB of names")
}

// serve runs a server that lies until the test ends, and returns it as a target.
func serve(t *testing.T, l *sshtest.Liar) (Target, SSH) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	key := l.Serve(t, listener)
	s := SSH{KnownHosts: filepath.Join(pgtest.Dir(t), "known_hosts")}
	s.Key = s.KnownHosts + ".key"
	sshtest.NewKey(t, s.Key)
	if err := os.WriteFile(s.KnownHosts, []byte(knownhosts.Line([]string{listener.Addr().String()}, key)), 0o600); err != nil {
		t.Fatal(err)
	}
	return parsed(t, fmt.Sprintf("sftp://somebody@%s%s", listener.Addr(), l.Dir)), s
}

// TestShipLiar: a server that says something else than what is so has nothing listed that is not whole, and is found out; when
// it is honest again, the rest is sent.
func TestShipLiar(t *testing.T) {
	isPart := func(name string) bool { return strings.HasSuffix(name, partialSuffix) }
	for what, row := range map[string]struct {
		liar  sshtest.Liar
		begun int    // bytes of a part that are there
		want  string // empty: it does no harm
		found bool   // it is there all the same
	}{
		"honest": {want: ""},
		"a part is said to be longer": {begun: 10, liar: sshtest.Liar{Size: func(name string, size int64) int64 {
			if isPart(name) {
				return size + 5000
			}
			return size
		}}},
		"a part is said to be shorter": {begun: block + 10, liar: sshtest.Liar{Size: func(name string, size int64) int64 {
			if isPart(name) {
				return 3
			}
			return size
		}}},
		"a part is given back as it should be": {begun: 10, want: "it gives back something else", liar: sshtest.Liar{
			Read: func(name string, text []byte) []byte { return append(text, 1) }}},
		"it is given back shorter": {want: "it gives back something else", liar: sshtest.Liar{Read: func(name string, text []byte) []byte {
			if isPart(name) && len(text) > 0 {
				return text[:len(text)-1]
			}
			return text
		}}},
		"it is given back without end": {want: "it gives back something else", liar: sshtest.Liar{Read: func(name string, text []byte) []byte {
			return slices.Concat(text, text, text)
		}}},
		"what is written is lost":    {want: "it gives back something else", liar: sshtest.Liar{Lost: isPart}},
		"the receipt is lost":        {want: "the receipt", liar: sshtest.Liar{Lost: func(name string) bool { return strings.HasSuffix(name, ".tmp") }}},
		"the receipt is not renamed": {want: "the receipt", liar: sshtest.Liar{Kept: func(to string) bool { return strings.HasSuffix(to, receiptSuffix) }}},
		"the backup is not renamed":  {want: "does not list it as it was sent", liar: sshtest.Liar{Kept: func(to string) bool { return strings.HasSuffix(to, fileSuffix) }}},
		"it lists the backup shorter": {found: true, want: "does not list it as it was sent", liar: sshtest.Liar{Size: func(name string, size int64) int64 {
			if strings.HasSuffix(name, fileSuffix) {
				return size - 1
			}
			return size
		}}},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			l := row.liar
			l.Dir = dir
			target, login := serve(t, &l)
			y := newYard(t, target)
			y.SSH = login
			a := y.add(1, 2*block+50)
			if row.begun > 0 {
				content, err := os.ReadFile(y.here(a.Name + fileSuffix))
				if err != nil || os.WriteFile(filepath.Join(dir, a.Name+partialSuffix), content[:row.begun], 0o600) != nil {
					t.Fatal(err)
				}
			}
			if row.want == "" {
				y.ship(a)
			} else {
				d := y.fails(row.want)
				if !slices.Equal(d.Missing, []string{a.Name}) {
					t.Errorf("%+v", d)
				}
				if !row.found {
					holds(t, dir)
				}
				honest := sshtest.Liar{Dir: dir}
				y.Targets[0], y.SSH = serve(t, &honest)
				if _, err := Ship(t.Context(), y.ShipOptions); err != nil {
					t.Error(err)
				}
			}
			holds(t, dir, a)
			tidy(t, dir)
		})
	}
}

// TestShipPlainServer: a server that can not replace a file by renaming, and knows neither syncing nor room, does too.
func TestShipPlainServer(t *testing.T) {
	if err := sftp.SetSFTPExtensions(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sftp.SetSFTPExtensions("hardlink@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com"); err != nil {
			t.Error(err)
		}
	})
	l := sshtest.Liar{Dir: t.TempDir()}
	target, login := serve(t, &l)
	y := newYard(t, target)
	y.SSH = login
	a := y.add(1, block+50)
	y.ship(a)
	pgtest.FlipByte(t, filepath.Join(l.Dir, a.Name+fileSuffix), block+20)
	if err := os.Remove(y.here(shippedFile)); err != nil {
		t.Fatal(err)
	}
	if d := y.ship(a); d.Bytes != 30 {
		t.Errorf("%d bytes were sent", d.Bytes)
	}
	holds(t, l.Dir, a)
	tidy(t, l.Dir)
}
