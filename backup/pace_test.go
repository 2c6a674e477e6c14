package backup

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// TestPaced: a copy that is paced goes through whole, and no faster than its pace; any other is not held up.
func TestPaced(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), paceStep/16*5/2)
	for _, paced := range []bool{false, true} {
		var out bytes.Buffer
		// A wait that would go on beyond its context fails at once.
		ctx, stop := context.WithDeadline(t.Context(), time.Now().Add(time.Second))
		r := &run{Options: Options{Paced: paced}}
		n, err := r.paced(ctx, &out).Write(text)
		if err != nil || n != len(text) || !bytes.Equal(out.Bytes(), text) {
			t.Errorf("paced %v: %d of %d bytes, %v", paced, n, len(text), err)
		}
		stop()
		w := r.paced(ctx, &out)
		if _, err := w.Write(text); (err != nil) != paced {
			t.Errorf("paced %v, after it was broken off: %v", paced, err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if n, err := (&run{Options: Options{Paced: true}}).paced(ctx, &bytes.Buffer{}).Write(make([]byte, 3*pace)); err == nil || n > 2*pace {
		t.Errorf("in a second %d bytes go through: %v", n, err)
	}
}
