package progress

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// Display shows one task, phase after phase. Its methods may be called concurrently. Begin, Bytes and Versions say what is done, Moved how
// far that is, and costs next to nothing; Turn looks whether there is something to show, and Run does so until its context ends. What is
// told to nobody, since the writer is broken, is not told: that is no error.
type Display struct {
	w     io.Writer
	width func() int // of the terminal; nil: w is none
	now   func() time.Time

	done atomic.Int64 // of the phase

	mu    sync.Mutex // guards what follows, and w, for moments
	phase state
	since time.Time // when the phase began
	said  time.Time // when something was last said of it, in lines
	told  int64     // and how far it was then
	rate  rate
	shown bool // the terminal shows a line that is to be rewritten
}

// How often a line is rewritten, and how long a phase says nothing where each line stays.
const (
	tick    = 250 * time.Millisecond
	silence = 30 * time.Second
)

// blank goes to the beginning of the line, and leaves nothing in it.
const blank = "\r\x1b[K"

// New returns a Display on w, in one line that is rewritten if w is a terminal, unless lines are wanted anyway.
func New(w io.Writer, lines bool) *Display {
	d := &Display{w: w, now: time.Now}
	f, file := w.(*os.File)
	if lines || !file || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return d
	}
	d.width = func() int {
		const usual = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
		return usual
	}
	return d
}

// Begin begins a phase, and ends the one before. Nobody knows how far it is, unless Bytes or Versions says what it is counted in.
func (d *Display) Begin(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase, d.since, d.rate = state{what: plain(what)}, d.now(), nil
	d.said, d.told = d.since, 0
	d.done.Store(0)
	if d.width == nil {
		fmt.Fprintf(d.w, "%s…\n", d.phase.what)
		return
	}
	d.draw()
}

// Bytes says that the phase is counted in bytes, of which so many more are expected; about: as far as can be estimated. 0: nobody knows.
func (d *Display) Bytes(total int64, about bool) { d.expect(bytes, total, about) }

// Versions is Bytes for a phase that is counted in versions of keys.
func (d *Display) Versions(total int64, about bool) { d.expect(versions, total, about) }

func (d *Display) expect(in unit, total int64, about bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase.counted, d.phase.about = in, d.phase.about || about
	d.phase.total += total
	d.rate.add(d.now(), d.done.Load())
}

// Moved says that the phase is further by n.
func (d *Display) Moved(n int64) { d.done.Add(n) }

// At says how far the phase is, and how far it will go as far as can be estimated, in bytes.
func (d *Display) At(done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase.counted == uncounted {
		d.rate.add(d.now(), 0)
	}
	d.phase.counted, d.phase.about, d.phase.total = bytes, true, total
	d.done.Store(done)
}

// Turn shows how far the phase is, if it is time to.
func (d *Display) Turn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, done := d.now(), d.done.Load()
	switch {
	case d.phase.what == "":
		return
	case d.width != nil:
		d.draw()
	case done != d.told && now.Sub(d.said) >= silence: // where nothing moves there is nothing to say
		d.said, d.told = now, done
		fmt.Fprintln(d.w, d.stands().line(1<<10))
	}
	d.rate.add(now, done)
}

// Run shows it, time and again, until ctx ends. It leaves an empty line.
func (d *Display) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			d.End()
			return
		case <-t.C:
			d.Turn()
		}
	}
}

// Write writes what is no progress, whole lines, where nothing else stands: the line that is rewritten comes after it.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	return d.w.Write(p)
}

// End ends the phase and leaves the cursor in an empty line.
func (d *Display) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	d.phase = state{}
}

func (d *Display) erase() {
	if d.shown {
		io.WriteString(d.w, blank)
	}
	d.shown = false
}

func (d *Display) draw() {
	io.WriteString(d.w, blank+d.stands().line(d.width()))
	d.shown = true
}

// stands is how the phase stands.
func (d *Display) stands() state {
	now := d.now()
	s := d.phase
	s.done, s.lasts = d.done.Load(), now.Sub(d.since)
	s.speed, s.measured = d.rate.perSecond(now, s.done)
	return s
}
