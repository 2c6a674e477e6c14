package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

var (
	versions = flag.Int("versions", 1_000_000, "how many versions of keys there are")
	rounds   = flag.Int("rounds", 3, "how often each measurement is taken")
	rate     = flag.Int("rate", 500, "how many decrypts a second each host is asked for while backups are made")
)

// BenchmarkBackup prints the table of docs/performance.md: make bench. It fails where a goal is missed.
func BenchmarkBackup(b *testing.B) {
	p := pairtest.New(b)
	begun := time.Now()
	known := seed(b, p, *versions)
	b.Logf("%d versions of keys are there after %v", *versions, time.Since(begun).Round(time.Second))
	y := newYard(b, p)
	t := newTable(fmt.Sprintf("backups of %d versions of keys, on %s", *versions, y.machine()))

	first := y.create(b) // warms up
	backup := y.keep(b, first.Name)
	var creation, verification, restoration versus
	for range *rounds {
		hand, ours := y.pipe(b), y.create(b)
		creation.add(hand, ours.written)
		verification.add(y.copy(b), ours.proven)
	}
	decrypts := y.decrypts(b, p)
	p.Down(b)
	var memory peak
	for i := range *rounds {
		took, peak := y.restore(b, p, backup, known)
		if i == 0 {
			memory = peak
		}
		restoration.add(y.copy(b), took)
	}

	t.ratio("creation, against pg_basebackup | age", creation.speeds(), atLeast(0.8))
	t.ratio("  the same, by the byte", creation.rates(), nil)
	t.ratio("verification, against cp -a of the data", verification.times(), nil)
	t.ratio("restore from file to served, against cp -a", restoration.times(), nil)
	t.memory("backup create: ktadmin", first.peak.ktadmin, atMost(256))
	t.memory("backup create: the programs that it runs", first.peak.programs, nil)
	t.memory("backup create: the PostgreSQL that is thrown away", first.peak.postgres, nil)
	t.memory("restore: ktadmin", memory.ktadmin, atMost(256))
	for i, n := range p.Nodes {
		t.ratio(fmt.Sprintf("p99 of decrypt at the %s during a backup, at %d/s, against none", n.Name, *rate), decrypts[i].times(), atMost(1.2))
	}
	t.write(os.Stdout)
	if t.missed > 0 {
		b.Fail()
	}
	b.ReportMetric(0, "ns/op")
}
