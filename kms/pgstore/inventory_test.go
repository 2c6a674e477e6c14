package pgstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestInventory: the inventory has every row, each with a sum that any change of it changes, and what a purge erases is the
// one thing that it forgives.
func TestInventory(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	s := emptyStore(t, server, "inventory")
	ctx := pgtest.Context(t)
	conn, err := pgx.Connect(ctx, server.ConnString("inventory"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	inventory := func() []Entry {
		t.Helper()
		var entries []Entry
		opened := 0
		err := Inventory(ctx, conn, func(v kms.SealedVersion) error {
			opened++
			_, err := sealer.Open(v)
			return err
		}, func(e Entry) error { entries = append(entries, e); return nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Table == Versions && !e.Purged {
				opened--
			}
		}
		if opened != 0 {
			t.Errorf("opened were %d more than there are", opened)
		}
		if diff := cmp.Diff(entries, inventoryOfCopies(t, conn)); diff != "" {
			t.Errorf("copies of the tables have others (-database +copies):\n%s", diff)
		}
		return entries
	}

	mustCreate(t, s, "kept")
	c, k, v := newKey(t, "purged")
	if err := s.Apply(ctx, c, &k, &v); err != nil {
		t.Fatal(err)
	}
	before := inventory()
	if len(before) != 6 {
		t.Fatalf("%d rows, want two keys, each with a version and a change", len(before))
	}
	if diff := cmp.Diff(before, inventory()); diff != "" {
		t.Errorf("a second time (-first +second):\n%s", diff)
	}

	// Every column counts; the transaction is undone.
	for _, change := range []string{
		`update key set description = 'x' where name = 'kept'`, `update key set attributes = '{"a":"b"}' where name = 'kept'`,
		`update key set created = created + interval '1 microsecond' where name = 'kept'`, `update key set name = 'other' where name = 'kept'`,
		`update key set generation = 7 where name = 'kept'`, `update key set bit_length = 256 where name = 'kept'`, `update key set created_by = '' where name = 'kept'`,
		`update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = 'kept@0'`,
		`update key_version set check_value = set_byte(check_value, 3, get_byte(check_value, 3) # 1) where name = 'kept@0'`,
		`update key_version set kek = 'other' where name = 'kept@0'`, `update key_version set ordinal = 9 where name = 'kept@0'`,
		`update key_change set by_whom = 'mallory' where seq = 0`, `update key_change set request_id = '' where version_id = $1`, `update key_change set xid = '7' where version_id = $1`,
		`update key_change set kind = 'rolled' where version_id = $1`,
	} {
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var args []any
		if strings.Contains(change, "$1") {
			args = append(args, v.ID)
		}
		if _, err := tx.Exec(ctx, change, args...); err != nil {
			t.Fatal(change, err)
		}
		var after []Entry
		if err := Inventory(ctx, tx, nil, func(e Entry) error { after = append(after, e); return nil }); err != nil {
			t.Fatal(change, err)
		}
		if cmp.Equal(before, after) {
			t.Errorf("not noticed: %s", change)
		}
		tx.Rollback(ctx)
	}

	purge := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: 1, Kind: kms.Deleted, At: c.At, By: "alice"}
	for _, kind := range []kms.ChangeKind{kms.Deleted, kms.Purged} {
		purge.Kind = kind
		if err := s.Apply(ctx, purge, nil, nil); err != nil {
			t.Fatal(err)
		}
		purge.ID, purge.Seq = kms.NewID(), purge.Seq+1
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "it is swept", func() bool {
		var left int
		err := conn.QueryRow(ctx, `select count(*) from key_version where key_id = $1 and sealed is not null`, k.ID).Scan(&left)
		return err == nil && left == 0
	})
	swept := inventory()
	if len(swept) != 8 {
		t.Fatalf("%d rows after a purge", len(swept))
	}
	for _, e := range swept {
		if want := e.ID == k.ID || e.ID == v.ID; e.Purged != want {
			t.Errorf("row %s of table %d: purged is %v", e.ID, e.Table, e.Purged)
		}
	}

	if keys, versions, err := Purged(ctx, conn); err != nil || keys != 1 || versions != 1 {
		t.Errorf("purged were %d keys with %d versions, %v", keys, versions, err)
	}
	exec(`alter table key add column more int`)
	afresh, err := pgx.Connect(ctx, server.ConnString("inventory"))
	if err != nil {
		t.Fatal(err)
	}
	defer afresh.Close(context.Background())
	if err := Inventory(ctx, afresh, nil, func(Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), "10 columns") {
		t.Errorf("with a column that nobody reads: %v", err)
	}
	exec(`alter table key drop column more`)

	exec(`update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = 'kept@0'`)
	refused := func(want string) {
		t.Helper()
		err := Inventory(ctx, conn, func(v kms.SealedVersion) error {
			if _, err := sealer.Open(v); err != nil {
				return errors.Join(errors.New(v.Name.Quoted()), err)
			}
			return nil
		}, func(Entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	refused(`"kept@0"`)
	exec(`update key_version set sealed = null where name = 'kept@0'`)
	refused(`version "kept@0"`)

	var none []Entry
	admin, err := pgx.Connect(ctx, server.ConnString("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if err := Inventory(ctx, admin, nil, func(e Entry) error { none = append(none, e); return nil }); err != nil || len(none) != 0 {
		t.Errorf("a database without tables has %v, %v", none, err)
	}
}

// inventoryOfCopies is what copies of the tables have.
func inventoryOfCopies(t *testing.T, conn *pgx.Conn) (entries []Entry) {
	t.Helper()
	var copies [len(Tables)]io.Reader
	err := pgx.BeginFunc(pgtest.Context(t), conn, func(tx pgx.Tx) error {
		for i, name := range Tables {
			var b bytes.Buffer
			if _, err := postgres.CopyTable(pgtest.Context(t), conn, name, &b); err != nil {
				return err
			}
			copies[i] = &b
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for c := NewCopies(copies); ; {
		e, err := c.Next()
		if err == io.EOF {
			return entries
		} else if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
}
