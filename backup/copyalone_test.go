package backup

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"keytrustee/internal/gpgtest"
	"keytrustee/postgres"
)

// TestCopyBringsNoOther: one backup goes to a target, and brings none of the others along; of those that came there one by one so many stay.
func TestCopyBringsNoOther(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		keeping(y)
		y.Retention = Retention{Newest: 2}
		var all []Receipt
		for hour := 1; hour <= 4; hour++ {
			nightly := y.add(24*hour, 10)
			y.add(24*hour-1, 10) // which is not asked for
			all = append(all, nightly)
			y.Only = nightly.Name
			d := y.ship(nightly)
			var gone []string
			if hour > 2 {
				gone = []string{all[hour-3].Name}
			}
			if !slices.Equal(d.Removed, gone) {
				t.Errorf("removed are %q, want %q", d.Removed, gone)
			}
			holds(t, dir, all[max(0, hour-2):]...)
		}
	})
}

// TestWaitsForAnother: who is to wait for another backup, or for who sends, waits until it is told to end.
func TestWaitsForAnother(t *testing.T) {
	y := newYard(t)
	lock, err := os.OpenFile(y.LockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	for _, wait := range []bool{false, true} {
		y.Wait = wait
		for what, do := range map[string]func(context.Context) error{
			"making one": func(ctx context.Context) error {
				_, err := Create(ctx, Options{LockFile: y.LockFile, Wait: wait, Recipients: Recipients{texts: make([]string, fewest)}})
				return err
			},
			"sending": func(ctx context.Context) error { _, err := Ship(ctx, y.ShipOptions); return err },
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, enough)
			err := do(ctx)
			cancel()
			if _, refused := errors.AsType[*postgres.SetupError](err); refused == wait || errors.Is(err, enough) != wait {
				t.Errorf("%s, waiting %v: %v", what, wait, err)
			}
		}
	}
	time.AfterFunc(50*time.Millisecond, func() { syscall.Flock(int(lock.Fd()), syscall.LOCK_UN) })
	if _, err := Ship(t.Context(), y.ShipOptions); err != nil {
		t.Errorf("when the other has ended: %v", err)
	}
}

// TestNamed: a recipient is called by what it is, and an OpenPGP key by enough of its fingerprint.
func TestNamed(t *testing.T) {
	const key = "openpgp:0123456789ABCDEF0123456789ABCDEF01234567"
	for id, text := range map[string]string{
		"age1abc": "age1abc", " AGE1ABC ": "age1abc", key: key, "0123456789abcdef0123456789abcdef01234567": key, "0x89ABCDEF01234567": key,
		"0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567": key,
	} {
		if r := (Recipients{texts: []string{"age1other", text}}); !r.Named(id, time.Now()) {
			t.Errorf("%q is not %s", id, text)
		}
	}
	r := Recipients{texts: []string{"age1abc", key}}
	for _, id := range []string{"", "age1ab", "age1", "01234567", "0xABCDEF01234567", "89ABCDEF01234568", "john.doe@example.com", "openpgp:", "*"} {
		if r.Named(id, time.Now()) {
			t.Errorf("%q is one of them", id)
		}
	}
}

// TestNamedByAddress: an OpenPGP key is called by a mail address that it vouches for, and no longer when its owner has revoked that, even
// where the key was judged when the revocation was yet to come. An address that stands in another user id, too, is still the key's.
func TestNamedByAddress(t *testing.T) {
	t.Parallel()
	g := gpgtest.New(t)
	john, other := g.Make("John Doe", gpgtest.Curve+"Name-Email: john.doe@example.com\n"), g.Make("Alice", gpgtest.Curve)
	made := time.Now() // what gpg revokes in the same second it dates a second later
	recipients := func() Recipients {
		t.Helper()
		r, err := ParseRecipients([]string{openPGPPrefix + john, openPGPPrefix + other}, keysIn(t, g.Public(john, other)), made)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := recipients()
	for id, want := range map[string]bool{
		"john.doe@example.com": true, "<John.Doe@example.COM>": true, john: true, "0x" + other[24:]: true,
		"doe@example.com": false, "jane.doe@example.com": false, "John Doe": false, "": false, "<>": false, other[32:]: false,
	} {
		if r.Named(id, made) != want {
			t.Errorf("%q names one of them: %v", id, !want)
		}
	}
	g.Run(nil, "--quick-add-uid", john, "John Doe <jd@example.com>")
	g.Run(nil, "--quick-add-uid", john, "Johnny <jd@example.com>")
	g.Run(nil, "--quick-revoke-uid", john, "John Doe <john.doe@example.com>")
	g.Run(nil, "--quick-revoke-uid", john, "John Doe <jd@example.com>")
	later := time.Now().Add(time.Minute)
	for range 10 { // the user ids of a key are in no order
		r := recipients()
		if r.Named("john.doe@example.com", later) {
			t.Error("an address that was revoked names the key")
		}
		if !r.Named("jd@example.com", later) {
			t.Error("an address that stands in one of two user ids does not name the key")
		}
	}
}
