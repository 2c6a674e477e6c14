package replication

import (
	"crypto/x509"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// inOrder is an active whose passive confirms everything: the gate is open. Every row of the tables below spoils one fact.
func inOrder() Status {
	epoch := Epoch{3, "abcdef0123456789"}
	settings := maps.Clone(durableSettings)
	settings["synchronous_commit"] = "remote_apply"
	settings["synchronous_standby_names"] = `"kt_kt02_3_abcd"`
	theirs := maps.Clone(durableSettings)
	theirs["hot_standby"], theirs["recovery_min_apply_delay"] = "on", "0"
	return Status{
		Self: "kt01", Duty: Active, Epoch: epoch, SystemID: 7, Polled: true,
		Local:    Server{Answers: true, Start: "a", Role: Primary, SystemID: 7, Timeline: 1, Version: 150018, Epoch: &epoch, Flushed: 900, Settings: settings},
		PeerName: "kt02", Incarnation: "copy1", StandbyName: "kt_kt02_3_abcd", SyncEnabled: true,
		Peer: Answer{Protocol: Protocol, Name: "kt02", Duty: Passive, Epoch: epoch, Incarnation: "copy1", DiskFree: 1 << 40,
			Server: Server{Answers: true, Start: "p", Role: Standby, SystemID: 7, Timeline: 1, Version: 150018, Flushed: 900, Replayed: 900, Settings: theirs}},
		PeerAge: 100 * time.Millisecond, ReplyAge: 100 * time.Millisecond, HeardAge: 100 * time.Millisecond,
		Standing: Standing{Start: "a", Verdict: VerdictCompared},
		Standbys: []StandbyRow{{PID: 1, User: "ktrepl", Application: "kt_kt02_3_abcd", State: "streaming", SyncState: "sync", ClientDN: "/O=Keytrustee/CN=kt02"}},
		Slot:     &Slot{Name: "kt_kt02_3_abcd", Active: true, WALStatus: "reserved"}, DiskFree: 1 << 40, RootProofAge: 10 * time.Second,
	}
}

// TestExpired: a peer that answers, under a certificate that is not good now, is not said to be down.
func TestExpired(t *testing.T) {
	why := expired(fmt.Errorf("asking kt02: %w", x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(86400, 0)}}))
	if other := expired(fmt.Errorf("asking kt02: %w", x509.CertificateInvalidError{Reason: x509.TooManyIntermediates, Cert: new(x509.Certificate)})); why == "" || other != "" {
		t.Errorf("of an expired certificate it says %q, of another %q", why, other)
	}
	for duty, want := range map[Duty]Reason{Active: PassiveUnreachable, Passive: ActiveUnreachable} {
		s := inOrder()
		s.Duty, s.PeerExpired = duty, why
		s.PeerAge, s.ReplyAge, s.HeardAge, s.MessageAge, s.Standbys = Never, Never, Never, Never, nil
		if duty == Passive {
			s.Standing.Ready, s.Local.Role = true, Standby
		}
		d := Decide(s, Policy{}.withDefaults())
		if says := d.sentence("kt01", "kt02", time.Time{}); d.Reason != want || !strings.Contains(says, "to 1970-01-02 00:00:00 UTC") || !strings.Contains(says, "Renew it on kt02: ktadmin certs renew") {
			t.Errorf("%s: %s: %s", duty, d.Reason, says)
		}
	}
}

func TestDecideActive(t *testing.T) {
	frozen := func(s *Status) { s.PeerAge, s.ReplyAge = 1100*time.Millisecond, 1100*time.Millisecond }
	for _, row := range []struct {
		when   string
		change func(*Status)
		want   Reason // empty: open
	}{
		{"everything is in order", func(s *Status) {}, ""},
		{"the answer is exactly a second old", func(s *Status) { s.PeerAge = time.Second }, ""},

		{"the host is fenced", func(s *Status) { s.Fenced = &Fence{Reason: Fenced} }, Fenced},
		{"it was fenced for another epoch", func(s *Status) { s.Fenced = &Fence{Reason: EpochConflict} }, EpochConflict},
		{"the peer is of a higher epoch", func(s *Status) { s.Peer.Epoch.Number++ }, EpochConflict},
		{"the peer is of this number and another id", func(s *Status) { s.Peer.Epoch.ID = "other" }, EpochConflict},
		{"both hosts are active", func(s *Status) { s.Peer.Duty = Active }, EpochConflict},
		{"its database is of a higher epoch", func(s *Status) { s.Local.Epoch = &Epoch{4, "x"} }, EpochConflict},
		{"the peer is of an older epoch", func(s *Status) { s.Peer.Epoch = Epoch{2, "x"} }, EpochConflict},
		{"the peer has fenced itself", func(s *Status) { s.Peer.Fenced = Fenced }, Fenced},

		{"a switchover is under way", func(s *Status) { s.Operation = &Operation{Kind: KindSwitchover} }, Switchover},
		{"a promotion is under way", func(s *Status) { s.Operation = &Operation{Kind: KindPromotion} }, Switchover},
		{"a restore is under way", func(s *Status) { s.Operation = &Operation{Kind: KindRestore} }, Restoring},
		{"an operator holds the gate", func(s *Status) { s.Operation = &Operation{Kind: KindHold} }, OperatorHold},

		{"not everything was asked since it stood still", func(s *Status) { s.Polled = false }, Starting},
		{"its database does not answer", func(s *Status) { s.Local.Answers = false }, Starting},
		{"its database has not answered for two seconds", func(s *Status) { s.Age = 2100 * time.Millisecond }, Starting},
		{"its database is in recovery", func(s *Status) { s.Local.Role = Standby }, Fenced},
		{"its database is another", func(s *Status) { s.Local.SystemID = 8 }, Fenced},
		{"its database ends below what is confirmed", func(s *Status) { s.Standing.Below = "it ends early" }, Fenced},

		{"no passive has joined", func(s *Status) { s.PeerName = "" }, NoPassive},
		{"a passive is being cloned", func(s *Status) { s.PeerName, s.Pending = "", "kt02" }, Joining},
		{"synchronous replication was not enabled", func(s *Status) {
			s.SyncEnabled = false
			s.Local.Settings["synchronous_standby_names"] = `"kt_no_passive_yet"`
		}, SyncNotEnabled},

		{"commits wait for another name", func(s *Status) { s.Local.Settings["synchronous_standby_names"] = `"*"` }, UnsafeSettings},
		{"commits wait for nobody", func(s *Status) { s.Local.Settings["synchronous_standby_names"] = "" }, UnsafeSettings},
		{"commits wait for less", func(s *Status) { s.Local.Settings["synchronous_commit"] = "on" }, UnsafeSettings},
		{"a role has settings of its own", func(s *Status) { s.Local.Overrides = 1 }, UnsafeSettings},
		{"the active does not fsync", func(s *Status) { s.Local.Settings["fsync"] = "off" }, UnsafeSettings},
		{"the passive does not fsync", func(s *Status) { s.Peer.Server.Settings["fsync"] = "off" }, UnsafeSettings},
		{"the passive tears pages", func(s *Status) { s.Peer.Server.Settings["full_page_writes"] = "off" }, UnsafeSettings},
		{"the passive applies late", func(s *Status) { s.Peer.Server.Settings["recovery_min_apply_delay"] = "5000" }, UnsafeSettings},
		{"replay is paused", func(s *Status) { s.Peer.Server.ReplayPaused = true }, ReplayPaused},

		{"the peer is another copy", func(s *Status) { s.Peer.Incarnation = "copy2" }, IdentityMismatch},
		{"the peer's database is another", func(s *Status) { s.Peer.Server.SystemID = 8 }, IdentityMismatch},
		{"the peer's database is a primary", func(s *Status) { s.Peer.Server.Role = Primary }, IdentityMismatch},
		{"a second standby bears the name, in capitals", func(s *Status) {
			s.Standbys = append(s.Standbys, StandbyRow{PID: 2, Application: "KT_KT02_3_ABCD", State: "streaming", SyncState: "potential"})
		}, IdentityMismatch},
		{"the standby shows another certificate", func(s *Status) { s.Standbys[0].ClientDN = "/O=Keytrustee/CN=kt03" }, IdentityMismatch},
		{"the standby is another user", func(s *Status) { s.Standbys[0].User = "ktsuper" }, IdentityMismatch},

		{"the histories have not been compared", func(s *Status) { s.Standing.Verdict = "" }, Starting},
		{"the histories differ", func(s *Status) { s.Standing.Verdict = Verdict(HistoryDiffers) }, HistoryDiffers},
		{"the passive is ahead", func(s *Status) { s.Standing.Verdict = Verdict(PassiveAhead) }, PassiveAhead},
		{"what the passive lacks is gone", func(s *Status) { s.Standing.Verdict = Verdict(NeedsClone) }, NeedsClone},
		{"the histories differ, and the passive is silent now", func(s *Status) { s.Standing.Verdict = Verdict(HistoryDiffers); frozen(s); s.Standbys = nil }, HistoryDiffers},

		{"no answer, no stream", func(s *Status) { frozen(s); s.Standbys = nil }, PassiveUnreachable},
		{"no answer, a stream that has stopped", func(s *Status) { frozen(s); s.Standbys[0].State = "catchup" }, PassiveUnreachable},
		{"no answer, streaming still seen", frozen, PassiveDaemonDown},
		{"answers, without its database, streaming still seen", func(s *Status) { s.PeerAge = 2 * time.Second }, PassiveStale},
		{"answers, without its database, no stream", func(s *Status) { s.PeerAge = 2 * time.Second; s.Standbys = nil }, PassiveNotStreaming},
		{"answers, no stream", func(s *Status) { s.Standbys = nil }, PassiveNotStreaming},
		{"answers, catching up", func(s *Status) { s.Standbys[0].State = "catchup" }, PassiveNotStreaming},
		{"answers, streams, is only potential", func(s *Status) { s.Standbys[0].SyncState = "potential" }, PassiveNotSynchronous},
		{"answers, streams, its positions stand", func(s *Status) { s.Canary = 1100 * time.Millisecond }, PassiveStale},
		{"was cut off, and no position has come through since", func(s *Status) { s.Through = 1100 * time.Millisecond }, PassiveStale},

		{"has joined, and may lack what was acknowledged before", func(s *Status) { s.Peer.Unconfirmed = true }, Joining},

		{"no proof of the root keys yet", func(s *Status) { s.RootProofAge = Never }, Starting},
		{"the proof of the root keys is old", func(s *Status) { s.RootProofAge = 61 * time.Second }, RootKeyMismatch},
		{"one host can not open its root key", func(s *Status) { s.RootProofError = "{peer}: no such file" }, RootKeyMismatch},

		{"the daemons speak other protocols", func(s *Status) { s.Peer.Protocol++ }, VersionMismatch},
		{"the databases are of two majors", func(s *Status) { s.Peer.Server.Version = 160004 }, VersionMismatch},
		{"the clocks are six minutes apart", func(s *Status) { s.Skew = -6 * time.Minute }, ClockSkew},
		{"the clocks are four minutes apart", func(s *Status) { s.Skew = 4 * time.Minute }, ""},
		{"the active's disk is full", func(s *Status) { s.DiskFree = 1 << 20 }, DiskLow},
		{"the passive's disk is full", func(s *Status) { s.Peer.DiskFree = 1 << 20 }, DiskLow},
		{"the active's state can not be written", func(s *Status) { s.StateTrouble = "read-only file system" }, DiskLow},
		{"the passive's state can not be written", func(s *Status) { s.Peer.StateTrouble = "read-only file system" }, DiskLow},
		{"the slot has lost WAL, and the passive streams no more", func(s *Status) { s.Slot.WALStatus = "lost"; s.Standbys = nil }, NeedsClone},
		{"the slot is losing WAL", func(s *Status) { s.Slot.WALStatus = "unreserved" }, WALRetention},
		{"the slot is gone", func(s *Status) { s.Slot = nil }, WALRetention},
	} {
		t.Run(row.when, func(t *testing.T) {
			s := inOrder()
			row.change(&s)
			d := Decide(s, Policy{})
			if d.Reason != row.want || d.Open != (row.want == "") {
				t.Fatalf("when %s: open %v, reason %q (%s), want %q", row.when, d.Open, d.Reason, d.Detail, row.want)
			}
		})
	}
}

func TestDecidePassive(t *testing.T) {
	for _, row := range []struct {
		when   string
		change func(*Status)
		want   Reason // empty: the active can be asked
		fence  bool
	}{
		{"everything is in order", func(s *Status) {}, "", false},
		{"it is fenced", func(s *Status) { s.Fenced = &Fence{Reason: Fenced} }, Fenced, false},
		{"the active is of a higher epoch", func(s *Status) { s.Peer.Epoch.Number++ }, EpochConflict, true},
		{"the active is of an older epoch: that one fences itself", func(s *Status) { s.Peer.Epoch.Number-- }, "", false},
		{"a restore is under way", func(s *Status) { s.Operation = &Operation{Kind: KindRestore} }, Restoring, false},
		{"not everything was asked since it stood still", func(s *Status) { s.Polled = false }, Starting, false},
		{"its database does not answer", func(s *Status) { s.Local.Answers = false }, Starting, false},
		{"its database is a primary", func(s *Status) { s.Local.Role = Primary }, Fenced, false},
		{"it has not replayed its own WAL", func(s *Status) { s.Standing.Ready = false }, Starting, false},
		{"the active is silent, its WAL comes", func(s *Status) { s.HeardAge = 3 * time.Second }, "", false},
		{"its WAL has stopped, the active answers", func(s *Status) { s.MessageAge = Never }, "", false},
		{"the active is silent, and so is its WAL", func(s *Status) { s.HeardAge, s.MessageAge = 3*time.Second, 3*time.Second }, ActiveUnreachable, false},
		{"the active was never heard", func(s *Status) { s.HeardAge, s.MessageAge = Never, Never }, ActiveUnreachable, false},
	} {
		t.Run(row.when, func(t *testing.T) {
			s := inOrder()
			s.Self, s.PeerName, s.Duty, s.Peer.Duty, s.Local.Role, s.Standing.Ready = "kt02", "kt01", Passive, Active, Standby, true
			row.change(&s)
			d := Decide(s, Policy{})
			if d.Open || d.Reason != row.want || d.Fence != row.fence {
				t.Fatalf("when %s: open %v, reason %q (%s), fence %v; want %q, %v", row.when, d.Open, d.Reason, d.Detail, d.Fence, row.want, row.fence)
			}
		})
	}
}

// TestWhoFences: a higher or conflicting epoch fences the host that meets it, a lower one does not.
func TestWhoFences(t *testing.T) {
	for _, row := range []struct {
		theirs Epoch
		fence  bool
	}{
		{Epoch{2, "abcdef0123456789"}, false}, {Epoch{3, "abcdef0123456789"}, false}, {Epoch{3, "0000"}, true}, {Epoch{4, "abcdef0123456789"}, true},
	} {
		s := inOrder()
		s.Peer.Epoch = row.theirs
		if d := Decide(s, Policy{}); d.Fence != row.fence {
			t.Errorf("epoch %s meets %s: fence %v, want %v", s.Epoch, row.theirs, d.Fence, row.fence)
		}
	}
}

// TestWordings: every reason that Decide gives, and every other, has words for people; none has words for two.
func TestWordings(t *testing.T) {
	whole := []Reason{Starting, SyncNotEnabled, NoPassive, Joining, Switchover, Restoring, OperatorHold, PassiveUnreachable, PassiveNotStreaming,
		PassiveNotSynchronous, PassiveStale, ReplayPaused, PassiveDaemonDown, IdentityMismatch, RootKeyMismatch, EpochConflict, HistoryDiffers,
		PassiveAhead, NeedsClone, UnsafeSettings, AuditUnavailable, VersionMismatch, ClockSkew, DiskLow, WALRetention, Fenced, Busy, ActiveUnreachable}
	if len(whole) != len(wordings) {
		t.Errorf("%d reasons, %d wordings", len(whole), len(wordings))
	}
	for _, r := range whole {
		if w := wordings[r]; w.what == "" || w.remedy == "" {
			t.Errorf("%s has no words", r)
		}
	}
	since := time.Date(2026, 3, 1, 12, 4, 11, 0, time.UTC)
	got := Decision{Reason: PassiveUnreachable}.sentence("kt01", "kt02", since)
	want := "keytrusteed: write refused: the passive kt02 can not be reached, since 2026-03-01 12:04:11 UTC; keys can be read but not created, rolled or deleted. " +
		"Start keytrustee-db and keytrusteed on kt02, or look at the network between the hosts. If kt02 was promoted meanwhile, it is the active: ask there, and leave kt01 off."
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRemedies: where a reason's own remedy would send an operator to the wrong place, another one stands, and nothing is
// said of reads that this host may not serve.
func TestRemedies(t *testing.T) {
	for _, row := range []struct {
		name string
		edit func(*Status)
		want string
	}{
		{"its database is down", func(s *Status) { s.Local.Answers = false }, "Start keytrustee-db on kt01;"},
		{"its database hangs", func(s *Status) { s.Age = time.Minute }, "Start keytrustee-db on kt01;"},
		{"its data is an older copy", func(s *Status) { s.Standing.Below = "older" }, "Put its newer data back"},
		{"a passive that was replaced meets the pair", func(s *Status) { s.Duty, s.Peer.Duty, s.Peer.Epoch = Passive, Active, s.Epoch.Next() },
			"run ktadmin init-slave --reclone on it, with a token of ktadmin join-token on kt02"},
		{"a passive that was replaced", func(s *Status) { s.Duty, s.Fenced = Passive, &Fence{Reason: EpochConflict, Detail: "older"} },
			"run ktadmin init-slave --reclone on it, with a token of ktadmin join-token on kt02"},
		{"an active whose passive was promoted meets it", func(s *Status) { s.Peer.Epoch = s.Epoch.Next() }, "run ktadmin init-slave --reclone on it"},
		{"an active whose passive was promoted", func(s *Status) { s.Fenced = &Fence{Reason: EpochConflict, Met: &Epoch{4, "x"}} }, "run ktadmin init-slave --reclone on it"},
		{"an active that met its own epoch under another id", func(s *Status) { s.Fenced = &Fence{Reason: EpochConflict, Met: &Epoch{3, "x"}} },
			"Find out which of them is current"},
		{"an active that was fenced by an earlier release", func(s *Status) { s.Fenced = &Fence{Reason: EpochConflict, Detail: "older"} }, "Find out which of them is current"},
	} {
		s := inOrder()
		row.edit(&s)
		got := Decide(s, Policy{}).sentence("kt01", "kt02", time.Time{})
		if !strings.Contains(got, row.want) || strings.Contains(got, "can be read") {
			t.Errorf("%s: %s", row.name, got)
		}
	}
}

// TestOperationsSayWhatTheyNeed: an operation that waits for an operator says so, and not to wait.
func TestOperationsSayWhatTheyNeed(t *testing.T) {
	active := func(s *Status) {}
	passive := func(s *Status) { s.Duty, s.Peer.Duty, s.Local.Role = Passive, Active, Standby }
	down := func(s *Status) { s.Local.Answers = false }
	silent := func(s *Status) { s.HeardAge, s.ReplyAge, s.PeerAge = time.Minute, time.Minute, time.Minute }
	halfDown := func(s *Status) { s.PeerAge = time.Minute } // the peer's database does not answer
	noStream := func(s *Status) { halfDown(s); s.Standbys = nil }
	const wait = "Wait for it to end."
	for _, row := range []struct {
		kind OperationKind
		step string
		duty func(*Status)
		when func(*Status) // nil: all is as it should be
		want string
	}{
		{KindSwitchover, StepClose, active, silent, wait},
		{KindSwitchover, StepStop, active, down, wait},
		{KindSwitchover, StepHand, active, down, wait},
		{KindSwitchover, StepHand, active, silent, "Start keytrustee-db and keytrusteed on kt02. If kt02 is lost for good, switch it off and run ktadmin cluster promote --fenced kt02 on kt01."},
		{KindSwitchover, StepPrepare, passive, down, wait},
		{KindSwitchover, StepLeave, passive, nil, wait},
		{KindSwitchover, StepLeave, passive, silent, wait},
		{KindSwitchover, StepLeave, passive, down, "Start keytrustee-db on kt01;"},
		{KindSwitchover, StepFork, passive, func(s *Status) { s.Age = time.Minute }, "Start keytrustee-db on kt01;"},
		{KindSwitchover, StepTake, passive, down, "Start keytrustee-db on kt01;"},
		{KindSwitchover, StepTake, passive, func(s *Status) { down(s); s.Polled = false }, wait},
		{KindSwitchover, StepFollow, passive, nil, wait},
		{KindSwitchover, StepFollow, passive, down, "Start keytrustee-db on kt01;"},
		{KindSwitchover, StepFollow, passive, halfDown, "Start keytrustee-db on kt02;"},
		{KindSwitchover, StepFollow, passive, silent, "Start keytrustee-db and keytrusteed on kt02. If kt02 is lost for good, switch it off and run ktadmin cluster promote --fenced kt02 on kt01."},
		{KindSwitchover, StepConfirm, active, nil, wait},
		{KindSwitchover, StepConfirm, active, down, "Start keytrustee-db on kt01;"},
		{KindSwitchover, StepConfirm, active, noStream, "Look at keytrustee-db and its log on kt02."},
		{KindSwitchover, StepConfirm, active, func(s *Status) { silent(s); s.Standbys = nil }, "Start keytrustee-db and keytrusteed on kt02, or look at the network"},
		{KindPromotion, StepLeave, passive, nil, wait},
		{KindPromotion, StepFork, passive, down, "Start keytrustee-db on kt01;"},
		{KindRestore, stepCopying, passive, silent, "When ktadmin restore has ended on kt02, start its services; writes open by themselves. If it broke off, repeat it there, or give it up on either host: ktadmin restore --abort"},
		{KindRestore, stepCopying, passive, down, "Start keytrustee-db on kt01;"},
		{KindRestore, StepReturning, active, nil, "Wait for kt02 to take kt01 in;"},
		{KindRestore, StepReturning, active, silent, "Start keytrustee-db and keytrusteed on kt02. Writes open by themselves."},
		{KindRestore, StepReturning, active, halfDown, "Start keytrustee-db on kt02;"},
		{KindRestore, StepReturning, active, down, "Start keytrustee-db on kt01;"},
		{KindHold, "", active, silent, "ktadmin cluster release ends it now."},
	} {
		s := inOrder()
		row.duty(&s)
		if row.when != nil {
			row.when(&s)
		}
		s.Operation = &Operation{Kind: row.kind, Step: row.step}
		d := Decide(s, Policy{})
		if what, do := d.words("kt01", "kt02"); d.Reason != s.Operation.Reason() || !strings.HasPrefix(do, row.want) && !strings.HasSuffix(do, row.want) {
			t.Errorf("%s at %q (%s): %s: %s. %s", row.kind, row.step, s.Duty, d.Reason, what, do)
		}
	}
}

// TestPromotionIsNamed: a promotion is not called a switchover, though its reason is.
func TestPromotionIsNamed(t *testing.T) {
	s := inOrder()
	s.Duty, s.Operation, s.StepTrouble = Passive, &Operation{Kind: KindPromotion, Step: StepFork, By: "root on kt01"}, "the database of kt01 does not run"
	what, _ := Decide(s, Policy{}).words("kt01", "kt02")
	if want := "a promotion is under way (kt01 is being promoted, by root on kt01: step fork; it waits: the database of kt01 does not run)"; what != want {
		t.Errorf("got  %s\nwant %s", what, want)
	}
}

func TestStandbyName(t *testing.T) {
	e := Epoch{12, "abcdef0123456789"}
	for peer, want := range map[string]string{
		"kt02":             "kt_kt02_12_abcd",
		"KT02.example.com": "kt_kt02_example_com_12_abcd",
	} {
		if got := e.StandbyName(peer); got != want {
			t.Errorf("%s: %s, want %s", peer, got, want)
		}
	}
	if long := e.StandbyName(fmt.Sprintf("%0100d", 1)); len(long) != 63 {
		t.Errorf("%s has %d bytes", long, len(long))
	}
}
