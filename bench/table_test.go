package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// effort is what one measurement took, and for how many bytes.
type effort struct {
	took  time.Duration
	bytes int64
}

// versus are measurements of two ways, each pair of them taken one after the other.
type versus struct{ theirs, ours []effort }

func (v *versus) add(theirs, ours effort) {
	v.theirs, v.ours = append(v.theirs, theirs), append(v.ours, ours)
}

// compared are the ratios of pairs, and what they are of.
type compared struct {
	theirs, ours spread
	ratio        spread
	unit         string
}

func (v versus) compare(unit string, of func(effort) float64, ratio func(theirs, ours float64) float64) (c compared) {
	c.unit = unit
	for i := range v.ours {
		theirs, ours := of(v.theirs[i]), of(v.ours[i])
		c.theirs, c.ours, c.ratio = append(c.theirs, theirs), append(c.ours, ours), append(c.ratio, ratio(theirs, ours))
	}
	return c
}

// times tells how many times as long ours takes.
func (v versus) times() compared {
	seconds, unit := time.Duration.Seconds, "s"
	if v.ours[0].took < 100*time.Millisecond {
		seconds, unit = func(d time.Duration) float64 { return 1000 * d.Seconds() }, "ms"
	}
	return v.compare(unit, func(e effort) float64 { return seconds(e.took) }, func(theirs, ours float64) float64 { return ours / theirs })
}

// speeds tells how many times as fast ours is: 1 where both take as long, whatever they write.
func (v versus) speeds() compared {
	return v.compare("s", func(e effort) float64 { return e.took.Seconds() }, func(theirs, ours float64) float64 { return theirs / ours })
}

// rates tells how many times as many bytes ours writes in a second.
func (v versus) rates() compared {
	return v.compare("MB/s", func(e effort) float64 { return float64(e.bytes) / 1e6 / e.took.Seconds() }, func(theirs, ours float64) float64 { return ours / theirs })
}

// spread is what several rounds gave.
type spread []float64

func (s spread) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (s spread) String() string {
	return fmt.Sprintf("%.3g (%.3g-%.3g)", s.median(), slices.Min(s), slices.Max(s))
}

// goal is what a row has to be; nil: there is none.
type goal struct {
	text string
	met  func(float64) bool
}

func atLeast(x float64) *goal {
	return &goal{fmt.Sprintf(">= %v", x), func(is float64) bool { return is >= x }}
}

func atMost(x float64) *goal {
	return &goal{fmt.Sprintf("<= %v", x), func(is float64) bool { return is <= x }}
}

// table is what is printed in the end: medians, with the least and the most of the rounds.
type table struct {
	title  string
	lines  []string
	missed int
}

func newTable(title string) *table {
	return &table{title: title, lines: []string{"what\tby hand, or alone\tours\tratio, or MiB\tgoal\t"}}
}

func (t *table) ratio(what string, c compared, g *goal) {
	t.row(what, c.theirs.String()+" "+c.unit, c.ours.String()+" "+c.unit, c.ratio.String(), c.ratio.median(), g)
}

func (t *table) memory(what string, bytes int64, g *goal) {
	mib := float64(bytes) / (1 << 20)
	t.row("peak memory of "+what, "", "", fmt.Sprintf("%.0f", mib), mib, g)
}

func (t *table) row(what, theirs, ours, text string, value float64, g *goal) {
	verdict := ""
	if g != nil {
		verdict = g.text + ": met"
		if !g.met(value) {
			verdict = g.text + ": MISSED"
			t.missed++
		}
	}
	t.lines = append(t.lines, strings.Join([]string{what, theirs, ours, text, verdict, ""}, "\t"))
}

func (t *table) write(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", t.title)
	columns := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, line := range t.lines {
		fmt.Fprintln(columns, line)
	}
	columns.Flush()
	fmt.Fprintln(w)
}
