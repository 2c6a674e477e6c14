package audit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"keytrustee/kms"
)

// stamp is log4j's ISO8601.
const stamp = "2006-01-02 15:04:05,000"

// line is the event as Hadoop's SimpleKMSAuditLogger writes it, with a line feed. What Hadoop does not have stands at its
// end: the request's id, and that it was a repeat; ATTEMPT and UNKNOWN lines are ours alone. No event makes two lines.
func line(e kms.Event) string { return lineWith(e, "") }

// lineWith puts more, such as a count, behind the user.
func lineWith(e kms.Event, more string) string {
	var b strings.Builder
	b.WriteString(e.At.Local().Format(stamp) + " " + string(e.Result))
	user := escape(e.Principal.Full)
	switch e.Result {
	case kms.AuditError:
		fmt.Fprintf(&b, "[user=%s] Method:'%s' Exception:'%s'", user, method(e.Op), escape(e.Err))
	case kms.AuditUnauthenticated:
		fmt.Fprintf(&b, " RemoteHost:%s %s ErrorMsg:'%s'", escape(e.Principal.Addr), redact(escape(e.Extra)), escape(e.Err))
	default:
		b.WriteString("[op=" + string(e.Op))
		if e.Key != "" {
			b.WriteString(", key=" + escape(string(e.Key)))
		}
		b.WriteString(", user=" + user + more + "] " + escape(e.Extra))
	}
	var ours []string
	switch e.Result {
	case kms.AuditAttempt:
		ours = append(ours, "RemoteHost:"+escape(e.Principal.Addr))
		if e.Principal.Real != nil {
			ours = append(ours, "RealUser:"+escape(e.Principal.Real.Full))
		}
	case kms.AuditUnknown:
		ours = append(ours, "Exception:'"+escape(e.Err)+"'")
	}
	if e.RequestID != "" {
		ours = append(ours, "RequestId:"+escape(e.RequestID))
	}
	if e.Repeat {
		ours = append(ours, "Repeat:true")
	}
	text := b.String()
	if len(ours) > 0 {
		text = strings.TrimSuffix(text, " ") + " " + strings.Join(ours, " ")
	}
	return text + "\n"
}

// method is the HTTP method of the operation, which Hadoop's error lines name instead of the operation.
func method(op kms.AuditOp) string {
	switch op {
	case kms.AuditDeleteKey:
		return "DELETE"
	case kms.AuditCreateKey, kms.AuditRollNewVersion, kms.AuditUndeleteKey, kms.AuditPurgeKey, kms.AuditInvalidateCache,
		kms.AuditDecryptEEK, kms.AuditReencryptEEK, kms.AuditReencryptEEKBatch:
		return "POST"
	default:
		return "GET"
	}
}

// escape makes everything that is not printable visible, as Go writes it in a string; a blank is printable. Backslashes are
// doubled, so that what was escaped can be told from what was sent.
func escape(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

var tokens = regexp.MustCompile(`([?&](?:delegation|token)=)[^&\s']*`)

// redact hides the tokens of a URL.
func redact(s string) string { return tokens.ReplaceAllString(s, "${1}[redacted]") }

// maxText bounds each text of an event, so that no caller fills the disk, or the memory of reads that are counted, with
// a few requests. Every name that a key can have is shorter.
const maxText = 1024

// bounded is the event with its texts cut to maxText.
func bounded(e kms.Event) kms.Event {
	e.Key = kms.KeyName(cut(string(e.Key)))
	e.RequestID, e.Extra, e.Err = cut(e.RequestID), cut(e.Extra), cut(e.Err)
	e.Principal.Full, e.Principal.Addr = cut(e.Principal.Full), cut(e.Principal.Addr)
	if e.Principal.Real != nil {
		real := *e.Principal.Real
		real.Full = cut(real.Full)
		e.Principal.Real = &real
	}
	return e
}

// cut shortens a text, and says so and how long it was.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) && end > maxText-utf8.UTFMax {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:end], len(s))
}
