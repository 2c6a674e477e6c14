package progress

import (
	"testing"
	"time"
	"unicode/utf8"
)

// TestLine: a line says how far it is, how fast it goes and how long it will take, as far as that is known.
func TestLine(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, row := range []struct {
		s    state
		want string
	}{
		{state{what: "restoring"}, "restoring"},
		{state{what: "restoring", lasts: 61 * time.Second}, "restoring: for 1 min 1 s"},
		{state{what: "copying", counted: bytes, total: 2 * gib}, "copying: 0.0 of 2.0 GiB (0 %)"},
		{state{what: "copying", counted: bytes, done: 512 * mib, total: 2 * gib, about: true, speed: 64 * mib, measured: true}, "copying: 0.5 of about 2.0 GiB (25 %), 64.0 MiB/s, about 24 s left"},
		{state{what: "copying", counted: bytes, done: 512 * mib, total: 2 * gib, measured: true}, "copying: 0.5 of 2.0 GiB (25 %), 0.0 KiB/s, nothing moves"},
		{state{what: "copying", counted: bytes, done: mib, total: mib - 1, about: true, speed: mib, measured: true}, "copying: 1.0 MiB, 1.0 MiB/s"}, // more than was estimated
		{state{what: "dumping", counted: bytes, done: 1000, speed: 2048, measured: true}, "dumping: 1.0 KiB, 2.0 KiB/s"},
		{state{what: "opening", counted: versions, done: 999_999, total: 1_000_000, speed: 41_234.7, measured: true}, "opening: 999,999 of 1,000,000 versions (99 %), 41,234/s, 1 s left"},
		{state{what: "opening", counted: versions, done: 1_000_000, total: 1_000_000, speed: 10, measured: true}, "opening: 1,000,000 of 1,000,000 versions (100 %), 10/s"},
		{state{what: "opening", counted: versions, done: 10}, "opening: 10 versions"},
		{state{what: "opening", counted: versions, done: 1, total: 36_001, speed: 10, measured: true}, "opening: 1 of 36,001 versions (0 %), 10/s, 1 h 0 min left"},
		{state{what: "opening", counted: versions, done: 1, total: 1 << 60, speed: .001, measured: true}, "opening: 1 of 1,152,921,504,606,846,976 versions (0 %), 0/s, more than 1000 h left"},
	} {
		if got := row.s.line(200); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

// TestLineHasRoom: a terminal wraps what reaches its last column, so no line does. What is left of it says the time that is left.
func TestLineHasRoom(t *testing.T) {
	s := state{what: "opening every version", counted: versions, done: 120_000, total: 1_000_000, speed: 41_234, measured: true}
	for width, want := range map[int]string{
		80: "opening every version: 120,000 of 1,000,000 versions (12 %), 41,234/s, 22 s left",
		81: "opening every version: 120,000 of 1,000,000 versions (12 %), 41,234/s, 22 s left",
		75: "opening every version: 120,000 of 1,000,000 versions (12 %), 22 s left",
		66: "opening every version: 120,000 of 1,000,000 versions, 22 s left",
		40: "opening every version: 22 s left",
		31: "opening every version: (12 %)",
		25: "opening every version",
		10: "opening e",
		1:  "",
		0:  "",
	} {
		got := s.line(width)
		if width == 80 {
			want = s.line(79) // 80 characters would reach the last column
		}
		if got != want || width > 0 && utf8.RuneCountInString(got) >= width {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
}
