package audit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Notice is what happened to this host or to the pair, beside the requests: the gate was opened or shut, an operator acted, the
// host has fenced itself.
type Notice struct {
	At     time.Time
	Kind   string  // a word of ours: gate, fence, operation, act
	Fields []Field // in this order; those without a value are left out
	Text   string  // a sentence for people
	Grave  bool    // somebody should look
}

// Field is one of a Notice. Name is a word of ours, Value may be anything.
type Field struct{ Name, Value string }

// Note writes the notice and returns when it is on the disk, as Record does for an event. With an error it is counted as lost.
func (r *Recorder) Note(n Notice) error {
	text := n.text()
	r.mu.Lock()
	r.send(message{at: n.At, severity: n.severity(), id: n.Kind, text: text})
	mine := r.durably(stamped(n.At, text))
	r.mu.Unlock()
	err := r.settle(mine)
	if err != nil {
		r.mu.Lock()
		r.missed++
		r.mu.Unlock()
	}
	return err
}

// text is the notice as it stands behind the time: NOTICE[kind=gate, state=closed, …] "sentence". A value that could be taken
// for anything else stands in quotes, as Go writes a string; so does the sentence, always. No notice makes two lines.
func (n Notice) text() string {
	var b strings.Builder
	b.WriteString("NOTICE[kind=" + value(n.Kind))
	for _, f := range n.Fields {
		if f.Value != "" {
			b.WriteString(", " + f.Name + "=" + value(f.Value))
		}
	}
	b.WriteString("]")
	if n.Text != "" {
		b.WriteString(" " + strconv.Quote(cut(n.Text)))
	}
	return b.String()
}

// plain values need no quotes: nothing in them ends a field or begins one.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.:@/+-]+$`)

func value(s string) string {
	if s = cut(s); plain.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

func (n Notice) severity() severity {
	if n.Grave {
		return warning
	}
	return notice
}

// stamped is a line of the file.
func stamped(at time.Time, text string) string {
	return fmt.Sprintf("%s %s\n", at.Local().Format(stamp), text)
}
