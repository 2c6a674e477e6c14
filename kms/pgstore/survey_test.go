package pgstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestDamagedPage: a page of each table is damaged in turn, or comes back as zeros. A survey finds which versions are whole, and names the
// others; what is whole is served, and what lies in a page that can not be read is refused; and nobody takes the database for whole.
func TestDamagedPage(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	s := emptyStore(t, server, "damaged")
	ctx := pgtest.Context(t)
	var changes []kms.Change
	sealed := map[kms.VersionName][]byte{}
	begun := time.Now()
	for i := range 120 { // more than a page of each table
		c, k, v := newKey(t, kms.KeyName(fmt.Sprintf("key%03d", i)))
		c.At = begun.Add(time.Duration(i) * time.Second).UTC().Truncate(time.Millisecond)
		if err := s.Apply(ctx, c, &k, &v); err != nil {
			t.Fatal(err)
		}
		changes, sealed[v.Name] = append(changes, c), v.Sealed
	}
	purged := mustPurge(t, s, "purged")
	survey := func() (found Survey) {
		t.Helper()
		ctx := pgtest.Context(t)
		conn, err := pgx.Connect(ctx, server.ConnString("damaged"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			found, err = TakeSurvey(ctx, tx, func(v kms.SealedVersion) error {
				_, err := sealer.Open(v)
				return err
			}, changes[100].At)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := survey(); found.Versions != 120 || found.Keys != 120 || len(found.Lost) != 0 || len(found.Pages) != 0 || len(found.Since) != 20 || purged.IsZero() {
		t.Fatalf("before: %d versions of %d keys, %d lost, pages %v, %d since", found.Versions, found.Keys, len(found.Lost), found.Pages, len(found.Since))
	}
	if err := LinkedAt(ctx, server.ConnString("damaged")); err != nil {
		t.Fatal("before:", err)
	}

	conn, err := pgx.Connect(ctx, server.ConnString("damaged"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, table := range []string{"key", "key_version", "key_change"} {
		var file string
		if err := conn.QueryRow(ctx, "select pg_relation_filepath($1)", table).Scan(&file); err != nil {
			t.Fatal(err)
		}
		files[table] = file
	}
	if _, err := conn.Exec(ctx, "vacuum"); err != nil {
		t.Fatal(err)
	}
	conn.Close(ctx)
	for table, file := range files {
		for _, zeros := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, zeros %v", table, zeros), func(t *testing.T) {
				ctx := pgtest.Context(t)
				if err := server.Stop(ctx, postgres.Fast); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(server.Data, file)
				before, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damaged := slices.Clone(before)
				if zeros {
					clear(damaged[:8192])
				} else {
					damaged[5000] ^= 0xff
				}
				write := func(content []byte) {
					t.Helper()
					f, err := os.OpenFile(path, os.O_WRONLY, 0)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					if _, err := f.WriteAt(content, 0); err != nil {
						t.Fatal(err)
					}
				}
				write(damaged)
				pgtest.Start(t, server)
				defer func() {
					if err := server.Stop(ctx, postgres.Fast); err != nil {
						t.Fatal(err)
					}
					write(before)
				}()

				found := survey()
				want := []postgres.Page{{File: file, Block: 0}}
				if zeros {
					want = nil
				}
				lost := map[kms.VersionName]bool{}
				for _, v := range found.Lost {
					lost[kms.VersionName(strings.Replace(string(v.Name), "@?", "@0", 1))] = true
				}
				if !slices.Equal(found.Pages, want) || len(lost) == 0 || len(lost) > 119 || int(found.Versions)+len(lost) != 120 {
					t.Errorf("pages %v; %d versions are whole, %d are not: %+v", found.Pages, found.Versions, len(lost), found.Lost[:min(3, len(found.Lost))])
				}
				if n := len(found.Since); table != "key_change" && n != 20 || n < 20 {
					t.Errorf("%d versions since", n)
				}
				for name, want := range sealed {
					v, _, err := s.Version(ctx, name)
					refused, _ := errors.AsType[*kms.ReadOnlyError](err)
					switch {
					case !lost[name] && (err != nil || !bytes.Equal(v.Sealed, want)):
						t.Errorf("%s is whole and not served: %v", name, err)
					case lost[name] && !zeros && (refused == nil || refused.Reason != kms.ReasonDataDamaged || refused.Remedy != kms.ElsewherePeer):
						t.Errorf("%s is not whole, and the answer is %v", name, err)
					case lost[name] && err == nil:
						t.Errorf("%s is not whole, and is served", name)
					}
				}
				if err := LinkedAt(ctx, server.ConnString("damaged")); err == nil {
					t.Error("it counts as whole")
				} else {
					t.Log("evidence:", err)
				}
			})
		}
	}
}

// TestPurgedKeyIsNotMissed: a row that is missing on both hosts, and so for ever, is missed until its key is purged.
func TestPurgedKeyIsNotMissed(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	s := emptyStore(t, server, "lacking")
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, server.ConnString("lacking"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "set session_replication_role = replica"); err != nil { // no foreign keys, as on a disk
		t.Fatal(err)
	}
	loses := func(sql string, key kms.ID) {
		t.Helper()
		if tag, err := conn.Exec(ctx, sql, key); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %v, %v", sql, tag, err)
		}
	}
	const loseKey, loseVersion, loseCreation = "delete from key where id = $1", "delete from key_version where key_id = $1", "delete from key_change where key_id = $1 and seq = 0"
	for i, sql := range []string{loseVersion, loseCreation} {
		c, k, v := newKey(t, kms.KeyName(fmt.Sprintf("key%d", i)))
		deleted := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: 1, Kind: kms.Deleted, At: c.At, By: "alice"}
		if err := errors.Join(s.Apply(ctx, c, &k, &v), s.Apply(ctx, deleted, nil, nil)); err != nil {
			t.Fatal(err)
		}
		loses(sql, k.ID)
		err := LinkedAt(ctx, server.ConnString("lacking"))
		if _, missing := errors.AsType[*postgres.RowsError](err); !missing || !strings.Contains(err.Error(), "one that is purged does not count") {
			t.Errorf("after %s: %v", sql, err)
		}
		if found, err := s.Key(ctx, k.Name); err != nil || found.ID != k.ID || !found.Deleted() {
			t.Errorf("after %s the key can not be found to be purged: %+v, %v", sql, found, err)
		}
		purged := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: 2, Kind: kms.Purged, At: c.At, By: "alice"}
		if err := s.Apply(ctx, purged, nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := LinkedAt(ctx, server.ConnString("lacking")); err != nil {
			t.Errorf("after %s its key was purged: %v", sql, err)
		}
	}
	for i, sql := range []string{loseKey, loseVersion, loseCreation} { // purged first
		loses(sql, mustPurge(t, s, kms.KeyName(fmt.Sprintf("purged%d", i))))
		if err := LinkedAt(ctx, server.ConnString("lacking")); err != nil {
			t.Errorf("of a purged key, after %s: %v", sql, err)
		}
	}
}

// mustPurge makes a key and purges it.
func mustPurge(t *testing.T, s *Store, name kms.KeyName) kms.ID {
	t.Helper()
	c, k, v := newKey(t, name)
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	for i, kind := range []kms.ChangeKind{kms.Deleted, kms.Purged} {
		next := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: i + 1, Kind: kind, At: c.At, By: "alice"}
		if err := s.Apply(t.Context(), next, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	return k.ID
}
