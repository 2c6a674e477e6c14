package backup

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestPaced: a copy that is paced goes through whole, and no faster than its pace; any other is not held up. It can be broken off.
func TestPaced(t *testing.T) {
	const steps = 10
	text := bytes.Repeat([]byte("0123456789abcdef"), paceStep*steps/16)
	for _, paced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			ctx, stop := context.WithCancel(t.Context())
			w := (&run{Options: Options{Paced: paced}}).paced(ctx, &out)
			begun := time.Now()
			n, err := w.Write(text)
			if err != nil || n != len(text) || !bytes.Equal(out.Bytes(), text) {
				t.Errorf("paced %v: %d of %d bytes, %v", paced, n, len(text), err)
			}
			took, least := time.Since(begun), (steps-1)*paceStep*time.Second/pace // the first step may go at once
			if paced && took < least-time.Millisecond || !paced && took > 0 {
				t.Errorf("paced %v: it took %v", paced, took)
			}
			stop()
			if _, err := w.Write(text); (err != nil) != paced {
				t.Errorf("paced %v, after it was broken off: %v", paced, err)
			}
		})
	}
}
