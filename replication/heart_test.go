package replication_test

import (
	"sync"
	"testing"
	"time"
)

func TestPairOpens(t *testing.T) {
	p := newPair(t)
	w := p.active.newWriter()
	w.must()
	began := time.Now()
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { w.must() })
	}
	all.Wait()
	t.Logf("200 concurrent writes acknowledged in %s", time.Since(began).Round(time.Millisecond))
	w.check(p.active)
	w.check(p.passive)
}
