package pairtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// ktadmin runs a command that must end with that status, and returns its result.
func ktadmin(t *testing.T, n *pairtest.Node, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, got := n.Ktadmin(t, args...)
	if got != status {
		t.Fatalf("ktadmin %s on %s: status %d, want %d\n%s%s", strings.Join(args, " "), n.Name, got, status, stdout, stderr)
	}
	t.Logf("evidence: ktadmin %s on %s: %d\n%s%s", strings.Join(args, " "), n.Name, got, stdout, stderr)
	return stdout, stderr
}

// TestOperator plays the operator of a pair: writes are held and released; the active is lost, and the passive promoted by
// the commands of the runbook; what was acknowledged is all there, and the old active, back, serves nothing.
func TestOperator(t *testing.T) {
	p := pairtest.New(t)
	a, b := p.Active, p.Passive
	keys := map[string]string{}
	for range 5 {
		name, material := a.MustCreate(t)
		keys[name] = material
	}

	ktadmin(t, b, 0, "cluster", "hold", "--reason", "moving the rack", "--for", "10m")
	a.MustRefuse(t, "operator_hold")
	b.MustRefuse(t, "operator_hold")
	a.Says(t, 0, "writes CLOSED since ", "operator_hold", "moving the rack; by ", "on passive", "reads served")
	ktadmin(t, a, 0, "cluster", "release")
	ktadmin(t, a, 3, "cluster", "release")
	pairtest.Await(t, 3*time.Second, "writes", func() bool { return a.Writable(t) })
	ktadmin(t, a, 3, "cluster", "remove", b.Name)
	ktadmin(t, a, 3, "cluster", "promote", "--fenced", b.Name)
	if _, text := ktadmin(t, b, 3, "cluster", "promote", "--fenced", a.Name); !strings.Contains(text, "active answers") {
		t.Errorf("refused for another reason: %s", text)
	}

	// A create waits for the passive when the active is lost: it is on one host, and nobody is told of it.
	ghost, told := pairtest.NewKey(), make(chan pairtest.Answer, 1)
	a.Freeze(t, pairtest.Walsender)
	go func() { told <- a.Create(t, ghost) }()
	admin := a.SQL(t)
	pairtest.Await(t, 5*time.Second, "the create waits for the passive", func() bool {
		var n int
		err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&n)
		return err == nil && n == 1
	})
	a.Kill(t)
	if r := <-told; r.Status == http.StatusCreated {
		t.Errorf("a create that one host has was acknowledged: %v", r)
	}
	b.Says(t, 0, "writes CLOSED since ", "active_unreachable")
	if _, text := ktadmin(t, b, 4, "cluster", "hold", "--reason", "nobody there"); !strings.Contains(text, "this command is for active: ") {
		t.Errorf("a command for the lost active: %s", text)
	}
	pairtest.Await(t, 5*time.Second, "a promotion would be done", func() bool {
		_, _, status := b.Ktadmin(t, "cluster", "promote", "--fenced", a.Name)
		return status == 0
	})
	out, _ := ktadmin(t, b, 0, "cluster", "promote", "--fenced", a.Name)
	if !strings.Contains(out, "would be done") || !strings.Contains(out, "does not answer") {
		t.Errorf("the dry run says %q", out)
	}
	_, newest, _ := strings.Cut(out, "its newest change is of ")
	if at, err := time.Parse("2006-01-02 15:04:05 UTC", newest[:min(len(newest), 23)]); err != nil || time.Since(at) > 5*time.Minute {
		t.Errorf("the dry run tells nothing of the newest change: %v\n%s", err, out)
	}
	b.Says(t, 0, "writes CLOSED since ", "active_unreachable", "duty passive")
	ktadmin(t, b, 2, "cluster", "promote", "--fenced", a.Name, "--i-confirm", "it is off")
	before := b.Pids[pairtest.Keytrusteed]
	out, _ = ktadmin(t, b, 0, "cluster", "promote", "--fenced", a.Name, "--i-confirm", a.Name+" is powered off", "-o", "json")
	var done struct{ Host, Sentence string }
	if err := json.Unmarshal([]byte(out), &done); err != nil || done.Host != b.Name || !strings.Contains(done.Sentence, "was promoted by") {
		t.Errorf("the promotion says %q, %v", out, err)
	}
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads served", "duty active")
	b.Logged(t, "keytrusteed starts anew")
	if exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(before), "exe")); err != nil || filepath.Base(exe) != "keytrusteed" {
		t.Errorf("keytrusteed does not go on as process %d: %s, %v", before, exe, err)
	}
	everyKey(t, b, keys)
	b.MustNotServe(t, ghost)
	b.MustRefuse(t, "no_passive")
	if r := b.Do(t, http.MethodGet, "/kms/v1/key/"+pairtest.NewKey()+"/_metadata", nil, nil); r.Status == http.StatusServiceUnavailable {
		t.Errorf("the new active is not certain: %v", r)
	}

	b.Kill(t, pairtest.Keytrusteed)
	b.Start(t)
	if now := b.Pids[pairtest.Keytrusteed]; now == before {
		t.Errorf("keytrusteed is %d as before", now)
	}
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads served")
	everyKey(t, b, keys)

	a.Start(t)
	a.Says(t, 0, "writes CLOSED since ", "epoch_conflict", "ktadmin init-slave --reclone", "reads REFUSED at this host")
	seen(t, a, 8, "that it was overtaken", func(v view) bool {
		return v.Writes.Reason == "epoch_conflict" && v.Nodes[0].Status.Code == "f" && v.Nodes[1].Status.Code == "u" && strings.Contains(v.Writes.Do, "ktadmin init-slave --reclone")
	})
	audited(t, a, "NOTICE[kind=fence, reason=epoch_conflict,")
	seen(t, b, 6, "whom it has replaced", func(v view) bool {
		return v.Writes.Reason == "no_passive" && v.Former != nil && v.Former.Name == a.Name && v.Outcome != nil && v.Outcome.Kind == "promotion"
	})
	audited(t, b, "NOTICE[kind=operation, reason=switchover, operation=promotion,", "duty=passive")
	audited(t, b, "NOTICE[kind=outcome, operation=promotion,")
	audited(t, b, "NOTICE[kind=former, former="+a.Name)
	keys[ghost] = "" // which it has, alone
	for name := range keys {
		if r, material := a.Version(t, name, 0); material != "" || r.Status == http.StatusNotFound {
			t.Errorf("the old active answers for %s: %v", name, r)
		}
	}
	if r := a.Create(t, pairtest.NewKey()); r.Status != http.StatusServiceUnavailable {
		t.Errorf("a create at the old active: %v", r)
	}
	delete(keys, ghost)
	b.Says(t, 0, "writes CLOSED since ", "no_passive", "reads served")
	everyKey(t, b, keys)
	b.MustNotServe(t, ghost)

	// The one command that its status names makes a pair of them again.
	token := filepath.Join(p.Dir, "token")
	ktadmin(t, b, 0, "join-token", "--out", token)
	a.Stop(t)
	ktadmin(t, a, 0, "init-slave", "--reclone", "--token-file", token)
	a.Start(t)
	pairtest.Await(t, 20*time.Second, "writes", func() bool { return b.Writable(t) })
	for _, n := range []*pairtest.Node{a, b} {
		name, material := n.MustCreate(t)
		keys[name] = material
	}
	for _, n := range []*pairtest.Node{a, b} {
		everyKey(t, n, keys)
		n.MustNotServe(t, ghost)
	}
	a.Says(t, 0, "writes open at the active (passive) since ", "reads served")
}

// everyKey checks that the host serves every key, and lists them.
func everyKey(t *testing.T, n *pairtest.Node, keys map[string]string) {
	t.Helper()
	for name, material := range keys {
		if got := n.MustServe(t, name); got != material {
			t.Errorf("%s serves other material of %s", n.Name, name)
		}
	}
	r := n.Do(t, http.MethodGet, "/kms/v1/keys/names", nil, nil)
	for name := range keys {
		if !bytes.Contains(r.Body, fmt.Appendf(nil, "%q", name)) {
			t.Errorf("%s does not list %s: %v", n.Name, name, r)
		}
	}
}
