package pairtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"

	"keytrustee/internal/freeport"
	"keytrustee/replication/pairtest"
)

// view is what these tests read of `ktadmin cluster summary -o json`.
type view struct {
	Writes struct {
		State, Host, Reason, What, Do string
		Since                         time.Time
	}
	Summary  string
	Problems []struct{ Node, Message string }
	Nodes    []struct {
		Node    string
		Source  string
		Summary string
		Status  struct{ Code string }
		AsOf    *time.Time         `json:"as_of"`
		Flushed string             `json:"flush_lsn"`
		Age     *float64           `json:"attested_age_seconds"`
		Days    map[string]float64 `json:"certificate_days"`
	}
	Line *struct {
		State    string
		Sync     string `json:"sync_state"`
		SlotSafe *int64 `json:"slot_safe_bytes"`
		Unshown  *int   `json:"unconfirmed_changes"`
	} `json:"replication"`
	Operation *struct{ Kind, Note string }
	Outcome   *struct{ Kind string } `json:"last_outcome"`
	Former    *struct{ Name string }
}

// seen waits until the summary at n ends with that status and fits, and returns it.
func seen(t *testing.T, n *pairtest.Node, status int, what string, fits func(view) bool) (v view) {
	t.Helper()
	var out, text string
	defer func() {
		if t.Failed() {
			t.Logf("ktadmin cluster summary at %s said last:\n%s%s", n.Name, out, text)
		}
	}()
	pairtest.Await(t, 15*time.Second, n.Name+" sees "+what, func() bool {
		var got int
		out, text, got = n.Ktadmin(t, "cluster", "summary", "-o", "json")
		v = view{}
		return json.Unmarshal([]byte(out), &v) == nil && got == status && fits(v)
	})
	first, _, status2 := n.Ktadmin(t, "cluster", "summary")
	t.Logf("evidence: at %s, %s: status %d\n%s", n.Name, what, status2, first)
	if !strings.HasPrefix(first, "WRITES ") {
		t.Errorf("the first line at %s does not speak of writes: %.100s", n.Name, first)
	}
	return v
}

// receiver is a receiver of syslog.
type receiver struct {
	mu  sync.Mutex
	got []string
}

func receive(t *testing.T) (r *receiver, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r = new(receiver)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go octetcounting.NewParser(syslog.WithListener(func(m *syslog.Result) {
				r.mu.Lock()
				defer r.mu.Unlock()
				if text := message(m); text != "" {
					r.got = append(r.got, text)
				}
			})).Parse(conn)
		}
	}()
	return r, l.Addr().String()
}

func message(m *syslog.Result) string {
	if b, ok := m.Message.(interface{ Valid() bool }); !ok || m.Error != nil || !b.Valid() {
		return ""
	}
	text, err := json.Marshal(m.Message)
	if err != nil {
		return ""
	}
	var fields struct{ Message *string }
	if json.Unmarshal(text, &fields) != nil || fields.Message == nil {
		return ""
	}
	return *fields.Message
}

// awaitLine waits until a line that holds all of words is in the audit log of n, and in what the receiver got.
func awaitLine(t *testing.T, n *pairtest.Node, r *receiver, words ...string) {
	t.Helper()
	audited(t, n, words...)
	pairtest.Await(t, 10*time.Second, strings.Join(words, " … ")+" at the receiver of syslog", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.got, holding(words))
	})
}

// holding tells whether all of words are in a line.
func holding(words []string) func(string) bool {
	return func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	}
}

// audited waits until a line that holds all of words is in the audit log of n.
func audited(t *testing.T, n *pairtest.Node, words ...string) {
	t.Helper()
	path := filepath.Join(n.Home, "log", "kms-audit.log")
	pairtest.Await(t, 10*time.Second, strings.Join(words, " … ")+" in the audit log of "+n.Name, func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(strings.Split(string(text), "\n"), holding(words))
	})
}

// TestView hurts a pair and looks at it as its operators and their machines do: the summary on either host, with the other
// one or its own daemon down; the audit log; syslog; the metrics.
func TestView(t *testing.T) {
	p := pairtest.New(t)
	a, b := p.Active, p.Passive
	ports, err := freeport.Pick(1, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	told, address := receive(t)
	settle(t, a, fmt.Sprintf("syslog: tcp://%s\nmetrics_address: 127.0.0.1:%d\n", address, ports[0]))
	seen(t, a, 0, "a pair that nobody could read a backup of", func(v view) bool {
		return v.Summary == "BAD" && slices.ContainsFunc(v.Problems, func(p struct{ Node, Message string }) bool {
			return p.Node == "" && strings.HasPrefix(p.Message, "nobody could read a backup")
		})
	})
	a.Stop(t, pairtest.Keytrusteed)
	a.Start(t, pairtest.Keytrusteed)
	awaitBackup(t, p)

	whole := func(v view) bool {
		return v.Writes.State == "open" && v.Writes.Host == a.Name && v.Summary == "GOOD" && len(v.Problems) == 0 && len(v.Nodes) == 2 && v.Line != nil &&
			v.Line.State == "streaming" && v.Line.Sync == "sync" && v.Line.SlotSafe != nil && v.Line.Unshown != nil && *v.Line.Unshown == 0
	}
	for _, n := range p.Nodes {
		v := seen(t, n, 0, "a whole pair", whole)
		for _, node := range v.Nodes {
			if node.Source != "itself" || node.Flushed == "" || node.Age == nil || *node.Age > 1 || node.Days["public"] < 1 || node.Days["cluster"] < 1 {
				t.Errorf("at %s, %s: %+v", n.Name, node.Node, node)
			}
		}
		if v.Nodes[0].Node != n.Name || time.Since(v.Writes.Since) > time.Hour {
			t.Errorf("at %s: %+v", n.Name, v)
		}
	}
	awaitLine(t, a, told, "NOTICE[kind=gate, state=open,", "host="+a.Name, "duty=active")
	key, _ := b.MustCreate(t)
	awaitLine(t, a, told, "OK[op=CREATE_KEY, key="+key+",")
	text := metric(t, ports[0], `keytrustee_backup_recipients 2`, `keytrustee_backup_maker 0`, `keytrustee_backup_age_seconds +Inf`, `keytrustee_writes_open 1`, `keytrustee_peer_up 1`, `keytrustee_syslog_up 1`, `keytrustee_syslog_lost_total 0`)
	if strings.Contains(text, key) {
		t.Error("the name of a key is in the metrics")
	}

	ktadmin(t, b, 0, "cluster", "hold", "--reason", "new disks")
	for _, n := range p.Nodes {
		seen(t, n, 6, "a hold", func(v view) bool {
			return v.Writes.State == "refused" && v.Writes.Reason == "operator_hold" && v.Operation != nil && v.Operation.Kind == "hold" &&
				strings.Contains(v.Operation.Note, "new disks") && v.Summary == "BAD"
		})
	}
	awaitLine(t, a, told, "NOTICE[kind=operation, reason=operator_hold, operation=hold,", `"new disks`)
	awaitLine(t, a, told, "NOTICE[kind=gate, state=closed, reason=operator_hold,", "new disks")
	ktadmin(t, a, 0, "cluster", "release")
	awaitLine(t, a, told, "NOTICE[kind=act, state=attempt, command=cluster/release,", "uid=0,")
	awaitLine(t, a, told, "NOTICE[kind=act, state=done, command=cluster/release,")
	awaitLine(t, a, told, "NOTICE[kind=outcome, operation=hold,")
	metric(t, ports[0], `keytrustee_gate_changes_total{reason="operator_hold"} 1`)
	ktadmin(t, a, 3, "cluster", "release")
	awaitLine(t, a, told, "NOTICE[kind=act, state=refused, command=cluster/release,")

	t.Log("the passive's daemon is frozen: its own ktadmin looks at files, and asks the active")
	b.Freeze(t, pairtest.Keytrusteed)
	begun := time.Now()
	v := seen(t, b, 6, "its own daemon frozen", func(v view) bool {
		return v.Writes.Reason == "passive_daemon_down" || v.Writes.Reason == "passive_unreachable"
	})
	if took := time.Since(begun); v.Nodes[0].Source != "files" || v.Nodes[1].Source != "itself" || took > 12*time.Second { // it is asked twice
		t.Errorf("with its daemon frozen, after %v: %+v", took, v)
	}
	seen(t, a, 6, "a frozen passive", func(v view) bool { return v.Nodes[1].Summary == "BAD" && v.Nodes[1].AsOf != nil })
	b.Thaw(t, pairtest.Keytrusteed)
	seen(t, a, 0, "a whole pair again", whole)

	t.Log("the passive's daemon dies: its own ktadmin asks the active")
	b.Kill(t, pairtest.Keytrusteed)
	seen(t, a, 6, "a passive without a daemon", func(v view) bool {
		return v.Writes.Reason == "passive_daemon_down" && v.Nodes[1].Status.Code == "d" && v.Nodes[1].AsOf != nil && v.Nodes[1].Flushed != "" && v.Nodes[0].Summary == "GOOD"
	})
	v = seen(t, b, 6, "its own daemon down", func(v view) bool { return v.Writes.Reason == "passive_daemon_down" && len(v.Nodes) == 2 })
	if v.Nodes[0].Source != "files" || v.Nodes[1].Source != "itself" || v.Line == nil {
		t.Errorf("with its daemon down: %+v", v)
	}
	awaitLine(t, a, told, "NOTICE[kind=gate, state=closed, reason=passive_daemon_down,", "peer="+b.Name)
	metric(t, ports[0], `keytrustee_writes_open 0`, `keytrustee_gate_reason{reason="passive_daemon_down"} 1`)

	t.Log("both are dead; the passive comes back alone")
	a.Kill(t)
	b.Kill(t)
	seen(t, b, 7, "nobody", func(v view) bool { return v.Writes.State == "refused" && v.Writes.Do != "" })
	b.Start(t)
	v = seen(t, b, 6, "an active that it never heard", func(v view) bool { return v.Writes.Reason == "active_unreachable" })
	if other := v.Nodes[1]; other.Source != "nothing" || other.Summary != "BAD" || v.Line != nil {
		t.Errorf("of an active that was never heard it knows %+v", other)
	}
}

// metric waits until the metrics have all of that, and returns them.
func metric(t *testing.T, port int, want ...string) (text string) {
	t.Helper()
	pairtest.Await(t, 10*time.Second, strings.Join(want, ", "), func() bool {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		all, err := io.ReadAll(answer.Body)
		text = string(all)
		return err == nil && !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, "\n"+w+"\n") })
	})
	return text
}
