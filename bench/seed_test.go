package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"keytrustee/kms"
	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// perKey is how many versions a key has, perCommit how many of them become durable together.
const (
	perKey    = 100
	perCommit = 20_000
)

// seed gives the pair so many versions, as if they had been created and rolled one by one: sealed by the code that serves keys, under the
// pair's own key-encryption key. They are copied into the tables of the active, and replicated, since requests would take an hour. One of the
// keys is returned.
func seed(b *testing.B, p *pairtest.Pair, versions int) (known string) {
	b.Helper()
	ring, err := seal.Load(p.Active.Confdir)
	if err != nil {
		b.Fatal(err)
	}
	conn := p.Active.SQL(b)
	for done := 0; done < versions; done += perCommit {
		if err := copyKeys(context.Background(), conn, ring, min(perCommit, versions-done)); err != nil {
			b.Fatalf("seeding: %v", err)
		}
	}
	// What PostgreSQL and the kernel do later about so many new rows is no part of what is measured.
	for _, n := range []*pairtest.Node{p.Active, p.Passive} {
		conn := n.SQL(b)
		if n == p.Active {
			execute(b, conn, "vacuum (freeze, analyze)")
			p.AwaitReplay(b)
		}
		execute(b, conn, "checkpoint")
	}
	unix.Sync()
	if err := conn.QueryRow(b.Context(), "select name from key limit 1").Scan(&known); err != nil {
		b.Fatal(err)
	}
	return known
}

func execute(b *testing.B, conn *pgx.Conn, statement string) {
	b.Helper()
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		b.Fatalf("%s: %v", statement, err)
	}
}

// copyKeys makes keys with so many versions together, in one transaction.
func copyKeys(ctx context.Context, conn *pgx.Conn, ring *seal.Keyring, versions int) error {
	var keys, sealed, changes [][]any
	now := time.Now().UTC()
	for made := 0; made < versions; made += perKey {
		name, keyID := kms.KeyName(pairtest.NewKey()), kms.NewID()
		keys = append(keys, []any{keyID, string(name), 0, kms.DefaultCipher, kms.DefaultBitLength, nil, "{}", now, "hdfs"})
		for n := range min(perKey, versions-made) {
			v, err := sealVersion(ring, name, keyID, n)
			if err != nil {
				return err
			}
			kind := kms.Rolled
			if n == 0 {
				kind = kms.Created
			}
			sealed = append(sealed, []any{v.ID, keyID, n, string(v.Name), v.KEK, v.Sealed, v.Check})
			changes = append(changes, []any{kms.NewID(), keyID, n, string(kind), v.ID, now, "hdfs", "10.0.0.1", "seed-" + rand.Text()})
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, t := range []struct {
			name    string
			columns []string
			rows    [][]any
		}{
			{"key", []string{"id", "name", "generation", "cipher", "bit_length", "description", "attributes", "created", "created_by"}, keys},
			{"key_version", []string{"id", "key_id", "ordinal", "name", "kek", "sealed", "check_value"}, sealed},
			{"key_change", []string{"id", "key_id", "seq", "kind", "version_id", "at", "by_whom", "from_where", "request_id"}, changes},
		} {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("copying into %s: %w", t.name, err)
			}
		}
		return nil
	})
}

// sealVersion is the n-th version of a key, with material of its own.
func sealVersion(ring *seal.Keyring, name kms.KeyName, key kms.ID, n int) (kms.SealedVersion, error) {
	material := make([]byte, kms.DefaultBitLength/8)
	rand.Read(material)
	return ring.Seal(kms.VersionRef{ID: kms.NewID(), KeyID: key, Key: name, Name: kms.NthVersionName(name, n), Ordinal: n, Cipher: kms.DefaultCipher}, kms.NewMaterial(material))
}
