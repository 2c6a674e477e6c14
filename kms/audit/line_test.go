package audit

import (
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
)

// TestLine compares with the log of the stock server, and shows what is ours.
func TestLine(t *testing.T) {
	proxied := alice
	proxied.Real = &kms.Principal{Full: "hdfs"}
	for _, c := range []struct {
		event kms.Event
		want  string
	}{
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: "k1", Principal: alice, Extra: "UserProvidedMaterial:true Description:my key"},
			"OK[op=CREATE_KEY, key=k1, user=alice] UserProvidedMaterial:true Description:my key"},
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: "k]=, x", Principal: alice, Extra: "UserProvidedMaterial:false Description:null"},
			"OK[op=CREATE_KEY, key=k]=, x, user=alice] UserProvidedMaterial:false Description:null"},
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditDeleteKey, Key: "k2", Principal: alice}, "OK[op=DELETE_KEY, key=k2, user=alice] "},
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditGetKeys, Principal: kms.Principal{Short: "alice", Full: "alice/h@EXAMPLE.COM"}},
			"OK[op=GET_KEYS, user=alice/h@EXAMPLE.COM] "},
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditReencryptEEKBatch, Key: "k1", Principal: alice, Extra: "reencrypted 3 keys"},
			"OK[op=REENCRYPT_EEK_BATCH, key=k1, user=alice] reencrypted 3 keys"},
		{kms.Event{Result: kms.AuditUnauthorized, Op: "READ", Key: "locked", Principal: kms.Principal{Full: "bob"}},
			"UNAUTHORIZED[op=READ, key=locked, user=bob] "},
		{kms.Event{Result: kms.AuditError, Op: kms.AuditDeleteKey, Key: "k2", Principal: alice, Err: "Key k2 does not exist"},
			"ERROR[user=alice] Method:'DELETE' Exception:'Key k2 does not exist'"},
		{kms.Event{Result: kms.AuditUnauthenticated, Principal: kms.Principal{Addr: "127.0.0.1"},
			Extra: "Method:GET URL:http://kms.example.com:9600/kms/v1/keys/names?delegation=c2VjcmV0&x=1&token=abc", Err: "Authentication required"},
			"UNAUTHENTICATED RemoteHost:127.0.0.1 Method:GET URL:http://kms.example.com:9600/kms/v1/keys/names?delegation=[redacted]&x=1&token=[redacted] ErrorMsg:'Authentication required'"},

		{kms.Event{Result: kms.AuditAttempt, Op: kms.AuditRollNewVersion, Key: "k2", Principal: proxied, RequestID: "r-1"},
			"ATTEMPT[op=ROLL_NEW_VERSION, key=k2, user=alice] RemoteHost:192.0.2.7 RealUser:hdfs RequestId:r-1"},
		{kms.Event{Result: kms.AuditOK, Op: kms.AuditRollNewVersion, Key: "k2", Principal: alice, Extra: "UserProvidedMaterial:false NewVersion:k2@1", RequestID: "r-1", Repeat: true},
			"OK[op=ROLL_NEW_VERSION, key=k2, user=alice] UserProvidedMaterial:false NewVersion:k2@1 RequestId:r-1 Repeat:true"},
		{kms.Event{Result: kms.AuditUnknown, Op: kms.AuditDeleteKey, Key: "k2", Principal: alice, Err: "the outcome is unknown", RequestID: "r-2"},
			"UNKNOWN[op=DELETE_KEY, key=k2, user=alice] Exception:'the outcome is unknown' RequestId:r-2"},

		{kms.Event{Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: "k\n2026-11-22 21:02:10,305 OK[op=PURGE_KEY, key=x", Principal: kms.Principal{Full: "a\x1b[2J\\"},
			Extra: "UserProvidedMaterial:false Description:\"two\"\r\u2028lines\xff é"},
			`OK[op=CREATE_KEY, key=k\n2026-11-22 21:02:10,305 OK[op=PURGE_KEY, key=x, user=a\x1b[2J\\] UserProvidedMaterial:false Description:"two"\r\u2028lines\xff é`},
	} {
		c.event.At = time.Date(2026, 11, 22, 21, 2, 10, 305e6, time.Local)
		if got, want := line(c.event), "2026-11-22 21:02:10,305 "+c.want+"\n"; got != want {
			t.Errorf("line\n%s want\n%s", got, want)
		}
	}
}

func FuzzLineIsOneLine(f *testing.F) {
	f.Add("k1", "alice", "Description:null", "boom", "r-1")
	f.Add("k\n", "a\r", "\u2028", "\x00", "\\")
	f.Fuzz(func(t *testing.T, key, user, extra, err, request string) {
		for _, r := range []kms.AuditResult{kms.AuditAttempt, kms.AuditOK, kms.AuditError, kms.AuditUnauthenticated, kms.AuditUnknown} {
			got := line(kms.Event{Result: r, Op: kms.AuditCreateKey, Key: kms.KeyName(key), Principal: kms.Principal{Full: user, Addr: user},
				Extra: extra, Err: err, RequestID: request})
			if strings.IndexFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }) != len(got)-1 {
				t.Fatalf("not one line: %q", got)
			}
		}
	})
}

// TestEventsAreCut: what a caller sends at length is neither written nor kept.
func TestEventsAreCut(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	r := newRecorder(t, Config{})
	e := kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditGetCurrentKey, Key: kms.KeyName(long), RequestID: long, Extra: long, Err: long,
		Principal: kms.Principal{Full: long, Addr: long, Real: &kms.Principal{Full: long}}}
	r.Access(e)
	for g := range r.groups {
		if len(g.user)+len(g.key) > 3*maxText {
			t.Errorf("a group of %d bytes is kept", len(g.user)+len(g.key))
		}
	}
	for _, result := range []kms.AuditResult{kms.AuditAttempt, kms.AuditOK, kms.AuditError, kms.AuditUnauthorized, kms.AuditUnauthenticated, kms.AuditUnknown} {
		e.Result = result
		must(t, r.Record(e))
	}
	lines := content(t, r)
	for _, line := range lines {
		if len(line) > 8*maxText || strings.Contains(line, `\x`) || !strings.Contains(line, "… (2097152 bytes)") {
			t.Errorf("%d bytes: %.120s", len(line), line)
		}
	}
	if e.Principal.Real.Full != long || len(lines) < 6 {
		t.Error("the caller's event was changed, or lines are missing")
	}
	if got := cut(strings.Repeat("k", maxText)); len(got) != maxText {
		t.Errorf("a text of %d bytes was cut to %d", maxText, len(got))
	}
}
