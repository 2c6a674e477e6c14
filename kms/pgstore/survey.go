package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/kms"
	"keytrustee/postgres"
)

// Surveyed is a version of a key, as far as a survey has found it.
type Surveyed struct {
	Name kms.VersionName `json:"name,omitempty"` // empty where neither the version nor its key could be read
	ID   string          `json:"id"`             // of the version, or of a key of which no version is known
	At   time.Time       `json:"at"`             // when it was made; zero where the change that made it could not be read
	Why  string          `json:"why,omitempty"`  // it can not be served; empty: it was read, and opened
}

// Survey is what a database of keys has, read page by page, so that a damaged page hides its own rows alone.
type Survey struct {
	Pages    []postgres.Page `json:"damaged_pages"` // of the three tables of keys
	Keys     int64           `json:"keys"`          // that have a version that is whole, and were not purged
	Versions int64           `json:"versions"`      // that are whole
	Lost     []Surveyed      `json:"not_whole"`     // by when they were made
	Since    []Surveyed      `json:"since"`         // those made since a moment, whole or not, likewise
}

// surveyed is what is known of a version while rows are read.
type surveyed struct {
	key     kms.ID
	name    kms.VersionName
	at      time.Time
	have    bool // its row was read
	changed bool // so was that of the change that made it
	why     string
}

// surveyor reads one database.
type surveyor struct {
	tx       pgx.Tx
	open     func(kms.SealedVersion) error
	found    Survey
	keys     map[kms.ID]kms.Key
	purged   map[kms.ID]bool
	versions map[kms.ID]*surveyed
	chains   map[kms.ID]map[int]bool // the numbers of a key's changes
}

// TakeSurvey reads everything that tx sees of keys, whatever a filter says, and opens each version. since is from when on what was made is
// listed; zero: nothing is. What can not be read is part of the Survey, and no error. tx has to be repeatable read: what is made while it
// reads would seem to lack something. It can be of a standby.
func TakeSurvey(ctx context.Context, tx pgx.Tx, open func(kms.SealedVersion) error, since time.Time) (Survey, error) {
	s := &surveyor{tx: tx, open: open, keys: map[kms.ID]kms.Key{}, purged: map[kms.ID]bool{}, versions: map[kms.ID]*surveyed{}, chains: map[kms.ID]map[int]bool{},
		found: Survey{Pages: []postgres.Page{}, Lost: []Surveyed{}, Since: []Surveyed{}}}
	var have bool
	if err := tx.QueryRow(ctx, hasTables).Scan(&have); err != nil || !have {
		return s.found, err
	}
	if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil { // a small table would be read whole, whichever pages are asked for
		return s.found, err
	}
	for _, table := range []struct {
		name, columns string
		row           func(pgx.Rows) error
	}{
		{"key", "id, name, cipher", s.key},
		{"key_change", "key_id, seq, kind, version_id, at", s.change},
		{"key_version", "id, key_id, name, ordinal, kek, sealed, check_value", s.version},
	} {
		if err := s.table(ctx, table.name, table.columns, table.row); err != nil {
			return s.found, fmt.Errorf("surveying %s: %w", table.name, err)
		}
	}
	s.judge(since)
	return s.found, nil
}

// fewBlocks is how many pages are asked for at once while none is damaged.
const fewBlocks = 1024

// table hands every row of a table that can be read to row.
func (s *surveyor) table(ctx context.Context, name, columns string, row func(pgx.Rows) error) error {
	var blocks int64
	var file string
	if err := s.tx.QueryRow(ctx, "select pg_relation_size($1::regclass) / current_setting('block_size')::int, pg_relation_filepath($1::regclass)", name).
		Scan(&blocks, &file); err != nil {
		return err
	}
	sql := "select " + columns + " from " + name + " where ctid >= $1::text::tid and ctid < $2::text::tid"
	for at, step := int64(0), int64(fewBlocks); at < blocks; {
		end := min(at+step, blocks)
		err := s.blocks(ctx, sql, at, end, row)
		switch {
		case postgres.Damaged(err) && end-at > 1:
			step = 1 // and so to the end of the table: where one page is damaged others are
			continue
		case postgres.Damaged(err):
			s.found.Pages = append(s.found.Pages, postgres.Page{File: file, Block: at})
		case err != nil:
			return err
		}
		at = end
	}
	return nil
}

// blocks hands the rows of some pages to row. After an error it may have handed out some; the transaction is as it was.
func (s *surveyor) blocks(ctx context.Context, sql string, from, end int64, row func(pgx.Rows) error) error {
	part, err := s.tx.Begin(ctx)
	if err != nil {
		return err
	}
	defer part.Rollback(context.WithoutCancel(ctx))
	rows, err := part.Query(ctx, sql, fmt.Sprintf("(%d,0)", from), fmt.Sprintf("(%d,0)", end))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *surveyor) key(rows pgx.Rows) error {
	var k kms.Key
	if err := rows.Scan(&k.ID, (*string)(&k.Name), &k.Cipher); err != nil {
		return err
	}
	s.keys[k.ID] = k
	return nil
}

func (s *surveyor) known(id kms.ID) *surveyed {
	v := s.versions[id]
	if v == nil {
		v = new(surveyed)
		s.versions[id] = v
	}
	return v
}

func (s *surveyor) change(rows pgx.Rows) error {
	var c changeRow
	if err := rows.Scan(&c.c.KeyID, &c.c.Seq, &c.kind, &c.version, &c.c.At); err != nil {
		return err
	}
	if kms.ChangeKind(c.kind) == kms.Purged {
		s.purged[c.c.KeyID] = true
	}
	if s.chains[c.c.KeyID] == nil {
		s.chains[c.c.KeyID] = map[int]bool{}
	}
	s.chains[c.c.KeyID][c.c.Seq] = true
	if c.version != nil {
		v := s.known(*c.version)
		v.key, v.at, v.changed = c.c.KeyID, c.c.At.UTC(), true
	}
	return nil
}

// version comes after all keys and changes, so that it can be opened at once.
func (s *surveyor) version(rows pgx.Rows) error {
	var r versionRow
	if err := rows.Scan(&r.v.ID, &r.v.KeyID, (*string)(&r.v.Name), &r.v.Ordinal, &r.v.KEK, &r.v.Sealed, &r.v.Check); err != nil {
		return err
	}
	v := s.known(r.v.ID)
	v.key, v.name, v.have = r.v.KeyID, r.v.Name, true
	k, ok := s.keys[v.key]
	if !ok || s.purged[v.key] {
		return nil
	}
	r.v.Key, r.v.Cipher = k.Name, k.Cipher
	if err := s.open(r.v); err != nil {
		v.why = err.Error()
	}
	return nil
}

// judge says of each version whether it is whole, and counts.
func (s *surveyor) judge(since time.Time) {
	whole, seen := map[kms.ID]bool{}, map[kms.ID]bool{}
	for id, v := range s.versions {
		k, haveKey := s.keys[v.key]
		seen[v.key] = true
		if s.purged[v.key] {
			continue
		}
		name := v.name
		if name == "" && haveKey {
			name = kms.VersionName(k.Name) + "@?"
		}
		switch {
		case v.why != "":
		case !v.have:
			v.why = "its row can not be read, or is gone"
		case !v.changed:
			v.why = "the row of the change that made it can not be read, or is gone"
		case !haveKey:
			v.why = "the row of its key can not be read, or is gone"
		}
		one := Surveyed{Name: name, ID: id.String(), At: v.at, Why: v.why}
		if v.why != "" {
			s.found.Lost = append(s.found.Lost, one)
		} else {
			s.found.Versions++
			whole[v.key] = true
		}
		if !since.IsZero() && (v.at.IsZero() || !v.at.Before(since)) {
			s.found.Since = append(s.found.Since, one)
		}
	}
	for id, k := range s.keys {
		numbers := s.chains[id]
		why := ""
		switch {
		case s.purged[id]:
		case !seen[id]:
			why = "no row of a version of it can be read, or all are gone"
		case len(numbers) == 0 || len(numbers) <= slices.Max(slices.Collect(maps.Keys(numbers))):
			why = "rows of changes of it can not be read, or are gone"
		}
		if why != "" {
			s.found.Lost = append(s.found.Lost, Surveyed{Name: kms.VersionName(k.Name) + "@?", ID: id.String(), Why: why})
		}
	}
	s.found.Keys = int64(len(whole))
	for _, list := range [][]Surveyed{s.found.Lost, s.found.Since} {
		slices.SortFunc(list, func(a, b Surveyed) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name)) })
	}
}
