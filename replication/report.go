package replication

import (
	"cmp"
	"time"
)

func (m *Monitor) answers(s Status) bool { return s.Polled && s.HeardAge <= m.policy.AnswerLimit }

// PeerAnswers reports whether the peer's daemon was heard less than two seconds ago.
func (m *Monitor) PeerAnswers() bool { return m.answers(m.statusOf(m.state.Current(), m.uptime())) }

// Report is this host's view of the pair at one instant.
type Report struct {
	Status
	Decision
	Since       time.Time   `json:"since"`  // when Reason began; for an open gate, when it opened
	Turned      time.Time   `json:"turned"` // when the gate was last opened or shut, or this process started; reasons may have followed each other since
	Sentence    string      `json:"sentence,omitempty"`
	PeerAnswers bool        `json:"peer_answers"`
	PeerHeard   time.Time   `json:"peer_heard"`            // zero: never since this process started
	ActiveGate  *GateReport `json:"active_gate,omitempty"` // passive: as the active last said
	Waiting     int         `json:"waiting"`               // writes that wait for the peer
	Reads       Reads       `json:"reads"`
	What        string      `json:"what,omitempty"` // Reason and Detail in words
	Do          string      `json:"do,omitempty"`   // what to do about it

	Beside *Beside `json:"beside,omitempty"`
}

// Beside is what a host says of itself that its Monitor does not know. Whoever hands a Report on fills it in.
type Beside struct {
	Release      string               `json:"release"`                        // of Keytrustee
	Certificates map[string]time.Time `json:"certificates,omitempty"`         // when each expires: public, cluster, authority
	Begins       map[string]time.Time `json:"certificates_begin,omitempty"`   // when each begins to be good
	Foreign      []string             `json:"foreign_certificates,omitempty"` // of these, those that another authority has signed
	Recovery     string               `json:"recovery"`                       // the recovery key: missing, unconfirmed, confirmed
	AuditTrouble string               `json:"audit_trouble,omitempty"`
	AuditLost    uint64               `json:"audit_lost"` // lines of reads and notices, since the daemon started
	// Syslog is empty without a receiver, "connected", or why it does not take the audit log.
	Syslog      string `json:"syslog,omitempty"`
	SyslogLost  uint64 `json:"syslog_lost"`
	Unconfirmed *int   `json:"unconfirmed,omitempty"` // active: changes in its database that are not shown; nil: not known

	Backups *Backups `json:"backups,omitempty"` // nil: not known yet
}

// Backups is how it stands with the backups of a host, by its own word. Moments are when a backup was begun.
type Backups struct {
	Directory  string    `json:"directory"`
	Recipients int       `json:"recipients"`                   // who can read them; 0: none is made
	Expires    time.Time `json:"recipients_expire,omitzero"`   // when the first of them does, so that none is made; zero: never
	Expiring   string    `json:"recipient_expiring,omitempty"` // which it is
	Schedule   string    `json:"schedule"`                     // a cron expression, in UTC; off
	Trouble    string    `json:"trouble,omitempty"`            // what is wrong with the settings or with the directory
	Newest     time.Time `json:"newest,omitzero"`              // the newest verified one of this host; zero: there is none
	Name       string    `json:"name,omitempty"`               // of that one
	Tried      time.Time `json:"tried,omitzero"`               // the last attempt of this host
	Ended      time.Time `json:"ended,omitzero"`               // when that ended; zero: it has not, or was killed
	Failure    string    `json:"failure,omitempty"`            // why there is no backup of that
	Remedy     string    `json:"remedy,omitempty"`

	Targets       []BackupTarget `json:"targets,omitempty"`        // where copies go, in the order of the settings
	TargetTrouble string         `json:"target_trouble,omitempty"` // what is wrong with the settings of targets

	// What only a daemon knows.
	Other   time.Time `json:"other_newest,omitzero"` // the newest of the other host, as that last said
	Mine    bool      `json:"mine"`                  // this host makes the next one
	Part    string    `json:"part,omitempty"`        // who does, and why
	Due     time.Time `json:"due,omitzero"`          // when one is wanted next; zero: never
	Running bool      `json:"running"`               // one is being made on this host
	Late    time.Time `json:"late,omitzero"`         // from when on the newest of both hosts is too old; zero: there is none

	OtherTargets []BackupTarget `json:"other_targets,omitempty"` // what each target of the other host has, as that last said
}

// BackupTarget is one place where copies of the backups of a host go.
type BackupTarget struct {
	Target string    `json:"target"`          // as in the settings, without a password: there is none
	Newest time.Time `json:"newest,omitzero"` // the newest backup of that host that it has confirmed; zero: there is none
	Late   time.Time `json:"late,omitzero"`   // from when on that is too old
}

// SyslogConnected is Beside.Syslog while the receiver takes the audit log.
const SyslogConnected = "connected"

// Reads says what this host answers of keys.
type Reads struct {
	Served   Extent `json:"served"`
	Reason   Reason `json:"reason,omitempty"`
	Sentence string `json:"sentence,omitempty"` // why not everything
}

// Extent is how much is read at a host.
type Extent string

// Known: keys that are known to be on both hosts, but neither lists nor "no such key".
const (
	Everything Extent = "everything"
	Known      Extent = "known"
	Nothing    Extent = "nothing"
)

// Shut makes the report tell of what the gate does not know and refuses every write all the same. What keeps the gate itself
// shut comes first.
func (r *Report) Shut(reason Reason, detail string, since time.Time) {
	if !r.Open {
		return
	}
	r.Decision, r.Since, r.Turned = Decision{Reason: reason, Detail: detail}, since, since
	r.Sentence = r.Decision.sentence(r.Self, r.PeerName, since)
	r.What, r.Do = r.Decision.words(r.Self, r.PeerName)
}

func (m *Monitor) reads() Reads {
	all, some, why := m.view()
	switch {
	case why == nil:
		return Reads{Served: Everything}
	case all || some:
		return Reads{Known, why.Reason, why.Sentence}
	}
	return Reads{Nothing, why.Reason, why.Sentence}
}

// Report looks at the clock and tells what holds now.
func (m *Monitor) Report() Report {
	state, now := m.state.Current(), m.uptime()
	s := m.statusOf(state, now)
	if d := Decide(s, m.policy); d.Fence || s.Duty == Active && !d.Open && m.gate.Closed() == nil {
		m.evaluate() // who reads here that the gate is shut, or the host fenced, will find it so
	}
	r := Report{Status: s, Decision: Decide(s, m.policy), PeerAnswers: m.answers(s), Waiting: m.horizon.Waiting(), Reads: m.reads()}
	m.mu.Lock()
	r.Since, r.Turned = m.facts.since(r.Decision, m.now()), m.facts.turned
	r.ActiveGate = copied(m.facts.reported)
	m.mu.Unlock()
	r.Detail = expand(r.Detail, s.Self, s.PeerName)
	if s.HeardAge != Never {
		r.PeerHeard = m.now().Add(-s.HeardAge)
	}
	if !r.Open && r.Reason != "" {
		r.Sentence = m.closed(state, r.Decision, r.Since, r.PeerAnswers).Sentence
		r.What, r.Do = r.Decision.words(s.Self, s.PeerName)
	}
	if c := m.gate.Closed(); r.Open && c != nil { // all is seen that opens it, and it has not been opened yet
		r.Decision, r.Since, r.Sentence = Decision{Reason: c.Reason}, c.Since, c.Sentence
		r.What, r.Do = r.Decision.words(s.Self, s.PeerName)
	}
	return r
}

// Closed looks at the clock and returns why this host takes no write now; nil while its gate is open. A passive in order says Starting: it
// takes none, and the active does.
func (m *Monitor) Closed() *ClosedError {
	s := m.statusOf(m.state.Current(), m.uptime())
	said := m.gate.Closed()
	if d := Decide(s, m.policy); said != nil && !d.Open && said.Reason != cmp.Or(d.Reason, Starting) {
		m.evaluate() // as the next tick would
		said = m.gate.Closed()
	}
	return said
}

// view is what a reader may be told now, in this very start of PostgreSQL.
func (m *Monitor) view() (all, some bool, why *ClosedError) {
	state, now, start := m.state.Current(), m.uptime(), m.start()
	s := m.statusOf(state, now)
	no := func(d Decision) *ClosedError {
		c := m.closed(state, d, time.Time{}, m.answers(s))
		c.Sentence = d.readSentence(s.Self, s.PeerName)
		return c
	}
	if state.Duty != m.duty {
		return false, false, no(newDuty(state))
	}
	for _, rule := range []rule{fenced, conflict, localServer} {
		if d := rule(s, m.policy); d.Reason != "" {
			return false, false, no(d)
		}
	}
	if s.Duty == Active && !s.Polled { // the peer may be about to say that it has gone on without this host
		return false, false, no(shut(Starting, ""))
	}
	if d := returning(s, m.policy); d.Reason != "" {
		return false, false, no(d)
	}
	if start == "" || s.Standing.Start != start || s.Local.Start != start {
		return false, false, no(shut(Starting, "the database of {self} has just been started"))
	}
	if s.Duty == Passive {
		if d := notReady(s, m.policy); d.Reason != "" {
			return false, false, no(d)
		}
		if state.LastConfirmed == 0 {
			return false, false, no(shut(Joining, "{peer} has not confirmed yet that {self} has all that was acknowledged").better(wholeSoon))
		}
		return true, false, nil
	}
	compared := state.comparedIn(start)
	alone := state.Peer == nil && state.Pending == nil && state.Confirmed.Position == 0 // nothing was ever acknowledged
	if !compared && !alone {
		d := comparison(s, m.policy)
		if d.Reason == "" {
			d = shut(Starting, "the data of {self} has not been compared with that of {peer} since its database started").
				better("That needs {peer}: if it is down, start keytrustee-db and keytrusteed there.")
			if state.Peer == nil {
				d = shut(Starting, "the database of {self} was started while it has no passive that its data could be compared with").
					better(joinOne)
			}
		}
		return false, true, no(d)
	}
	return false, true, nil
}
