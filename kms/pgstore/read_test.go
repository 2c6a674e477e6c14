package pgstore

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"keytrustee/kms"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// everything is the horizon of a genuine passive.
type everything struct{ *horizon }

func (everything) Visibility() (postgres.Visibility, error) {
	return postgres.Visibility{All: true}, nil
}

func notReady(err error) bool {
	var ro *kms.ReadOnlyError
	return errors.As(err, &ro) && ro.Remedy == kms.ElsewherePeer
}

// TestPassive reads on a standby: all there is, also with the active dead, and again after a start.
func TestPassive(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	c, k, v := newKey(t, "k")
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	passive, err := New(Config{ConnString: p.passive.ConnString("postgres"), Horizon: everything{p.horizon}, Host: "kt02"})
	if err != nil {
		t.Fatal(err)
	}
	defer passive.Close()
	check := func(when string) {
		t.Helper()
		got, err := passive.Key(t.Context(), "k")
		if diff := cmp.Diff(k, got); err != nil || diff != "" {
			t.Errorf("%s: Key: %v\n%s", when, err, diff)
		}
		version, _, err := passive.Version(t.Context(), "k@0")
		if diff := cmp.Diff(v, version); err != nil || diff != "" {
			t.Errorf("%s: Version: %v\n%s", when, err, diff)
		}
		if _, err := passive.Key(t.Context(), "absent"); !errors.Is(err, kms.ErrKeyNotFound) {
			t.Errorf("%s: Key of an absent name: %v", when, err)
		}
	}
	check("streaming")
	for _, id := range []kms.ID{v.ID, c.ID} {
		row, err := passive.Row(t.Context(), id)
		if err != nil || (row.Version == nil) != (id == c.ID) || (row.Change == nil) != (id == v.ID) {
			t.Errorf("Row(%s) = %+v, %v", id, row, err)
		}
	}
	p.stopActive(postgres.Immediate)
	check("with the active dead")
	p.stopPassive()
	if _, err := passive.Key(t.Context(), "k"); !notReady(err) {
		t.Errorf("with its database down: %v; want the other host to be asked", err)
	}
	p.startPassive()
	check("started again")
	if err := <-create(t.Context(), t, passive, "new"); err == nil {
		t.Error("a standby took a change")
	}
}

// TestDatabaseIsNotThereYet opens a Store before its PostgreSQL runs, and before it has tables.
func TestDatabaseIsNotThereYet(t *testing.T) {
	server := pgtest.Server(t, pgtest.Options{})
	h := everything{&horizon{}}
	s, err := New(Config{ConnString: server.ConnString("postgres"), Horizon: h})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	try := func(when string) {
		t.Helper()
		if _, err := s.Key(t.Context(), "k"); !notReady(err) {
			t.Errorf("%s: Key = %v", when, err)
		}
		if _, err := s.Keys(t.Context()); !notReady(err) {
			t.Errorf("%s: Keys = %v", when, err)
		}
		if _, err := s.Row(t.Context(), kms.NewID()); !notReady(err) {
			t.Errorf("%s: Row = %v", when, err)
		}
	}
	try("nothing runs")
	if err := <-create(t.Context(), t, s, "k"); !notReady(err) {
		t.Errorf("Apply = %v", err)
	}
	if err := server.Init(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, server)
	try("no tables")
	if err := Migrate(pgtest.Context(t), server.ConnString("postgres")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(t.Context(), "k"); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("Key = %v", err)
	}
}

// TestNotCertain: what the horizon shows is served, what it does not show is never called absent, and a list that may
// lack something is none.
func TestNotCertain(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	c, k, v := newKey(t, "k")
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	reason := &kms.ReadOnlyError{Reason: "history_differs", Sentence: "the copies differ", Remedy: kms.ElsewherePeer}
	for _, uncertain := range []error{errUncertain, reason} {
		p.horizon.setUncertain(uncertain)
		if _, err := s.Key(t.Context(), "k"); err != nil {
			t.Errorf("Key = %v", err)
		}
		if _, _, err := s.Version(t.Context(), "k@0"); err != nil {
			t.Errorf("Version = %v", err)
		}
		for what, err := range map[string]error{
			"Key":      second(s.Key(t.Context(), "absent")),
			"Current":  second(s.Current(t.Context(), kms.NewID())),
			"Versions": second(s.Versions(t.Context(), k.ID)),
			"Keys":     second(s.Keys(t.Context())),
			"Apply":    <-create(t.Context(), t, s, "new"),
		} {
			if !notReady(err) {
				t.Errorf("%s, not certain: %v", what, err)
			}
			if uncertain == error(reason) && err != uncertain {
				t.Errorf("%s: %v; want the horizon's own reason", what, err)
			}
		}
		if _, _, err := s.ByRequest(t.Context(), "absent"); !notReady(err) {
			t.Errorf("ByRequest, not certain: %v", err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestUnconfirmedChanges: a key is what its confirmed changes make it, whatever stands behind them.
func TestUnconfirmedChanges(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	c, k, v := newKey(t, "k")
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	p.stopPassive()
	deletion := kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: 1, Kind: kms.Deleted, At: k.Created, By: "alice"}
	result := make(chan error, 1)
	go func() { result <- s.Apply(t.Context(), deletion, nil, nil) }()
	p.admin("select pg_cancel_backend($1)", int64(p.waiting(1)[0]))
	pgtest.Await(p, "PostgreSQL shows the deletion", func() bool {
		row, err := s.Row(t.Context(), deletion.ID)
		return err == nil && row.Change != nil && row.Change.Kind == kms.Deleted
	})
	if got, err := s.Key(t.Context(), "k"); err != nil || got.Deleted() {
		t.Errorf("Key = deleted %t, %v; the deletion is not confirmed", got.Deleted(), err)
	}
	if n, err := s.Unconfirmed(t.Context()); err != nil || n != 1 {
		t.Errorf("%d changes are said to be unconfirmed, %v; want 1", n, err)
	}
	other := deletion
	other.ID = kms.NewID()
	if err := s.Apply(t.Context(), other, nil, nil); !notReady(err) {
		t.Errorf("a change after one that is not confirmed: %v; want busy", err)
	}
	p.startPassive()
	if err := <-result; err != nil {
		t.Errorf("the deletion = %v", err)
	}
	if got, err := s.Key(t.Context(), "k"); err != nil || !got.Deleted() {
		t.Errorf("Key = deleted %t, %v", got.Deleted(), err)
	}
	if n, err := s.Unconfirmed(t.Context()); err != nil || n != 0 {
		t.Errorf("%d changes are said to be unconfirmed, %v; want none", n, err)
	}
	if err := s.Apply(t.Context(), other, nil, nil); !errors.Is(err, kms.ErrConflict) {
		t.Errorf("a change after a confirmed one: %v; want ErrConflict", err)
	}
}

// TestDeadConnections: a read survives the end of every connection that the pool kept.
func TestDeadConnections(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	mustCreate(t, s, "k")
	for range 3 {
		var ended int
		err := p.horizon.active.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where backend_type = 'client backend' and pid <> pg_backend_pid()`).Scan(&ended)
		if err != nil || ended == 0 {
			t.Fatalf("%d connections ended, %v", ended, err)
		}
		if _, err := s.Key(t.Context(), "k"); err != nil {
			t.Errorf("Key = %v", err)
		}
	}
}

// TestPurgeErasesMaterial: after a confirmed purge the material leaves both databases, and not before.
func TestPurgeErasesMaterial(t *testing.T) {
	p := newPair(t)
	s := p.store(p.active.ConnString("postgres"))
	c, k, v := newKey(t, "k")
	if err := s.Apply(t.Context(), c, &k, &v); err != nil {
		t.Fatal(err)
	}
	_, _, kept := newKey(t, "kept")
	mustCreate(t, s, "kept")
	stored := func(pool querier, id kms.ID) (sealed []byte) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "select sealed from key_version where id = $1", id).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	step := func(seq int, kind kms.ChangeKind) error {
		return s.Apply(t.Context(), kms.Change{ID: kms.NewID(), KeyID: k.ID, Seq: seq, Kind: kind, At: k.Created, By: "alice"}, nil, nil)
	}
	if err := step(1, kms.Deleted); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored(p.horizon.active, v.ID), v.Sealed) {
		t.Fatal("a sweep took the material of a key that can be undeleted")
	}
	if err := step(2, kms.Purged); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(p, "the material is gone from both hosts", func() bool {
		return stored(p.horizon.active, v.ID) == nil && stored(p.horizon.passive, v.ID) == nil
	})
	if _, _, err := s.Version(t.Context(), kept.Name); err != nil {
		t.Errorf("another key: %v", err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Errorf("nothing to sweep: %v", err)
	}
}

func TestPassing(t *testing.T) {
	for code, want := range map[string]bool{
		"40001": true, "57014": true, "57P01": true, "57P03": true, "08006": true, "53300": true, "XX001": true, "25006": true,
		"42P01": true, "42703": false, "22P02": false, "23505": false, "": false,
	} {
		if got := passing(&pgconn.PgError{Code: code}); got != want {
			t.Errorf("passing(%s) = %t, want %t", code, got, want)
		}
	}
	if !passing(errors.New("unexpected EOF")) {
		t.Error("a broken connection is no answer")
	}
}

// TestFilterBelongsToTheConnection: the horizon is asked while the connection that will answer is held. Asked before, it
// could speak of a start of PostgreSQL that is over, and a standby that has not replayed yet would say "absent".
func TestFilterBelongsToTheConnection(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	if err := Migrate(pgtest.Context(t), server.ConnString("postgres")); err != nil {
		t.Fatal(err)
	}
	h := &held{}
	s, err := New(Config{ConnString: server.ConnString("postgres"), Horizon: h})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h.store = s
	for what, err := range map[string]error{
		"Key": second(s.Key(t.Context(), "k")), "Keys": second(s.Keys(t.Context())), "Versions": second(s.Versions(t.Context(), kms.NewID())),
	} {
		if err != nil && !errors.Is(err, kms.ErrKeyNotFound) {
			t.Errorf("%s = %v", what, err)
		}
	}
	if h.asked != 3 || h.without != 0 {
		t.Errorf("asked %d times, %d times without a connection", h.asked, h.without)
	}
}

type held struct {
	everything
	store          *Store
	asked, without int
}

func (h *held) Visibility() (postgres.Visibility, error) {
	h.asked++
	if h.store.reads.Stat().AcquiredConns() != 1 {
		h.without++
	}
	return postgres.Visibility{All: true}, nil
}
