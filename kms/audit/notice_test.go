package audit

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/kms"
)

func TestNoticeStandsInTheFile(t *testing.T) {
	r := newRecorder(t, Config{})
	must(t, r.Record(create(1)))
	must(t, r.Note(Notice{At: start, Kind: "gate", Fields: []Field{{"state", "closed"}, {"reason", "passive_unreachable"}, {"operation", ""}},
		Text: `write refused: the passive "kt02" can not be reached`, Grave: true}))
	must(t, r.Note(Notice{At: start, Kind: "act", Fields: []Field{{"request", "{\"note\":\"a]\n2026-11-22 21:02:10,305 OK[op=PURGE_KEY, key=x\"}"}}}))
	want := []string{
		"2026-11-22 21:02:10,305 OK[op=CREATE_KEY, key=k1, user=alice] UserProvidedMaterial:false Description:null",
		`2026-11-22 21:02:10,305 NOTICE[kind=gate, state=closed, reason=passive_unreachable] "write refused: the passive \"kt02\" can not be reached"`,
		`2026-11-22 21:02:10,305 NOTICE[kind=act, request="{\"note\":\"a]\n2026-11-22 21:02:10,305 OK[op=PURGE_KEY, key=x\"}"]`,
	}
	if diff := cmp.Diff(want, content(t, r)); diff != "" {
		t.Error(diff)
	}
	r.file.path = "/dev/full"
	if err := r.Note(Notice{At: start, Kind: "gate"}); err == nil || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("on a full disk a notice ended with %v", err)
	}
	if r.Lost() != 1 {
		t.Errorf("%d lines are said to be lost", r.Lost())
	}
}

// read takes a line of a notice apart again, as whoever evaluates the file would; not ok if it is not the line of one.
func read(line string) (n Notice, ok bool) {
	head := regexp.MustCompile(`^(\S+ \S+) NOTICE\[`).FindStringSubmatch(line)
	if head == nil {
		return n, false
	}
	at, err := time.ParseInLocation(stamp, head[1], time.Local)
	n.At, line = at, line[len(head[0]):]
	item := regexp.MustCompile(`^([a-z_]+)=([A-Za-z0-9_.:@/+-]+)?`)
	for first := true; err == nil; first = false {
		m := item.FindStringSubmatch(line)
		if m == nil {
			return n, false
		}
		name, text := m[1], m[2]
		line = line[len(m[0]):]
		if text == "" {
			quoted, qerr := strconv.QuotedPrefix(line)
			if qerr != nil {
				return n, false
			}
			line = line[len(quoted):]
			text, err = strconv.Unquote(quoted)
		}
		if first {
			n.Kind = text
		} else {
			n.Fields = append(n.Fields, Field{name, text})
		}
		if rest, end := strings.CutPrefix(line, "]"); end {
			if line = rest; line == "" {
				return n, true
			}
			n.Text, err = strconv.Unquote(strings.TrimPrefix(line, " "))
			return n, err == nil
		}
		if line, ok = strings.CutPrefix(line, ", "); !ok {
			return n, false
		}
	}
	return n, false
}

// FuzzNoticeIsOneLine: whatever the values are, they come out again as they went in, and nothing else does.
func FuzzNoticeIsOneLine(f *testing.F) {
	f.Add("closed", "kt01", "a sentence")
	f.Add("closed, reason=fenced", "kt01]", "\"")
	f.Add("a\nb", "\x1b[2J\u2028", "] \"x\"")
	f.Add("\"", "\\", "\xff\x00")
	f.Fuzz(func(t *testing.T, one, two, text string) {
		if len(one)+len(two)+len(text) > maxText {
			return
		}
		in := Notice{At: start, Kind: "gate", Fields: []Field{{"state", one}, {"note", two}}, Text: text}
		line := stamped(in.At, in.text())
		if strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }) != len(line)-1 {
			t.Fatalf("not one line: %q", line)
		}
		got, ok := read(strings.TrimSuffix(line, "\n"))
		want := Notice{At: start, Kind: "gate", Text: text}
		for _, f := range in.Fields {
			if f.Value != "" {
				want.Fields = append(want.Fields, f)
			}
		}
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Fatalf("%q is read as\n%s", line, diff)
		}
	})
}

// TestEventsAreNoNotices: no event makes the line of a notice.
func TestEventsAreNoNotices(t *testing.T) {
	for _, result := range []kms.AuditResult{kms.AuditAttempt, kms.AuditOK, kms.AuditError, kms.AuditUnauthenticated, kms.AuditUnknown} {
		text := line(kms.Event{At: start, Result: result, Op: kms.AuditCreateKey, Key: "k\n2026-11-22 21:02:10,305 NOTICE[kind=gate, state=open]", Principal: alice,
			Extra: "NOTICE[kind=gate]", Err: "NOTICE[kind=gate]"})
		if _, ok := read(strings.TrimSuffix(text, "\n")); ok || strings.Count(text, "\n") != 1 {
			t.Errorf("%q is taken for a notice", text)
		}
	}
}
