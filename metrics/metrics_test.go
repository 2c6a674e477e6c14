package metrics

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/replication"
)

// whole is a Report in which everything is known, of an active whose passive is three bytes behind.
func whole() replication.Report {
	left := int64(1 << 30)
	return replication.Report{
		Status: replication.Status{Self: "kt01", Duty: replication.Active, Epoch: replication.Epoch{Number: 7, ID: "3f9c"}, PeerName: "kt02",
			Local: replication.Server{Answers: true, Flushed: 103}, Peer: replication.Answer{Server: replication.Server{Flushed: 101, Replayed: 100}},
			PeerAge: 250 * time.Millisecond, RootProofAge: 3 * time.Second, Skew: -2 * time.Second, Canary: 100 * time.Millisecond, DiskFree: 61, DiskSize: 100,
			Slot: &replication.Slot{Name: "kt_kt02_7", SafeBytes: &left}, Operation: &replication.Operation{Kind: replication.KindHold}},
		Decision: replication.Decision{Reason: replication.OperatorHold}, Since: time.Unix(1700000000, 0), PeerAnswers: true, Waiting: 2,
		Reads: replication.Reads{Served: replication.Everything},
		Beside: &replication.Beside{Release: "0.1.0", AuditLost: 4, Syslog: "connection refused", SyslogLost: 5,
			Backups: &replication.Backups{Recipients: 2, Expires: time.Now().Add(12 * time.Hour), Newest: time.Now().Add(-time.Hour), Tried: time.Now(), Failure: "no room", Mine: true,
				Targets: []replication.BackupTarget{{Target: "sftp://kt@store/srv/kt", Newest: time.Now().Add(-2 * time.Hour)}, {Target: "file:///mnt/kt"}}},
			Certificates: map[string]time.Time{"public": time.Now().Add(36 * time.Hour), "cluster": time.Now().Add(time.Hour), "authority": time.Now().Add(time.Hour)}},
	}
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestValues(t *testing.T) {
	e := New(whole)
	e.Count(replication.Notice{Kind: replication.GateNotice, Open: true})
	e.Count(replication.Notice{Kind: replication.GateNotice, Reason: replication.PassiveUnreachable})
	e.Count(replication.Notice{Kind: replication.GateNotice, Reason: replication.PassiveUnreachable})
	e.Count(replication.Notice{Kind: replication.FenceNotice, Reason: replication.EpochConflict})
	text := scrape(t, e.Handler())
	for _, want := range []string{
		`writes_open 0`, `gate_reason{reason="operator_hold"} 1`, `gate_reason{reason="passive_unreachable"} 0`, `gate_since_timestamp_seconds 1.7e+09`,
		`gate_changes_total{reason="open"} 1`, `gate_changes_total{reason="passive_unreachable"} 2`, `gate_changes_total{reason="epoch_conflict"} 0`,
		`duty{duty="active"} 1`, `duty{duty="passive"} 0`, `epoch 7`, `fenced 0`, `operation{operation="hold"} 1`, `operation{operation="switchover"} 0`,
		`attested_age_seconds 0.25`, `lag_bytes{stage="flushed"} 2`, `lag_bytes{stage="replayed"} 3`, `waiting_writes 2`, `slot_safe_bytes 1.073741824e+09`,
		`clock_skew_seconds -2`, `disk_free_bytes 61`, `certificate_days{certificate="public"} 1.5`, `audit_lost_total 4`, `syslog_up 0`, `syslog_lost_total 5`,
		`audit_up 1`, `reads_served{extent="everything"} 1`, `build_info{version="0.1.0"} 1`,
		`backup_failed 1`, `backup_maker 1`, `backup_recipients 2`, `backup_recipient_days 0.5`,
	} {
		if !strings.Contains(text, "\n"+prefix+want+"\n") {
			t.Errorf("no %s%s", prefix, want)
		}
	}
	if age := regexp.MustCompile(`(?m)^keytrustee_backup_age_seconds (3600\.[0-9]+|3601(\.[0-9]+)?)$`); !age.MatchString(text) {
		t.Error("the backup is not an hour old")
	}
	if age := regexp.MustCompile(`(?m)^keytrustee_backup_target_age_seconds\{target="1"\} 720[0-9]`); !age.MatchString(text) || !strings.Contains(text, "\n"+prefix+`backup_target_age_seconds{target="2"} +Inf`+"\n") {
		t.Error("what targets have is not two hours old, and without an end")
	}
	if strings.Contains(text, "sftp") || strings.Contains(text, "mnt") {
		t.Error("a target is named")
	}
	if n := strings.Count(text, prefix+"gate_reason{"); n != len(replication.Reasons()) || n < 25 {
		t.Errorf("%d reasons are exported of %d", n, len(replication.Reasons()))
	}
}

// TestWhatIsNotKnown is left out, but for an age, which has no end.
func TestWhatIsNotKnown(t *testing.T) {
	text := scrape(t, New(func() replication.Report {
		return replication.Report{Status: replication.Status{Duty: replication.Passive, PeerAge: replication.Never, HeardAge: replication.Never, RootProofAge: replication.Never}}
	}).Handler())
	if !strings.Contains(text, "\n"+prefix+"attested_age_seconds +Inf\n") {
		t.Error("the age of what never came is not endless")
	}
	for _, name := range []string{"lag_bytes", "slot_safe_bytes", "clock_skew_seconds", "syslog_up", "certificate_days", "root_proof_age_seconds", "backup_age_seconds", "backup_recipients", "backup_target_age_seconds"} {
		if strings.Contains(text, prefix+name) {
			t.Errorf("%s has a value, which nobody knows", name)
		}
	}
	none := scrape(t, New(func() replication.Report {
		return replication.Report{Beside: &replication.Beside{Backups: &replication.Backups{}}}
	}).Handler())
	if strings.Contains(none, prefix+"backup_recipient_days") {
		t.Error("a recipient expires that there is not")
	}
	if !strings.Contains(none, "\n"+prefix+"backup_age_seconds +Inf\n") || !strings.Contains(none, "\n"+prefix+"backup_recipients 0\n") {
		t.Error("the age of a backup that was never made is not endless")
	}
	open := scrape(t, New(func() replication.Report { return replication.Report{Decision: replication.Decision{Open: true}} }).Handler())
	if !strings.Contains(open, "\n"+prefix+"writes_open 1\n") || regexp.MustCompile(`gate_reason\{[^}]*\} 1`).MatchString(open) {
		t.Error("an open gate has a reason to be shut, or is not open")
	}
}

// TestThePageIsTrue holds docs/metrics.md to what is exported: names, kinds, labels.
func TestThePageIsTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(keytrustee_[a-z_]+)(?:\\{([a-z, ]*)\\})?` \\| (gauge|counter) \\| .+ \\|$").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1]+" "+m[2]+" "+m[3])
	}
	kinds, labels := map[string]string{}, map[string]string{}
	text := scrape(t, New(whole).Handler())
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (keytrustee_[a-z_]+) (.*)$`).FindAllStringSubmatch(text, -1) {
		kinds[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^(keytrustee_[a-z_]+)(?:\{(.*)\})? `).FindAllStringSubmatch(text, -1) {
		labels[m[1]] = regexp.MustCompile(`="[^"]*",?`).ReplaceAllString(m[2], "")
	}
	var exported []string
	for name, kind := range kinds {
		exported = append(exported, name+" "+labels[name]+" "+kind)
	}
	slices.Sort(documented)
	slices.Sort(exported)
	if diff := cmp.Diff(documented, exported); diff != "" {
		t.Errorf("docs/metrics.md (-) and what is exported (+):\n%s", diff)
	}
	if others := regexp.MustCompile(`(?m)^[a-z_]+`).FindAllString(text, -1); slices.ContainsFunc(others, func(name string) bool {
		return !strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_")
	}) {
		t.Errorf("names that are not ours: %v", others)
	}
}

// TestAlarmsHoldForSeveralPairs: each metric that an expression of the page names is exported, and none is summed up over pairs.
func TestAlarmsHoldForSeveralPairs(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, alarms, _ := strings.Cut(string(page), "| alarm | expression |")
	text, summed, checked := scrape(t, New(whole).Handler()), regexp.MustCompile(`\b(max|min|sum|count|avg)\b( by \(cluster\b)?`), 0
	for line := range strings.Lines(alarms) {
		for i, expression := range strings.Split(line, "`") {
			if i%2 == 0 || !strings.ContainsAny(expression, "<>=") {
				continue
			}
			checked++
			for _, m := range summed.FindAllStringSubmatch(expression, -1) {
				if m[2] == "" {
					t.Errorf("%s is over all pairs", expression)
				}
			}
			for _, name := range regexp.MustCompile(prefix+`[a-z_]+`).FindAllString(expression, -1) {
				if !strings.Contains(text, "# TYPE "+name+" ") {
					t.Errorf("%s: %s is not exported", expression, name)
				}
			}
		}
	}
	if checked < 18 {
		t.Errorf("only %d expressions", checked)
	}
}

// TestServe: the metrics are served where they should be, also when somebody else has the port at first; nothing else is.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	ended := make(chan struct{})
	go func() { New(whole).Serve(t.Context(), address, slog.New(slog.DiscardHandler)); close(ended) }()
	t.Cleanup(func() { <-ended })
	for end := time.Now().Add(20 * time.Second); ; {
		answer, err := http.Get("http://" + address + "/metrics")
		if err == nil {
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if !strings.Contains(string(text), prefix+"writes_open") {
				t.Errorf("%s: %s", answer.Status, text)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, path := range []string{"/", "/debug/pprof/", "/v1/sys/health"} {
		answer, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}
