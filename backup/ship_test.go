package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/internal/sshtest"
	"keytrustee/postgres/pgtest"
)

// TestShip: a target gets what it lacks, the newest first, and its directory is one of backups; what it has is not sent again,
// and what it lost is.
func TestShip(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		y.ship()
		a, b, c := y.add(1, 17), y.add(2, block), y.add(3, 2*block+5)
		if d := y.ship(c, b, a); d.Bytes != a.Size+b.Size+c.Size {
			t.Errorf("%d bytes were sent", d.Bytes)
		}
		holds(t, dir, a, b, c)
		tidy(t, dir)
		shipped, err := LoadShipped(y.Directory)
		if err != nil || !slices.Equal(shipped.Where(b), []string{y.Targets[0].String()}) {
			t.Errorf("confirmed are %v, %v", shipped, err)
		}

		y.ship()
		e := y.add(4, 0)
		y.ship(e)
		holds(t, dir, a, b, c, e)

		if err := errors.Join(os.Remove(filepath.Join(dir, b.Name+fileSuffix)), os.Remove(filepath.Join(dir, a.Name+receiptSuffix))); err != nil {
			t.Fatal(err)
		}
		if d := y.ship(b); d.Bytes != b.Size { // of a only the receipt was missing
			t.Errorf("%d bytes were sent", d.Bytes)
		}
		holds(t, dir, a, b, c, e)
		tidy(t, dir)
	})
}

// TestShipMeanwhile: what is made while others are sent is sent too, and before the older ones.
func TestShipMeanwhile(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		a, b := y.add(1, 10), y.add(2, 20)
		var c Receipt
		meanwhile := y.once("named", func() { c = y.add(3, 30) })
		if d, err := Ship(t.Context(), meanwhile); err != nil || !slices.Equal(d[0].Sent, namesOf([]Receipt{b, c, a})) {
			t.Errorf("%+v, %v", d, err)
		}
		holds(t, dir, a, b, c)
	})
}

// TestShipForgotten: what no record says to be there is read there, and sent again from where it differs.
func TestShipForgotten(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		a := y.add(1, 3*block)
		y.ship(a)
		if err := os.WriteFile(y.here(shippedFile), []byte(`{"half`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadShipped(y.Directory); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("error %v", err)
		}
		y.ship()
		if shipped, err := LoadShipped(y.Directory); err != nil || len(shipped.Where(a)) != 1 {
			t.Errorf("confirmed are %v, %v", shipped, err)
		}

		there := filepath.Join(dir, a.Name+fileSuffix)
		pgtest.FlipByte(t, there, 2*block+9)
		if err := os.Remove(y.here(shippedFile)); err != nil {
			t.Fatal(err)
		}
		if d := y.ship(a); d.Bytes != a.Size-(2*block+9) {
			t.Errorf("%d bytes were sent", d.Bytes)
		}
		holds(t, dir, a)
		tidy(t, dir)
		if err := os.Truncate(there, 5); err != nil {
			t.Fatal(err)
		}
		if d := y.ship(a); d.Bytes != a.Size-5 {
			t.Errorf("%d bytes were sent", d.Bytes)
		}
		holds(t, dir, a)
	})
}

// TestShipGoesOn: what was sent of a backup is gone on with as far as it is right.
func TestShipGoesOn(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		const size = 3*block + 7
		a := y.add(1, size)
		content, err := os.ReadFile(y.here(a.Name + fileSuffix))
		if err != nil {
			t.Fatal(err)
		}
		flipped := func(part []byte, at int) []byte {
			part = slices.Clone(part)
			part[at] ^= 1
			return part
		}
		for _, row := range []struct {
			what string
			part []byte
			sent int64
		}{
			{"nothing", []byte{}, size},
			{"a byte", content[:1], size - 1},
			{"a block", content[:block], size - block},
			{"some", content[:block+5], size - block - 5},
			{"all", content, 0},
			{"more than all", append(slices.Clone(content), 1, 2, 3), 0},
			{"a flipped bit", flipped(content[:2*block], block+3), size - block - 3},
			{"the first bit flipped", flipped(content, 0), size},
			{"the last bit flipped", flipped(content, size-1), 1},
			{"a hole", append(slices.Clone(content[:block]), make([]byte, block)...), size - block},
			{"something else", make([]byte, size), size},
		} {
			for _, file := range files(a) {
				if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, a.Name+partialSuffix)
			if err := os.WriteFile(path, row.part, 0o666); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(dir); err == nil {
				own(t, path, info)
			}
			holds(t, dir)
			d, err := Ship(t.Context(), y.ShipOptions)
			if err != nil || d[0].Bytes > row.sent || d[0].Bytes < row.sent-3 { // a byte may be what it would have been
				t.Errorf("%s: %d bytes were sent, want %d; %v", row.what, d[0].Bytes, row.sent, err)
			}
			if _, err := Verify(t.Context(), dir, a.Name, nil); err != nil {
				t.Errorf("%s: %v", row.what, err)
			}
			tidy(t, dir)
		}
	})
}

// TestShipOthers: what lies in the place of a backup and is not ours stays, and the other backups are sent.
func TestShipOthers(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		a, b := y.add(1, 100), y.add(2, 100)
		other := newYard(t, parsed(t, "file://"+dir))
		theirs := other.add(2, 90)
		other.ship(theirs)
		alone := filepath.Join(dir, "notes")
		if err := os.WriteFile(alone, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files(theirs) {
			own(t, filepath.Join(dir, file), info)
		}
		d := y.fails("another backup is called " + b.Name)
		if !slices.Equal(d.Sent, []string{a.Name}) || !slices.Equal(d.Missing, []string{b.Name}) {
			t.Errorf("%+v", d)
		}
		holds(t, dir, a, theirs)

		if err := os.WriteFile(filepath.Join(dir, theirs.Name+receiptSuffix), []byte("not to be read"), 0o600); err != nil {
			t.Fatal(err)
		}
		y.fails("its receipt can not be read, and it is not what would be sent")
		if text, err := os.ReadFile(filepath.Join(dir, theirs.Name+fileSuffix)); err != nil || len(text) != 90 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		if err := os.Remove(filepath.Join(dir, theirs.Name+receiptSuffix)); err != nil {
			t.Fatal(err)
		}
		y.fails("no receipt lies beside it")
		if text, err := os.ReadFile(filepath.Join(dir, theirs.Name+fileSuffix)); err != nil || len(text) != 90 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		if err := errors.Join(os.Remove(filepath.Join(dir, theirs.Name+fileSuffix)), os.Mkdir(filepath.Join(dir, b.Name+partialSuffix), 0o700)); err != nil {
			t.Fatal(err)
		}
		y.fails("there is no file")
		if err := os.Remove(filepath.Join(dir, b.Name+partialSuffix)); err != nil {
			t.Fatal(err)
		}
		y.ship(b)
		if text, err := os.ReadFile(alone); err != nil || string(text) != "mine" {
			t.Errorf("the notes: %q, %v", text, err)
		}
	})
}

// TestShipDamagedHere: a backup that is not what it was when it was verified reaches no target, and keeps no other from one.
func TestShipDamagedHere(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		a, b := y.add(1, 100), y.add(2, block+100)
		pgtest.FlipByte(t, y.here(b.Name+fileSuffix), block+50)
		d := y.fails("the backup " + b.Name + " is of no use")
		if !slices.Equal(d.Sent, []string{a.Name}) || !slices.Equal(d.Missing, []string{b.Name}) || !strings.Contains(d.Remedy, "backup create") {
			t.Errorf("%+v", d)
		}
		holds(t, dir, a)
		tidy(t, dir)
	})
}

// TestShipRefused: a target that can not be written to says why, and what to do.
func TestShipRefused(t *testing.T) {
	s := sshtest.New(t)
	y := newYard(t, parsed(t, s.URL(s.Port)))
	y.SSH = sshOf(s)
	a := y.add(1, 100)
	if err := os.Chmod(s.Store, 0o500); err != nil {
		t.Fatal(err)
	}
	if d := y.fails("permission denied"); !strings.Contains(d.Remedy, "let the user "+s.User) {
		t.Errorf("%+v", d)
	}
	if err := errors.Join(os.Chmod(s.Store, 0o700), os.Rename(s.Store, s.Store+".away")); err != nil {
		t.Fatal(err)
	}
	if d := y.fails("its directory is not there"); !strings.Contains(d.Remedy, "mount it") {
		t.Errorf("%+v", d)
	}
	if err := os.WriteFile(s.Store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	y.fails("its directory is not there")
	if err := errors.Join(os.Remove(s.Store), os.Rename(s.Store+".away", s.Store)); err != nil {
		t.Fatal(err)
	}

	for text, want := range map[string]string{"file:///nowhere/at/all": "its directory is not there", "file://" + y.Directory: "is the directory of the backups itself"} {
		y.Targets = []Target{parsed(t, text)}
		y.fails(want)
	}
	y.Targets = []Target{parsed(t, s.URL(s.Port))}
	y.ship(a)
}

// TestShipOneIsDown: a target that is down, or stalls, keeps no other from being sent to, and gets everything when it is back.
func TestShipOneIsDown(t *testing.T) {
	s := sshtest.New(t)
	down, silent := parsed(t, s.URL(pgtest.FreePort(t))), sshtest.NewRelay(t, s.Port)
	silent.Left.Store(0)
	silent.Stall.Store(true)
	s.Know(silent.Port, "ed25519")
	dir := pgtest.Dir(t)
	y := newYard(t, down, parsed(t, s.URL(silent.Port)), parsed(t, "file://"+dir))
	y.SSH, y.Patience = sshOf(s), time.Second
	a, b := y.add(1, 100), y.add(2, block)
	d, err := Ship(t.Context(), y.ShipOptions)
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "nothing moves: not for 1s") || len(d) != 3 ||
		!slices.Equal(d[2].Sent, namesOf([]Receipt{b, a})) || len(d[0].Missing) != 2 || len(d[1].Missing) != 2 || d[2].Problem != "" {
		t.Errorf("%+v, %v", d, err)
	}
	holds(t, dir, a, b)
	silent.Left.Store(sshtest.Everything)
	y.Targets, y.Patience = y.Targets[1:], pgtest.Patience
	if d, err := Ship(t.Context(), y.ShipOptions); err != nil || len(d[0].Sent) != 2 || len(d[1].Sent) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	holds(t, s.Store, a, b)
}

// TestShipCut: a connection that is cut or stalls in the middle leaves nothing that is listed, and the next run sends the rest.
func TestShipCut(t *testing.T) {
	for _, stall := range []bool{false, true} {
		s := sshtest.New(t)
		r := sshtest.NewRelay(t, s.Port)
		s.Know(r.Port, "ed25519")
		y := newYard(t, parsed(t, s.URL(r.Port)))
		y.SSH = sshOf(s)
		a := y.add(1, 4*block)
		r.Left.Store(2*block + block/2)
		r.Stall.Store(stall)
		want := "connection"
		if stall {
			y.Patience, want = time.Second, "nothing moves: not for 1s"
		}
		d := y.fails(want)
		if len(d.Sent) != 0 || !slices.Equal(d.Missing, []string{a.Name}) {
			t.Errorf("%+v", d)
		}
		holds(t, s.Store)
		r.Left.Store(sshtest.Everything)
		y.Patience = pgtest.Patience
		if d := y.ship(a); d.Bytes > 2*block || d.Bytes == 0 {
			t.Errorf("stall %t: %d bytes were sent the second time", stall, d.Bytes)
		}
		holds(t, s.Store, a)
		tidy(t, s.Store)
	}
}

// TestShipInterrupted: who is told to end ends at once, and the next run goes on.
func TestShipInterrupted(t *testing.T) {
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		a := y.add(1, 4*block)
		ctx, stop := context.WithCancel(t.Context())
		if _, err := Ship(ctx, y.once("begun", stop)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		holds(t, dir)
		if d := y.ship(a); d.Bytes > a.Size-block {
			t.Errorf("%d bytes were sent the second time", d.Bytes)
		}
		holds(t, dir, a)
	})
}

// TestShipOneAtATime: the second that would send is told who does.
func TestShipOneAtATime(t *testing.T) {
	y := newYard(t, parsed(t, "file://"+pgtest.Dir(t)))
	y.add(1, 10)
	asked := y.once("begun", func() {
		if _, err := Ship(t.Context(), y.ShipOptions); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("are being sent already, by process %d since", os.Getpid())) {
			t.Errorf("the second: %v", err)
		}
	})
	if _, err := Ship(t.Context(), asked); err != nil {
		t.Error(err)
	}
}

// TestShipNoRoom: a full target says so, keeps what it lists, and gets the rest when there is room.
func TestShipNoRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	eachKind(t, func(t *testing.T, y *yard, dir string) {
		smallDisk(t, dir, 24*mib)
		info, err := os.Stat(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		own(t, dir, info)
		a := y.add(1, 100)
		y.ship(a)
		b := y.add(2, 30*mib)
		d := y.fails("it has no room")
		if !strings.Contains(d.Problem, "KiB are free") || d.Bytes != 0 {
			t.Errorf("%+v", d)
		}
		if err := errors.Join(os.Remove(y.here(b.Name+fileSuffix)), os.Remove(y.here(b.Name+receiptSuffix))); err != nil {
			t.Fatal(err)
		}

		c := y.add(3, 5*block)
		ballast := filepath.Join(dir, "ballast")
		filled := y.once("begun", func() { // by somebody else
			if err := os.WriteFile(ballast, make([]byte, 12*mib), 0o600); err != nil {
				t.Error(err)
			}
		})
		if _, err := Ship(t.Context(), filled); err == nil || !strings.Contains(err.Error(), "it has no room") {
			t.Errorf("error %v", err)
		}
		holds(t, dir, a)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if d := y.ship(c); d.Bytes > 4*block {
			t.Errorf("%d bytes were sent the second time", d.Bytes)
		}
		holds(t, dir, a, c)
	})
}
