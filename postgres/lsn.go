package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in the write-ahead log, in bytes from its beginning. Two positions can be compared only within one
// history: the same system identifier and timeline.
type LSN uint64

// ParseLSN reads what String and PostgreSQL write, such as "0/30526B0".
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	h, herr := parseHex(high)
	l, lerr := parseHex(low)
	if !ok || herr != nil || lerr != nil {
		return 0, fmt.Errorf("%q is no position in the write-ahead log; one looks like 0/30526B0", s)
	}
	return LSN(h<<32 | l), nil
}

// parseHex reads 1 to 8 hexadecimal digits and nothing else; strconv would take a sign and underscores too.
func parseHex(s string) (uint64, error) {
	if len(s) > 8 || strings.ContainsAny(s, "+-_xX") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 16, 32)
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// MarshalText writes what String writes.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what ParseLSN reads.
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// Timeline numbers the histories of one database: a promotion begins a new one. Two promotions of two copies begin two
// histories with one number, so equal timelines alone prove nothing.
type Timeline uint32

// ParseTimeline reads a timeline in decimal; there is none below 1.
func ParseTimeline(s string) (Timeline, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no timeline; one is a whole number from 1 on", s)
	}
	return Timeline(n), nil
}

func (t Timeline) String() string { return strconv.FormatUint(uint64(t), 10) }
