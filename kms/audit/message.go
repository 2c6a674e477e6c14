package audit

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"keytrustee/kms"
)

// severity is RFC 5424's.
type severity int

const (
	warning       severity = 4
	notice        severity = 5
	informational severity = 6
)

// logAudit is the facility "log audit" of RFC 5424.
const logAudit = 13

// maxMessage bounds a message in octets: what a receiver takes whole unless told otherwise.
const maxMessage = 8000

// message is one for syslog.
type message struct {
	at       time.Time
	severity severity
	id       string // MSGID: the result of an event, the kind of a notice
	text     string // one line, printable, without the time
}

// ofEvent is an event whose line is that one.
func ofEvent(e kms.Event, line string) message {
	m := message{at: e.At, severity: informational, id: string(e.Result), text: strings.TrimSuffix(line[len(stamp)+1:], "\n")}
	switch e.Result {
	case kms.AuditUnauthorized, kms.AuditUnauthenticated, kms.AuditUnknown:
		m.severity = warning
	}
	return m
}

// format is the message as RFC 5424 has it. The receiver finds in the number, which goes up by one each time, what it missed.
func (m message) format(host, process string, number uint32) []byte {
	head := fmt.Sprintf("<%d>1 %s %s keytrusteed %s %s [meta sequenceId=\"%d\"] ", logAudit*8+int(m.severity),
		m.at.UTC().Format("2006-01-02T15:04:05.000000Z"), host, process, m.id, number)
	text := m.text
	if most := maxMessage - len(head); len(text) > most {
		end := most - len("…")
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return []byte(head + text)
}

// framed puts the length before a message, as RFC 5425 wants it on TLS and RFC 6587 allows it on TCP.
func framed(text []byte) []byte { return append(fmt.Appendf(nil, "%d ", len(text)), text...) }

// field is a text as a field of the header, where only visible ASCII may stand, at most that many; "-" if nothing is left.
func field(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}
