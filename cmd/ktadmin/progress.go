package main

import (
	"context"
	"sync"

	"keytrustee/host"
	"keytrustee/internal/progress"
)

// display shows how far this command is, on standard error. With -o json it is lines also on a terminal: it is a script that reads.
func (a *app) display() *progress.Display {
	if a.shown == nil {
		d := progress.New(a.cmd.ErrOrStderr(), a.format == "json")
		ctx, cancel := context.WithCancel(context.Background())
		var showing sync.WaitGroup
		showing.Go(func() { d.Run(ctx) })
		a.shown, a.hide = d, func() { cancel(); showing.Wait() }
	}
	return a.shown
}

// arrived ends what the display shows, so that a result has its lines to itself.
func (a *app) arrived() {
	if a.shown != nil {
		a.shown.End()
	}
}

// close leaves the terminal as a shell wants it.
func (a *app) close() {
	if a.hide != nil {
		a.hide()
	}
}

// joining tells a Display how far a join is.
type joining struct{ *progress.Display }

func (j joining) Stage(s host.Stage)      { j.Begin(s.String()) }
func (j joining) Bytes(done, total int64) { j.At(done, total) }
