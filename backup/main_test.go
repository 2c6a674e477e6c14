package backup

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// killEnv makes the test binary a process that tests a backup and is killed at a point of it.
const killEnv = "KEYTRUSTEE_TEST_KILLED"

func TestMain(m *testing.M) {
	if description := os.Getenv(killEnv); description != "" {
		os.Exit(beKilled(description))
	}
	if description := os.Getenv(shipKilledEnv); description != "" {
		os.Exit(beKilledShipping(description))
	}
	goleak.VerifyTestMain(m)
}

// doomed describes such a process.
type doomed struct{ Directory, At, File, Identity string }

func beKilled(description string) int {
	var d doomed
	if err := json.Unmarshal([]byte(description), &d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o, err := testOptionsOf(d.File, d.Identity, d.Directory)
	if err == nil {
		o.point = func(point string) error {
			if point == d.At {
				return syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
			return nil
		}
		_, err = RestoreTest(context.Background(), o)
	}
	fmt.Fprintln(os.Stderr, "it was not killed:", err)
	return 1
}

// site is a server with sealed things in it, and where its backups go.
type site struct {
	Options
	identities []age.Identity
	texts      []string // of the recipients
}

// newSite starts a server with two things. The caller has passed AsUser.
func newSite(t *testing.T) *site {
	t.Helper()
	s := pgtest.New(t, pgtest.Options{})
	sql(t, s, `create table thing (id uuid primary key, sealed bytea); create table thing_key (id uuid); create table thing_change (id uuid)`)
	sql(t, s, `insert into thing select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, convert_to('sealed thing ' || n, 'UTF8') from generate_series(1, 2) n`)
	return siteOf(t, s)
}

func siteOf(t *testing.T, s *postgres.Server) *site {
	t.Helper()
	dir := pgtest.Dir(t)
	var a site
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		a.identities = append(a.identities, identity)
		a.texts = append(a.texts, identity.Recipient().String())
	}
	recipients, err := ParseRecipients(a.texts, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a.Options = optionsOf(s, filepath.Join(dir, "backups"), filepath.Join(dir, "lock"), dir, recipients)
	return &a
}

func optionsOf(s *postgres.Server, directory, lockFile, sockets string, r Recipients) Options {
	return Options{
		Server: s, Database: "postgres", Directory: directory, LockFile: lockFile, Sockets: sockets, Recipients: r, By: clusterKey,
		Facts: Facts{Product: "0", Cluster: "c1", Host: "kt01", Duty: "active", Epoch: 1, EpochID: "aa", KEKs: []string{"k1"}, RootKey: "ff"},
		Config: func() (map[string][]byte, error) {
			return map[string][]byte{"node/node.yaml": []byte("name: kt01\n")}, nil
		},
		Checker: things{},
	}
}

// testKey is an Authenticator.
type testKey string

func (k testKey) MAC(message []byte) []byte {
	h := hmac.New(sha256.New, []byte(k))
	h.Write(message)
	return h.Sum(nil)
}

// clusterKey is that of the cluster whose backups these are.
const clusterKey = testKey("the cluster's")

// things is a Checker: a thing opens if what is sealed in it begins with "sealed".
type things struct{}

func (c things) Rows(ctx context.Context, q Querier, row func(Row) error) error {
	return c.each(ctx, q, row, func(string, []byte) error { return nil })
}

func (c things) Open(ctx context.Context, q Querier, row func(Row) error) error {
	return c.each(ctx, q, row, func(id string, sealed []byte) error {
		if !bytes.HasPrefix(sealed, []byte("sealed")) {
			return fmt.Errorf("thing %s does not open", id)
		}
		return nil
	})
}

func (things) Tables() [3]string { return [3]string{"thing_change", "thing_key", "thing"} }

func (things) Copied(copies [3]io.Reader) RowReader {
	var c copiedThings
	for i, r := range copies {
		c[i] = postgres.NewCopyReader(r)
	}
	return c
}

// copyOfThings is what COPY writes of things with these numbers, which are below 10.
func copyOfThings(numbers ...byte) []byte {
	b := append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)
	for _, n := range numbers {
		id := [16]byte{6: 0x40, 8: 0x80, 15: n}
		sealed := fmt.Sprintf("sealed thing %d", n)
		b = append(append(b, 0, 2, 0, 0, 0, 16), id[:]...)
		b = append(append(b, 0, 0, 0, byte(len(sealed))), sealed...)
	}
	return append(b, 0xff, 0xff)
}

func (things) Purged(context.Context, Querier) (Count, error) { return Count{}, nil }

// copiedThings are the rows of copies. Those of the first two have none.
type copiedThings [3]*postgres.CopyReader

func (c copiedThings) Next() (Row, error) {
	for _, none := range c[:2] {
		if _, err := none.Next(); err != io.EOF {
			return Row{}, fmt.Errorf("there is more than things, %w", err)
		}
	}
	values, err := c[2].Next()
	if err != nil {
		return Row{}, err
	}
	return Row{Kind: Version, ID: [16]byte(values[0]), Sum: sha256.Sum256(values[1])}, nil
}

func (things) each(ctx context.Context, q Querier, row func(Row) error, open func(string, []byte) error) error {
	rows, err := q.Query(ctx, `select t.id, t.id::text, t.sealed from thing t order by t.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r := Row{Kind: Version}
		var text string
		var sealed []byte
		if err := errors.Join(rows.Scan(&r.ID, &text, &sealed), open(text, sealed)); err != nil {
			return err
		}
		r.Sum = sha256.Sum256(sealed)
		if err := row(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func sql(t *testing.T, s *postgres.Server, text string) {
	t.Helper()
	conn, err := pgx.Connect(pgtest.Context(t), s.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(pgtest.Context(t), text); err != nil {
		t.Fatal(err)
	}
}

// mustCreate makes a backup.
func (s *site) mustCreate(t *testing.T) Receipt {
	t.Helper()
	r, err := Create(t.Context(), s.Options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// holds checks what lies in the directory of the backups, and that nobody else can read it.
func (s *site) holds(t *testing.T, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = true
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	for _, name := range want {
		if !have[name] {
			t.Errorf("%s is not there", name)
		}
		delete(have, name)
	}
	if len(have) > 0 {
		t.Errorf("there is %v too", have)
	}
	if _, err := os.Lstat(filepath.Join(s.Sockets, "backup")); err == nil {
		t.Error("the socket directory of the restore is still there")
	}
}

// lists checks which backups count.
func (s *site) lists(t *testing.T, want ...string) Catalog {
	t.Helper()
	c, err := List(s.Directory)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range c.Backups {
		names = append(names, b.Name)
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("listed are %v, want %v; left out: %v", names, want, c.LeftOut)
	}
	return c
}

// files are the names of what a backup leaves.
func files(r Receipt) []string { return []string{r.Name + fileSuffix, r.Name + receiptSuffix} }
