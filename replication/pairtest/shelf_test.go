package pairtest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// shelf is a directory of backups of a host, to which faults come, and what has to be in it whatever they are.
type shelf struct {
	*testing.T
	pair  *pairtest.Pair
	on    *pairtest.Node
	dir   string
	seen  *table
	open  *openWrites
	whole map[string]string // the SHA-256 of each backup that counts, by its name
	keys  map[string]string // that both hosts serve, and what they are

	identity *age.X25519Identity // of one of the recipients
}

// clockOf is the file that says how wrong the clock is that a backup is made by. That of the daemons is right.
const clockOf = "/run/clock-of-backups"

// newShelf lets a pair make backups, when the test says so and not by the hour.
func newShelf(t *testing.T, p *pairtest.Pair) *shelf {
	t.Helper()
	s := &shelf{T: t, pair: p, on: p.Passive, dir: "/var/lib/keytrustee/backups", seen: new(table), open: watchWrites(t, p), whole: map[string]string{}, keys: map[string]string{}}
	s.identity = takesBackups(t, p)
	s.setClock(today())
	for _, n := range p.Nodes {
		shell(t, n, "echo 'backup_schedule: off' >>/var/lib/keytrustee/.keytrustee/keytrustee.yaml")
	}
	return s
}

// at is the shelf in another directory of a host, with nothing in it. Everybody but the service's user is kept out.
func (s *shelf) at(n *pairtest.Node, dir string) *shelf {
	s.Helper()
	shell(s.T, n, "install -d -m 0700 -o keytrustee -g keytrustee "+dir)
	other := *s
	other.on, other.dir, other.whole = n, dir, map[string]string{}
	return &other
}

func (s *shelf) env() []string {
	return []string{"KEYTRUSTEE_CLOCK=" + clockOf, "KEYTRUSTEE_BACKUP_DIRECTORY=" + s.dir, "TZ=Europe/Berlin"}
}

// setClock makes the clock show a time from now on, when it is asked by what makes backups.
func (s *shelf) setClock(now time.Time) {
	s.Helper()
	if err := os.WriteFile(s.on.File(clockOf), []byte(time.Until(now).String()), 0o644); err != nil {
		s.Fatal(err)
	}
}

// stopped begins a backup and returns when it stands still at that point.
func (s *shelf) stopped(point string) *pairtest.Command {
	s.Helper()
	return s.on.KtadminAt(s.T, "create: "+point, s.env(), "backup", "create")
}

// ktadmin runs it on the host.
func (s *shelf) ktadmin(args ...string) (stdout, stderr string, status int) {
	s.Helper()
	return s.on.Run(s.T, append(append([]string{"env"}, s.env()...), append([]string{"ktadmin"}, args...)...)...)
}

// create makes a backup, which has to succeed and to leave nothing beside whole ones, and returns its name.
func (s *shelf) create() (name string) {
	s.Helper()
	stdout, stderr, status := s.ktadmin("backup", "create", "-o", "json")
	var made struct{ Name string }
	if status != 0 || json.Unmarshal([]byte(stdout), &made) != nil {
		s.Fatalf("a backup of %s: %d, %s%s", s.on.Name, status, stdout, stderr)
	}
	s.retired(stderr)
	if fresh := s.look(); !slices.Equal(fresh, []string{made.Name}) {
		s.Errorf("%s was made, and new on the list are %v", made.Name, fresh)
	}
	if left := s.left(); left != "nothing" {
		s.Errorf("beside whole backups there is %s", left)
	}
	return made.Name
}

// look compares what is listed with what has to be there, byte for byte, and returns what is new.
func (s *shelf) look() (fresh []string) {
	s.Helper()
	stdout, stderr, status := s.ktadmin("backup", "list", "-o", "json")
	var list struct {
		Backups []struct{ Name, SHA256 string }
	}
	if status != 0 || json.Unmarshal([]byte(stdout), &list) != nil {
		s.Fatalf("ktadmin backup list: %d, %s%s", status, stdout, stderr)
	}
	there := map[string]bool{}
	for _, b := range list.Backups {
		sum := sha256.Sum256(s.file(b.Name + ".ktb"))
		if got := hex.EncodeToString(sum[:]); got != b.SHA256 || s.whole[b.Name] != "" && s.whole[b.Name] != got {
			s.Errorf("%s is listed with the sum %s and has %s; it had %q", b.Name, b.SHA256, got, s.whole[b.Name])
		}
		if there[b.Name] = true; s.whole[b.Name] == "" {
			fresh = append(fresh, b.Name)
			s.whole[b.Name] = b.SHA256
		}
	}
	for name := range s.whole {
		if !there[name] {
			s.Errorf("%s is not listed any more", name)
			delete(s.whole, name)
		}
	}
	return fresh
}

func (s *shelf) file(name string) []byte {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.on.File(s.dir), name))
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// left is what there is beside whole backups: in the directory, and of processes.
func (s *shelf) left() string {
	s.Helper()
	found := leftIn(s.T, s.on.File(s.dir), slices.Collect(maps.Keys(s.whole)))
	if len(s.on.WorkingAt(s.T, s.dir)) > 0 {
		found = append(found, "a PostgreSQL that runs")
	}
	return orNothing(found)
}

// leftIn is what lies in a directory beside whole backups.
func leftIn(t *testing.T, dir string, whole []string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".ktb"), ".json")
		switch {
		case slices.Contains(whole, name), e.Name() == "shipped.json":
		case strings.HasSuffix(e.Name(), ".ktb.partial"):
			found = append(found, "a part")
		case strings.HasSuffix(e.Name(), ".tmp"):
			found = append(found, "half a receipt")
		case strings.HasSuffix(e.Name(), ".json"):
			found = append(found, "a receipt")
		case strings.HasPrefix(e.Name(), ".work"):
			found = append(found, "what was unpacked")
		default:
			t.Errorf("in %s is %s", dir, e.Name())
		}
	}
	return slices.Sorted(slices.Values(found))
}

func orNothing(found []string) string {
	if len(found) == 0 {
		return "nothing"
	}
	return strings.Join(found, ", ")
}

// came notes what has come of a fault, looks that every earlier backup is there, and that keys are made and read.
func (s *shelf) came(section, fault, at, ended string) {
	s.Helper()
	fresh := s.look()
	word := "no"
	if len(fresh) == 1 {
		word = "yes"
	} else if len(fresh) > 1 {
		s.Errorf("%s %s: new on the list are %v", fault, at, fresh)
	}
	left := s.left()
	s.seen.row(section, fault, at, ended, word, left, s.writes())
	s.Logf("%s at %s: %s; listed: %s; left: %s", fault, at, ended, word, left)
}

// writes says whether they were open since it was asked last; a key is made, and every key is read at both hosts.
func (s *shelf) writes() string {
	s.Helper()
	pairtest.Await(s.T, 10*time.Second, "writes are open", func() bool { return s.pair.Active.Writable(s.T) }) // a busy machine may have shut them
	name, material := s.pair.Active.MustCreate(s.T)
	s.keys[name] = material
	for _, n := range s.pair.Nodes {
		n.AwaitServed(s.T, name, material)
	}
	return s.open.word(s.T)
}

var (
	aBackup      = regexp.MustCompile(`kt-kt0[12]-e\d+-\d{8}T\d{6}Z`)
	aNumber      = regexp.MustCompile(`\b\d+ (MiB|bytes|when it was)|process \d+ since [-0-9: ]+ UTC`)
	aSum         = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	anID         = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
	aMember      = regexp.MustCompile(`((in )?[a-z.]+: )?unpacking "[^"]*": |(in )?\b(globals\.sql|dump\.pgc|rows|base\.tar|config\.tar): `) // where the end is met goes by the length
	anyDigits    = regexp.MustCompile(`\b[0-9a-f]{16,}\b|\b\d+\b`)
	aFingerprint = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`)
)

// said is what a command has said of its failure, in the same words each time.
func (s *shelf) said(stderr string, status int) string {
	s.Helper()
	if status == 0 {
		return "0"
	}
	text := ""
	for line := range strings.Lines(stderr) {
		if rest, is := strings.CutPrefix(line, "ktadmin: "); is {
			text = strings.TrimSpace(rest)
		}
	}
	if text == "" || !strings.Contains(stderr, "\nhint: ") {
		s.Errorf("it ended with %d and said %s", status, stderr)
	}
	text = strings.ReplaceAll(text, s.dir, "DIRECTORY")
	text = aBackup.ReplaceAllString(text, "NAME")
	text = aSum.ReplaceAllString(text, "SUM")
	text = anID.ReplaceAllString(text, "ID")
	text = aNumber.ReplaceAllStringFunc(text, func(n string) string {
		if strings.HasPrefix(n, "process") {
			return "process N since TIME"
		}
		_, what, _ := strings.Cut(n, " ")
		return "N " + what
	})
	if before, _, full := strings.Cut(text, "no space left on device"); full { // by which file, and what follows from it, comes as it comes
		room, _, _ := strings.Cut(before, "DIRECTORY")
		text = room + "DIRECTORY: no space left on device"
	}
	return fmt.Sprintf("%d: %s", status, strings.ReplaceAll(text, "|", "/"))
}
