package progress

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// shown is a Display whose time stands still until it is told to go on.
type shown struct {
	*Display
	out strings.Builder
	now time.Time
}

func newShown(width int) *shown {
	s := &shown{now: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	s.Display = New(&s.out, true)
	s.Display.now = func() time.Time { return s.now }
	if width > 0 {
		s.width = func() int { return width }
	}
	return s
}

// after is what is written when that time has gone by.
func (s *shown) after(d time.Duration) string {
	s.now = s.now.Add(d)
	s.Turn()
	return s.take()
}

func (s *shown) take() string {
	defer s.out.Reset()
	return s.out.String()
}

// expect compares what was written.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("written is %q, want %q", got, want)
	}
}

// TestLines: without a terminal a phase is a line, and a long one says how far it is every half minute, if it goes on at all.
func TestLines(t *testing.T) {
	s := newShown(0)
	expect(t, s.after(time.Minute), "")
	s.Begin("copying\r\nthe database")
	expect(t, s.take(), "copying  the database…\n")
	s.Bytes(100<<20, true)
	s.Moved(1 << 20)
	expect(t, s.after(silence-time.Second), "")
	s.Moved(29 << 20)
	expect(t, s.after(time.Second), "copying  the database: 30.0 of about 100.0 MiB (30 %), 1.0 MiB/s, about 1 min 10 s left\n")
	s.Moved(1 << 20)
	expect(t, s.after(time.Second), "")
	s.Moved(29 << 20)
	expect(t, s.after(silence-time.Second), "copying  the database: 60.0 of about 100.0 MiB (60 %), 1.0 MiB/s, about 40 s left\n")
	expect(t, s.after(10*silence), "") // nothing moves
	s.Begin("opening every version")
	expect(t, s.take(), "opening every version…\n")
	s.Versions(500, false)
	s.Versions(500, false)
	s.Moved(1000)
	s.End()
	expect(t, s.after(10*silence), "")
}

// TestOneLine: a terminal has one line, rewritten, and whatever else is written stands before it.
func TestOneLine(t *testing.T) {
	s := newShown(70)
	s.Begin("restoring it")
	expect(t, s.take(), blank+"restoring it")
	expect(t, s.after(3*time.Second), blank+"restoring it: for 3 s")
	s.Begin("opening every version")
	s.Versions(1000, false)
	expect(t, s.take(), blank+"opening every version")
	s.Moved(100)
	expect(t, s.after(2*time.Second), blank+"opening every version: 100 of 1,000 versions (10 %), 50/s, 18 s left")
	s.Write([]byte("note: a thing\n"))
	expect(t, s.take(), blank+"note: a thing\n")
	s.Write([]byte("note: another\n"))
	expect(t, s.take(), "note: another\n")
	expect(t, s.after(0), blank+"opening every version: 100 of 1,000 versions (10 %), 50/s, 18 s left")
	s.End()
	expect(t, s.take(), blank)
	s.End()
	expect(t, s.after(time.Minute), "")
}

// TestRate: it is that of the last while. What came before a long rest, or in a burst, says nothing of how long it will take.
func TestRate(t *testing.T) {
	s := newShown(200)
	s.Begin("copying")
	s.Bytes(1000<<20, false)
	s.after(0)
	for range 60 { // a minute at 10 MiB a second
		s.Moved(10 << 20)
		s.after(time.Second)
	}
	s.Moved(10 << 20)
	expect(t, s.after(time.Second), blank+"copying: 610.0 of 1000.0 MiB (61 %), 10.0 MiB/s, 39 s left")
	for range 30 { // and then one
		s.Moved(1 << 20)
		s.after(time.Second)
	}
	s.Moved(1 << 20)
	expect(t, s.after(time.Second), blank+"copying: 641.0 of 1000.0 MiB (64 %), 1.0 MiB/s, 5 min 59 s left")
	if n := len(s.rate); n > 20 {
		t.Errorf("%d are kept", n)
	}
}

// TestAt: a copy over the wire says itself how far it is.
func TestAt(t *testing.T) {
	s := newShown(200)
	s.Begin("joining: initial sync (3/5)")
	s.At(0, 100<<20)
	s.take()
	s.At(10<<20, 200<<20)
	expect(t, s.after(2*time.Second), blank+"joining: initial sync (3/5): 10.0 of about 200.0 MiB (5 %), 5.0 MiB/s, about 38 s left")
}

// TestTerminal: what a terminal is and how wide, the terminal says; a file, a terminal that can nothing, and who wants lines get lines.
func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	there, here, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	defer here.Close()
	d := New(here, false)
	if d.width == nil || d.width() != 80 {
		t.Fatal("a terminal that does not say how wide it is")
	}
	if err := pty.Setsize(here, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
		t.Fatal(err)
	}
	if got := d.width(); got != 20 {
		t.Errorf("it is %d wide", got)
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if New(here, true).width != nil || New(file, false).width != nil || New(new(strings.Builder), false).width != nil {
		t.Error("a line is rewritten where lines were wanted")
	}
	t.Setenv("TERM", "dumb")
	if New(here, false).width != nil {
		t.Error("a line is rewritten on a terminal that can not do that")
	}
}

// TestRun: the line moves by itself, and goes with the context.
func TestRun(t *testing.T) {
	t.Setenv("TERM", "xterm")
	there, here, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	d := New(here, false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { d.Run(ctx); close(ended) }()
	d.Begin("copying")
	d.Bytes(10<<20, false)
	d.Moved(1 << 20)
	var seen strings.Builder
	buffer := make([]byte, 1024)
	for !strings.Contains(seen.String(), blank+"copying: 1.0 of 10.0 MiB (10 %)") {
		n, err := there.Read(buffer)
		if err != nil {
			t.Fatal(seen.String(), err)
		}
		seen.Write(buffer[:n])
	}
	cancel()
	<-ended
	here.Close()
	for {
		n, err := there.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if !strings.HasSuffix(seen.String(), blank) || strings.Contains(seen.String(), "\n") {
		t.Errorf("%q", seen.String())
	}
}
