package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"keytrustee/host"
)

// progress tells the stages of a join, and how far the copy is: a bar on a terminal, lines elsewhere.
type progress struct {
	w     io.Writer
	fancy bool
	bar   *progressbar.ProgressBar
	said  time.Time
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, fancy: ok && term.IsTerminal(int(f.Fd()))}
}

// Stage begins a line of its own.
func (p *progress) Stage(s host.Stage) {
	if p.bar != nil {
		p.bar.Finish() // only a closed terminal fails it
		fmt.Fprintln(p.w)
		p.bar = nil
	}
	fmt.Fprintln(p.w, s)
}

// Bytes says how much of the base backup has arrived.
func (p *progress) Bytes(done, total int64) {
	if p.fancy {
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionShowBytes(true),
				progressbar.OptionSetWidth(40), progressbar.OptionSetPredictTime(true))
		}
		p.bar.ChangeMax64(max(total, done))
		p.bar.Set64(done)
		return
	}
	const pace = 5 * time.Second
	if time.Since(p.said) < pace {
		return
	}
	p.said = time.Now()
	fmt.Fprintf(p.w, "  %d of about %d MiB copied\n", done>>20, max(total, done)>>20)
}
