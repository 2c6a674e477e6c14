package postgres

import (
	"strings"
	"testing"
)

func TestParseLSN(t *testing.T) {
	for text, want := range map[string]LSN{
		"0/0": 0, "0/30526B0": 0x30526B0, "1/0": 1 << 32, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "0/00001": 1, "a/b": 0xa0000000b,
	} {
		if got, err := ParseLSN(text); err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/", "0", "0/", "/0", "0/0/0", "0x1/0", "+1/0", "-1/0", "1_0/0", "0/100000000", " 0/0", "0/0 ", "g/0"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("0/30526B0")
	f.Add("FFFFFFFF/0")
	f.Add("0/-1")
	f.Fuzz(func(t *testing.T, text string) {
		lsn, err := ParseLSN(text)
		if err != nil {
			return
		}
		if again, err := ParseLSN(lsn.String()); err != nil || again != lsn {
			t.Errorf("ParseLSN(%q) = %v, which reads as %v, %v", text, lsn, again, err)
		}
		if strings.Trim(text, "0123456789abcdefABCDEF/") != "" {
			t.Errorf("ParseLSN(%q) = %v, want an error", text, lsn)
		}
	})
}

func TestParseSnapshot(t *testing.T) {
	s, err := ParseSnapshot("10:20:10,14")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[XID]bool{1: true, 9: true, 10: false, 11: true, 13: true, 14: false, 15: true, 19: true, 20: false, 21: false}
	for xid, want := range seen {
		if got := s.Sees(xid); got != want {
			t.Errorf("%s sees %d: %v, want %v", s, xid, got, want)
		}
	}
	if (Snapshot{}).Sees(0) {
		t.Error("the zero snapshot sees a transaction")
	}
	for _, text := range []string{"", "10:20", "10:20:10,14:", "20:10:", "10:20:9", "10:20:20", "10:20:14,10", "10:20:10,10", "10:20:10,", "-1:2:", "+1:2:", "1:18446744073709551616:"} {
		if got, err := ParseSnapshot(text); err == nil {
			t.Errorf("ParseSnapshot(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseSnapshot(f *testing.F) {
	for _, text := range []string{"10:20:10,14", "727:727:", "1:18446744073709551615:2", "0:0:0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSnapshot(text)
		if err != nil {
			return
		}
		again, err := ParseSnapshot(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("ParseSnapshot(%q) = %v, which reads as %v, %v", text, s, again, err)
		}
		for _, xid := range append(s.Running, s.Xmax) {
			if s.Sees(xid) {
				t.Errorf("%s sees %d", s, xid)
			}
		}
		if s.Xmin > 0 && !s.Sees(s.Xmin-1) {
			t.Errorf("%s does not see %d", s, s.Xmin-1)
		}
	})
}

func TestVisibility(t *testing.T) {
	v := Visibility{Snapshot: Snapshot{Xmin: 10, Xmax: 20, Running: []XID{12}}, Acknowledged: []XID{12, 25}}
	for xid, want := range map[XID]bool{9: true, 11: true, 12: true, 20: false, 24: false, 25: true} {
		if got := v.Shows(xid); got != want {
			t.Errorf("transaction %d is shown: %v, want %v", xid, got, want)
		}
	}
	if (Visibility{}).Shows(5) {
		t.Error("the zero Visibility shows a transaction")
	}
	if !(Visibility{All: true}).Shows(5) {
		t.Error("a genuine passive hides a transaction")
	}
}
