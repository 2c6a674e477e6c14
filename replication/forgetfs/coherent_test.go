package forgetfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReadsSeeWhatIsWritten holds readers of logs that grow to what was written and synced before they began to read: that is how
// PostgreSQL's walsender follows the processes that write its log. A stale read is rare: where the kernel may cache (FOPEN_KEEP_CACHE), six of
// eight runs of these many at once have one.
func TestReadsSeeWhatIsWritten(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(64))
	d := disk{t, mounted(t, Options{}).dir}
	var logs sync.WaitGroup
	for i := range 6 {
		logs.Go(func() { d.growAndRead(fmt.Sprintf("log%d", i), rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	logs.Wait()
}

// growAndRead lets a log grow inside a file of fixed size, whole blocks written again with each record, and reads its end all the while.
func (d disk) growAndRead(name string, random *rand.Rand) {
	const block, size, last, tail = 8192, 8 << 20, 3 << 20, 3000
	content := bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)
	if err := os.WriteFile(d.path(name), make([]byte, size), 0o644); err != nil {
		d.Error(err)
		return
	}
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		d.Error(err)
		return
	}
	defer f.Close()
	var synced atomic.Int64
	var readers sync.WaitGroup
	defer readers.Wait()
	for range 3 {
		readers.Go(func() {
			for got := make([]byte, tail); synced.Load() < last && !d.Failed(); {
				end := synced.Load()
				from := max(0, end-tail)
				if _, err := f.ReadAt(got[:end-from], from); err != nil {
					d.Error(err)
				} else if !bytes.Equal(got[:end-from], content[from:end]) {
					d.Errorf("%s was written and synced up to %x; a read of its last %d bytes that began later shows older ones", name, end, end-from)
				}
			}
		})
	}
	for end := int64(0); end < last && !d.Failed(); {
		first := end / block * block
		end = min(last, end+20+random.Int64N(800))
		data := make([]byte, (end-first+block-1)/block*block)
		copy(data, content[first:end])
		if _, err := f.WriteAt(data, first); err != nil {
			d.Error(err)
		} else if err := f.Sync(); err != nil {
			d.Error(err)
		}
		synced.Store(end)
	}
}
