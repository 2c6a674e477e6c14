package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
)

// keyColumns and keyTables give a key as its visible changes make it: l is the newest of them. They serve every read of
// keys, so that all reads agree.
const (
	keyColumns    = `k.id, k.name, k.cipher, k.bit_length, k.description, k.attributes::text, k.created, k.created_by, l.versions`
	changeColumns = `.id, %[1]s.key_id, %[1]s.seq, %[1]s.kind, %[1]s.version_id, %[1]s.at, %[1]s.by_whom, %[1]s.from_where, %[1]s.request_id`
	keyTables     = `key k cross join lateral (
	select c.*, count(c.version_id) over () as versions from key_change c
	where c.key_id = k.id and ` + visible + ` order by c.seq desc limit 1) l`
	versionColumns = `v.id, v.key_id, k.name, v.name, v.ordinal, k.cipher, v.kek, v.sealed, v.check_value`
	living         = `l.kind <> 'purged'`
)

var (
	lastColumns  = columnsOf("l")
	madeColumns  = columnsOf("c")
	selectKey    = `select ` + keyColumns + `, ` + lastColumns + ` from ` + keyTables + ` where ` + living
	selectByName = selectKey + ` and k.name = $4 order by k.generation desc limit 1`
	selectAll    = selectKey + ` order by k.name collate "C", k.generation`

	selectRequest = `select ` + madeColumns + `, ` + keyColumns + `, ` + lastColumns + ` from ` + keyTables +
		` join key_change c on c.key_id = k.id where c.request_id = $4 and ` + visible

	fromVersions = ` from ` + keyTables + ` join key_version v on v.key_id = k.id join key_change c on c.version_id = v.id
	where ` + living + ` and v.sealed is not null and ` + visible
	selectVersion = `select ` + versionColumns + `, ` + madeColumns + `, ` + keyColumns + `, ` + lastColumns + fromVersions +
		` and v.name = $4`
	selectVersions = `select ` + versionColumns + `, ` + madeColumns + fromVersions + ` and v.key_id = $4 order by v.ordinal`
	selectCurrent  = `select ` + versionColumns + `, ` + madeColumns + fromVersions + ` and v.key_id = $4 order by v.ordinal desc limit 1`
)

func columnsOf(alias string) string { return alias + fmt.Sprintf(changeColumns, alias) }

// Key returns the key of that name, also a deleted one.
func (s *Store) Key(ctx context.Context, name kms.KeyName) (kms.Key, error) {
	var k keyRow
	err := s.one(ctx, kms.ErrKeyNotFound, selectByName, string(name), k.dest()...)
	if err != nil {
		return kms.Key{}, err
	}
	return k.key()
}

// Keys returns all keys, ordered by the bytes of their names. While it is not certain which there are, it returns none.
func (s *Store) Keys(ctx context.Context) ([]kms.Key, error) {
	return many(ctx, s, selectAll, nil, func(rows pgx.CollectableRow) (kms.Key, error) {
		var k keyRow
		if err := rows.Scan(k.dest()...); err != nil {
			return kms.Key{}, err
		}
		return k.key()
	})
}

// Version returns the version of that name with its key.
func (s *Store) Version(ctx context.Context, name kms.VersionName) (kms.SealedVersion, kms.Key, error) {
	var v versionRow
	var k keyRow
	if err := s.one(ctx, kms.ErrVersionNotFound, selectVersion, string(name), append(v.dest(), k.dest()...)...); err != nil {
		return kms.SealedVersion{}, kms.Key{}, err
	}
	key, err := k.key()
	return v.version(), key, err
}

// Versions returns all versions of the key, oldest first; kms.ErrKeyNotFound if it has none, being purged or unknown.
func (s *Store) Versions(ctx context.Context, key kms.ID) ([]kms.SealedVersion, error) {
	versions, err := many(ctx, s, selectVersions, []any{key}, func(rows pgx.CollectableRow) (kms.SealedVersion, error) {
		var v versionRow
		err := rows.Scan(v.dest()...)
		return v.version(), err
	})
	if err == nil && len(versions) == 0 {
		return nil, kms.ErrKeyNotFound
	}
	return versions, err
}

// Current returns the newest version of the key; kms.ErrKeyNotFound as Versions.
func (s *Store) Current(ctx context.Context, key kms.ID) (kms.SealedVersion, error) {
	var v versionRow
	err := s.one(ctx, kms.ErrKeyNotFound, selectCurrent, key, v.dest()...)
	return v.version(), err
}

// ByRequest returns the change that was made under a request's id and the key it changed, as it is now, also a purged one.
func (s *Store) ByRequest(ctx context.Context, requestID string) (kms.Change, kms.Key, error) {
	var c changeRow
	var k keyRow
	if err := s.one(ctx, kms.ErrKeyNotFound, selectRequest, requestID, append(c.dest(), k.dest()...)...); err != nil {
		return kms.Change{}, kms.Key{}, err
	}
	key, err := k.key()
	return c.change(), key, err
}

// one reads one row into dest, or returns notFound if there is certainly none. What the horizon shows is served, whatever
// it can not tell.
func (s *Store) one(ctx context.Context, notFound error, sql string, arg any, dest ...any) error {
	var asked filter
	err := s.read(ctx, func(ctx context.Context, q querier, f filter) error {
		asked = f
		return q.QueryRow(ctx, sql, f.args(arg)...).Scan(dest...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return asked.absent(notFound)
	}
	return err
}

// many reads a list. A list that may lack something is an error.
func many[T any](ctx context.Context, s *Store, sql string, args []any, scan pgx.RowToFunc[T]) (list []T, err error) {
	err = s.read(ctx, func(ctx context.Context, q querier, f filter) error {
		if f.uncertain != nil {
			return f.uncertain
		}
		rows, err := q.Query(ctx, sql, f.args(args...)...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scan)
		return err
	})
	return list, err
}

type changeRow struct {
	c         kms.Change
	kind      string
	version   *kms.ID
	requestID *string
}

func (r *changeRow) dest() []any {
	return []any{&r.c.ID, &r.c.KeyID, &r.c.Seq, &r.kind, &r.version, &r.c.At, &r.c.By, &r.c.From, &r.requestID}
}

func (r *changeRow) change() kms.Change {
	c := r.c
	c.Kind, c.At = kms.ChangeKind(r.kind), c.At.UTC()
	if r.version != nil {
		c.Version = *r.version
	}
	if r.requestID != nil {
		c.RequestID = *r.requestID
	}
	return c
}

type keyRow struct {
	k          kms.Key
	attributes string
	last       changeRow
}

func (r *keyRow) dest() []any {
	return append([]any{&r.k.ID, (*string)(&r.k.Name), &r.k.Cipher, &r.k.BitLength, &r.k.Description, &r.attributes, &r.k.Created,
		&r.k.CreatedBy, &r.k.Versions}, r.last.dest()...)
}

func (r *keyRow) key() (kms.Key, error) {
	k := r.k
	k.Created, k.Last = k.Created.UTC().Truncate(time.Millisecond), r.last.change()
	if err := json.Unmarshal([]byte(r.attributes), &k.Attributes); err != nil {
		return kms.Key{}, fmt.Errorf("attributes of key %s: %w", k.Name.Quoted(), err)
	}
	if k.Attributes == nil {
		k.Attributes = map[string]string{}
	}
	return k, nil
}

type versionRow struct {
	v    kms.SealedVersion
	made changeRow
}

func (r *versionRow) dest() []any {
	return append([]any{&r.v.ID, &r.v.KeyID, (*string)(&r.v.Key), (*string)(&r.v.Name), &r.v.Ordinal, &r.v.Cipher, &r.v.KEK,
		&r.v.Sealed, &r.v.Check}, r.made.dest()...)
}

func (r *versionRow) version() kms.SealedVersion {
	v := r.v
	v.Created = r.made.change()
	return v
}
