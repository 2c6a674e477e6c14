package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"keytrustee/kms"
)

// running is a Syslog that runs until the test, or end, ends it.
func running(t *testing.T, c SyslogConfig, change ...func(*Syslog)) (s *Syslog, end func()) {
	t.Helper()
	if c.Host == "" {
		c.Host = "kt01.example.com"
	}
	s = NewSyslog(c)
	for _, f := range change {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	end = func() { cancel(); <-ended }
	t.Cleanup(end)
	return s, end
}

// TestSyslogIsToldOfEverything: writes, reads and notices, over TLS, in the order of the file, as RFC 5424 has it.
func TestSyslogIsToldOfEverything(t *testing.T) {
	pair, certPEM, _ := certificate(t)
	c := collect(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}, false)
	s, end := running(t, SyslogConfig{Address: c.address(), TLS: trusting(t, certPEM)})
	r := newRecorder(t, Config{Syslog: s})
	must(t, r.Record(create(1)))
	r.Access(kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditDecryptEEK, Key: "k1", Principal: alice})
	must(t, r.Record(kms.Event{At: start, Result: kms.AuditUnauthorized, Op: kms.AuditDecryptEEK, Key: "k\n1]", Principal: alice}))
	must(t, r.Note(Notice{At: start, Kind: "gate", Fields: []Field{{"state", "closed"}}, Text: "the passive kt02 can not be reached", Grave: true}))
	must(t, r.Record(kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: kms.KeyName(strings.Repeat("é", 500)), Principal: alice,
		Extra: strings.Repeat("x", maxText), Err: strings.Repeat("y", maxText)}))
	want := content(t, r)
	await(t, "all messages", func() bool { return len(c.texts()) == len(want) })
	end()
	for i, text := range c.texts() {
		if line := want[i][len(stamp)+1:]; text != line {
			t.Errorf("message %d is %q, the file has %q", i, text, line)
		}
	}
	first, gate := c.got[0], c.got[3]
	if *first.Hostname != "kt01.example.com" || *first.Appname != "keytrusteed" || *first.ProcID != fmt.Sprint(os.Getpid()) || *first.MsgID != "OK" ||
		*first.Facility != logAudit || *first.Severity != 6 || !first.Timestamp.Equal(start.Truncate(time.Microsecond)) || (*first.StructuredData)["meta"]["sequenceId"] != "1" {
		t.Errorf("the first message has the head %+v", first)
	}
	if *gate.MsgID != "gate" || *gate.Severity != 4 || (*gate.StructuredData)["meta"]["sequenceId"] != "4" {
		t.Errorf("the notice has the head %s %d %v", *gate.MsgID, *gate.Severity, *gate.StructuredData)
	}
	if lost := s.Lost(); lost != 0 {
		t.Errorf("%d messages lost", lost)
	}
}

// TestSyslogComesBack: a receiver that is not there, comes, dies without a word and comes again misses nothing.
func TestSyslogComesBack(t *testing.T) {
	c := collect(t, "127.0.0.1:0", nil, false)
	address := c.address()
	c.stop()
	s, _ := running(t, SyslogConfig{Address: address})
	sent := 0
	more := func() {
		for range 50 {
			sent++
			s.send(message{at: start, severity: notice, id: "gate", text: fmt.Sprint("message ", sent)})
		}
	}
	more()
	await(t, "an attempt to connect", func() bool { _, err := s.Trouble(); return err != nil && err != errNotYet })
	var texts []string
	for range 3 {
		c = collect(t, address, nil, false)
		more()
		await(t, "what was sent meanwhile", func() bool {
			all := append(texts[:len(texts):len(texts)], c.texts()...)
			return len(all) > 0 && all[len(all)-1] == fmt.Sprint("message ", sent)
		})
		texts = append(texts, c.texts()...)
		c.stop()
		more() // the dead one's socket still takes some of these
	}
	seen := map[string]bool{}
	for _, text := range texts {
		seen[text] = true
	}
	for n := 1; n <= sent-50; n++ {
		if !seen[fmt.Sprint("message ", n)] {
			t.Errorf("message %d never came", n)
		}
	}
	if lost := s.Lost(); lost != 0 {
		t.Errorf("%d messages are said to be lost", lost)
	}
}

// TestSyslogOutlivesAReceiverThatDidNotRead: what the machine of a receiver has acknowledged, and the receiver had not read when
// it was killed, is sent to the next one.
func TestSyslogOutlivesAReceiverThatDidNotRead(t *testing.T) {
	deaf := collect(t, "127.0.0.1:0", nil, true)
	s, _ := running(t, SyslogConfig{Address: deaf.address()}, func(s *Syslog) { s.unread = time.Minute }) // this machine may be slow
	await(t, "a connection", func() bool { _, err := s.Trouble(); return err == nil })
	for n := range 50 {
		s.send(message{at: start, severity: notice, id: "gate", text: fmt.Sprint("message ", n+1)})
	}
	sent := time.Now()
	await(t, "looks at what is acknowledged", func() bool { return time.Since(sent) > 4*pace })
	address := deaf.address()
	deaf.stop()
	c := collect(t, address, nil, false)
	await(t, "all 50", func() bool { return len(c.texts()) == 50 })
}

// TestSyslogDelaysNothing: with a receiver that takes connections and reads nothing, events are recorded as fast as ever. What
// the buffer does not hold is counted, and told to the log, and to the receiver that comes after it.
func TestSyslogDelaysNothing(t *testing.T) {
	deaf := collect(t, "127.0.0.1:0", nil, true)
	var log lockedBuffer
	s, _ := running(t, SyslogConfig{Address: deaf.address(), Buffer: 16, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := newRecorder(t, Config{Syslog: s, Buffer: 1 << 20})
	await(t, "a connection", func() bool { _, err := s.Trouble(); return err == nil })
	e := create(1)
	e.Extra = strings.Repeat("x", maxText)
	for sent := 0; s.Lost() < 100; sent++ {
		began := time.Now()
		must(t, r.Record(e))
		if took := time.Since(began); took > time.Second {
			t.Errorf("an event was recorded in %v", took)
		}
		if sent > 100_000 {
			t.Fatalf("%d messages were sent and %d are lost", sent, s.Lost())
		}
	}
	address := deaf.address()
	deaf.stop()
	c := collect(t, address, nil, false)
	await(t, "word of what was lost", func() bool {
		for _, text := range c.texts() {
			if strings.HasPrefix(text, "NOTICE[kind=syslog, lost=") {
				return true
			}
		}
		return false
	})
	if !strings.Contains(log.String(), `msg="messages for syslog are lost"`) {
		t.Errorf("the log says %s", log.String())
	}
}

// TestSyslogRefusesAStranger: a receiver whose certificate nobody vouches for gets nothing.
func TestSyslogRefusesAStranger(t *testing.T) {
	pair, _, _ := certificate(t)
	_, other, _ := certificate(t)
	c := collect(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}, false)
	s, end := running(t, SyslogConfig{Address: c.address(), TLS: trusting(t, other), Buffer: 4})
	s.send(message{at: start, severity: notice, id: "gate", text: "for nobody else"})
	await(t, "a refusal", func() bool { _, err := s.Trouble(); return err != nil && strings.Contains(err.Error(), "certificate") })
	end()
	if len(c.got) > 0 || s.Lost() != 1 {
		t.Errorf("it got %v; %d are said to be lost", c.got, s.Lost())
	}
}

// TestMessageIsCut: what no receiver takes whole is cut where a character ends.
func TestMessageIsCut(t *testing.T) {
	m := message{at: start, severity: notice, id: "OK", text: strings.Repeat("é", maxMessage)}
	got := m.format(field("kt 01\n", 255), "1", 1)
	if _, err := rfc5424.NewParser().Parse(got); err != nil || len(got) > maxMessage || !bytes.HasSuffix(got, []byte("é…")) || !bytes.Contains(got, []byte(" kt01 ")) {
		t.Errorf("%d octets, %v: %.120q", len(got), err, got)
	}
	if field("", 5) != "-" || field("abcdef", 5) != "abcde" {
		t.Error("a field of the header is not what RFC 5424 takes")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
