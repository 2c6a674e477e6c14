package main

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keytrustee/host"
	"keytrustee/replication"
)

var update = flag.Bool("update", false, "write the golden files of cluster summary anew")

// The pair of these tests, at one instant.
var (
	now   = time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	ago   = func(d time.Duration) time.Time { return now.Add(-d) }
	epoch = replication.Epoch{Number: 7, ID: "3f9c0a11"}
)

const (
	refusedConnection = "asking kt02: connection refused"
	stopped           = "keytrusteed does not run on this host: nobody listens at /run/keytrustee/admin.sock"
)

const (
	startPassive = "Start keytrustee-db and keytrusteed on kt02, or look at the network between the hosts."
	startActive  = "Start keytrustee-db and keytrusteed on kt01, or look at the network between the hosts."
)

// situations are pairs as an operator meets them.
var situations = []struct {
	name   string
	sight  func() host.Sight
	status int
}{
	{"both-up", func() host.Sight { return seenFrom(active(), passive(), "") }, exitOK},
	{"both-up-from-the-passive", func() host.Sight { return seenFrom(passive(), active(), "") }, exitOK},
	{"passive-down", func() host.Sight {
		r := shut(gone(active(), 3*time.Minute+12*time.Second), replication.PassiveUnreachable, 3*time.Minute+11*time.Second, "the passive kt02 can not be reached", startPassive)
		r.Waiting, r.Canary, r.Beside.Unconfirmed = 2, 3*time.Minute, new(int)
		*r.Beside.Unconfirmed = 2
		return seenFrom(r, nil, refusedConnection)
	}, exitReadOnly},
	{"passive-never-seen", func() host.Sight {
		r := shut(gone(active(), 0), replication.PassiveUnreachable, time.Minute, "the passive kt02 can not be reached (not heard since kt01 started)", startPassive)
		r.Reads = replication.Reads{Served: replication.Known, Reason: replication.Starting, Sentence: "keytrusteed: kt01 can not answer for certain"}
		return seenFrom(r, nil, refusedConnection)
	}, exitReadOnly},
	{"active-down", func() host.Sight {
		r := shut(gone(passive(), 14*time.Minute), replication.ActiveUnreachable, 14*time.Minute, "the active kt01 can not be reached", startActive)
		return seenFrom(r, nil, "asking kt01: connection refused")
	}, exitReadOnly},
	{"cut-one-way", func() host.Sight {
		r := shut(gone(active(), time.Minute), replication.PassiveUnreachable, time.Minute, "the passive kt02 can not be reached", startPassive)
		return seenFrom(passive(), r, "")
	}, exitReadOnly},
	{"frozen", func() host.Sight {
		s := without("kt02", replication.Passive, "keytrusteed on this host runs, but does not answer within 3s")
		s.Peer = shut(gone(active(), 40*time.Second), replication.PassiveDaemonDown, 40*time.Second, "keytrusteed on the passive kt02 does not answer", "Start keytrusteed on kt02.")
		s.Peer.Standbys = active().Standbys
		return s
	}, exitReadOnly},
	{"fenced", func() host.Sight {
		f := &replication.Fence{Reason: replication.EpochConflict, Detail: "kt01 is of epoch 7-3f9c, kt02 of 8-77aa", Since: ago(time.Hour)}
		r := shut(active(), replication.EpochConflict, time.Hour, "kt01 and kt02 are of different epochs (kt01 is of epoch 7-3f9c, kt02 of 8-77aa)", "Clone it anew: ktadmin init-slave --reclone on kt01.")
		r.Fenced, r.Reads, r.Standbys, r.Slot = f, replication.Reads{Served: replication.Nothing, Reason: replication.EpochConflict, Sentence: "fenced"}, nil, nil
		s := seenFrom(r, nil, "asking kt02: kt02 turns this host away: kt01 is not the peer of kt02")
		s.Status.State.Fenced = f
		s.PeerEpoch = &replication.Epoch{Number: 8, ID: "77aa"}
		return s
	}, exitConflict},
	{"hold", func() host.Sight {
		r := shut(active(), replication.OperatorHold, 5*time.Minute, "an operator has put writes on hold (new disks; by root on kt01, until 2026-11-29 02:25:00 UTC)", "Ask them, or end it: ktadmin cluster release.")
		r.Operation = &replication.Operation{Kind: replication.KindHold, ID: "a1", Note: "new disks", By: "root on kt01", Since: ago(5 * time.Minute), Until: now.Add(25 * time.Minute)}
		s := seenFrom(r, passive(), "")
		s.Status.State.Outcome = &replication.Outcome{Kind: replication.KindSwitchover, ID: "9", Ended: ago(30 * time.Hour), Sentence: "kt01 is the active"}
		return s
	}, exitReadOnly},
	{"switchover", func() host.Sight {
		r := shut(active(), replication.Switchover, 4*time.Second, "a switchover is under way (waits for 2 writes)", "Wait for it to end.")
		r.Operation = &replication.Operation{Kind: replication.KindSwitchover, ID: "b2", Step: "draining", Note: "waits for 2 writes", By: "root on kt02", Since: ago(4 * time.Second)}
		return seenFrom(r, passive(), "")
	}, exitReadOnly},
	{"removed", func() host.Sight {
		r := shut(active(), replication.NoPassive, 20*time.Minute, "kt01 has no passive", "Join one, with a token of ktadmin join-token on kt01: ktadmin init-slave on a new host, ktadmin init-slave --reclone on one that was of the pair.")
		r.PeerName, r.Standbys, r.Slot, r.PeerAnswers, r.PeerAge, r.Peer = "", nil, nil, false, replication.Never, replication.Answer{}
		s := seenFrom(r, nil, "")
		s.Status.State.Peer, s.Status.State.Former = nil, &replication.Former{Name: "kt02", Epoch: epoch, Since: ago(20 * time.Minute)}
		s.Status.State.Pending = &replication.Admission{Peer: replication.Peer{Name: "kt03"}}
		return s
	}, exitReadOnly},
	{"never-joined", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.Status.State = nil
		return s
	}, exitNoService},
	{"restore-broke-off", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.Status.State, s.Status.Journal = nil, &host.Journal{Operation: "restore", Step: "initial sync", Address: "10.0.0.2:11372"}
		return s
	}, exitNoService},
	{"reclone-broke-off", func() host.Sight {
		s := without("kt02", replication.Passive, stopped)
		s.PeerTrouble, s.Status.Journal = "asking kt01: connection refused", &host.Journal{Operation: "re-clone", Step: "verifying", Address: "10.0.0.1:11372"}
		return s
	}, exitNoService},
	{"daemon-down", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.PeerTrouble = refusedConnection
		return s
	}, exitNoService},
	{"daemon-down-passive-answers", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.Peer = shut(gone(passive(), 30*time.Second), replication.ActiveUnreachable, 28*time.Second, "the active kt01 can not be reached", startActive)
		return s
	}, exitReadOnly},
	{"daemon-killed-just-now", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.Peer = passive()
		return s
	}, exitReadOnly},
	{"daemon-frozen", func() host.Sight {
		s := without("kt01", replication.Active, "keytrusteed on this host runs, but does not answer within 3s")
		s.Stuck, s.Peer = true, gone(passive(), 40*time.Second)
		return s
	}, exitReadOnly},
	{"daemon-killed-after-a-fence", func() host.Sight {
		s := without("kt01", replication.Active, stopped)
		s.Status.State.Fenced = &replication.Fence{Reason: replication.EpochConflict, Detail: "kt01 is of epoch 7, kt02 of 8", Since: ago(time.Hour), Met: &replication.Epoch{Number: 8, ID: "9d"}}
		s.PeerTrouble = "kt02 turns this host away"
		return s
	}, exitConflict},
	{"small-troubles", func() host.Sight {
		r, p := active(), passive()
		r.DiskFree, r.Skew, r.Beside.Recovery = 3<<30, 3*time.Second, "unconfirmed"
		r.Beside.Certificates["cluster"] = now.Add(9*24*time.Hour + time.Hour)
		r.Beside.Syslog, r.Beside.SyslogLost = "dial tcp 10.0.0.9:6514: connect: connection refused", 17
		left := int64(9 << 20)
		r.Slot.WALStatus, r.Slot.SafeBytes = "unreserved", &left
		p.Beside.Release, p.Beside.Recovery = "0.1.0", "unconfirmed"
		r.Beside.Backups = &replication.Backups{Recipients: 2, Schedule: "0 * * * *", Other: ago(3 * time.Hour), Late: ago(time.Hour)}
		p.Beside.Backups = &replication.Backups{Recipients: 2, Schedule: "0 * * * *", Newest: ago(3 * time.Hour), Late: ago(time.Hour), Tried: ago(8 * time.Minute),
			Failure: "there is no room for a backup in /srv/backups"}
		return seenFrom(r, p, "")
	}, exitOK},
}

// TestSummary compares what an operator reads in each situation; the exit status says how bad it is.
func TestSummary(t *testing.T) {
	for _, c := range situations {
		t.Run(c.name, func(t *testing.T) {
			view := host.View(c.sight())
			golden(t, c.name+".txt", summaryText(view))
			status := exitOK
			if view.Writes.State != host.WritesOpen {
				status = exitStatus(&closedError{view})
			}
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if first, _, _ := strings.Cut(summaryText(view), "\n"); !strings.HasPrefix(first, "WRITES open at kt01 since ") &&
				(!strings.HasPrefix(first, "WRITES REFUSED") || !strings.Contains(first, ": ") || view.Writes.Do == "") {
				t.Errorf("the first line does not say why and what to do: %s", first)
			}
			if (view.Summary == host.Good) != (len(view.Problems) == 0) || view.Summary == host.Good && view.Writes.State != host.WritesOpen {
				t.Errorf("it is %s, with %d problems, and writes are %s", view.Summary, len(view.Problems), view.Writes.State)
			}
		})
	}
}

// TestInfoAndNodes: the shorter and the longer form, of a pair whose passive is down.
func TestInfoAndNodes(t *testing.T) {
	for _, c := range situations {
		if c.name != "passive-down" && c.name != "both-up" {
			continue
		}
		view := host.View(c.sight())
		golden(t, c.name+"-info.txt", infoText(infoOf(view)))
		golden(t, c.name+"-nodes.txt", nodesText(view, view.Nodes))
		text, err := json.MarshalIndent(view, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, c.name+".json", string(text)+"\n")
	}
}

// TestThePageNamesEveryField: the tables of docs/cluster.md explain each field of the JSON, and nothing else.
func TestThePageNamesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\|").FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			explained[strings.Trim(name, "`")] = true
		}
	}
	fields := map[string]bool{}
	for _, v := range []any{host.Cluster{}, info{}, listing{}} {
		fieldsOf(reflect.TypeOf(v), fields)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(explained)), slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Errorf("docs/cluster.md (-) and the JSON (+):\n%s", diff)
	}
}

func fieldsOf(t reflect.Type, into map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		fieldsOf(t.Elem(), into)
	case reflect.Struct:
		for f := range t.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				into[name] = true
				fieldsOf(f.Type, into)
			}
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "cluster", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
