package audit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// SyslogConfig is what a Syslog needs. Address and Host are required.
type SyslogConfig struct {
	Address string       // host:port of the receiver
	TLS     *tls.Config  // nil: plain TCP
	Host    string       // this one, as the receiver shall know it
	Buffer  int          // how many messages wait for the receiver at most; 0: 8192
	Logger  *slog.Logger // nil: slog.Default()
}

// The paces of a Syslog.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
	tellPace     = 10 * time.Second
	lastLimit    = time.Second // what still waits when Run ends has so long
)

// Syslog sends messages to a receiver, RFC 5424 over TCP or TLS, connects again when that is gone, and never makes anybody
// wait: what does not fit the buffer is lost and counted. A message is kept until the receiver has had a moment to read it, so
// one that was under way when the line broke is sent again; its number tells the receiver which it has twice.
type Syslog struct {
	config  SyslogConfig
	host    string
	process string
	log     *slog.Logger
	queue   chan []byte
	unread  time.Duration // how long a receiver may take to read what its machine has acknowledged; 1 s

	mu     sync.Mutex // guards what follows, for moments
	number uint32     // of the last message
	lost   uint64
	logged uint64    // of them the log has told
	toldAt time.Time // when it did
	told   uint64    // of them the receiver was told
	since  time.Time // when the connection was lost, or never came about
	err    error     // why there is none; nil: there is one
}

// frame is a message that was sent.
type frame struct {
	text []byte
	at   time.Time // when
}

// errNotYet: nobody has tried.
var errNotYet = errors.New("not connected yet")

// NewSyslog returns a Syslog. It connects to nobody: Run does.
func NewSyslog(c SyslogConfig) *Syslog {
	if c.Buffer == 0 {
		c.Buffer = 8192
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Syslog{config: c, host: field(c.Host, 255), process: strconv.Itoa(os.Getpid()), log: c.Logger, queue: make(chan []byte, c.Buffer), unread: time.Second,
		since: time.Now(), err: errNotYet}
}

// send queues m. It waits for nobody.
func (s *Syslog) send(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number = s.number%(1<<31-1) + 1
	select {
	case s.queue <- framed(m.format(s.host, s.process, s.number)):
	default:
		s.lost++
	}
}

// Lost is how many messages were lost since NewSyslog.
func (s *Syslog) Lost() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Trouble returns why nothing reaches the receiver and since when; nil while it is connected.
func (s *Syslog) Trouble() (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.err
}

// Run connects and sends until ctx ends; what waits then is sent if the receiver takes it at once, otherwise it is lost.
func (s *Syslog) Run(ctx context.Context) error {
	var kept []frame // sent, and perhaps not arrived
	pause := firstPause
	for ctx.Err() == nil {
		conn, err := connect(ctx, s.config.Address, s.config.TLS)
		if err != nil {
			s.broken(err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
			continue
		}
		pause = firstPause
		s.connected()
		kept, err = s.pump(ctx, conn, kept)
		conn.Close()
		s.broken(err)
	}
	s.lose(len(kept) + len(s.queue))
	s.tellLost(true)
	return nil
}

// pump sends kept, and then what comes, until the connection breaks or ctx ends. It returns what may not have arrived.
func (s *Syslog) pump(ctx context.Context, conn net.Conn, kept []frame) ([]frame, error) {
	gone := make(chan error, 1)
	go func() { // a receiver says nothing; when it ends the connection, this read ends
		n, err := conn.Read(make([]byte, 1))
		if n > 0 {
			err = errors.New("the receiver answered, which no receiver of syslog does")
		}
		gone <- err
	}()
	for _, f := range kept {
		if err := write(conn, f.text); err != nil {
			return kept, err
		}
	}
	look := time.NewTicker(pace)
	defer look.Stop()
	for {
		queue := s.queue
		if len(kept) >= cap(s.queue) { // no more until the receiver has some
			queue = nil
		}
		select {
		case err := <-gone:
			return kept, fmt.Errorf("the receiver has gone: %w", err)
		case <-ctx.Done():
			return s.last(conn, kept), context.Cause(ctx)
		case text := <-queue:
			kept = append(kept, frame{text, time.Now()})
			if err := write(conn, text); err != nil {
				return kept, err
			}
		case <-look.C:
			kept = s.arrived(conn, kept)
			s.tellLost(false)
		}
	}
}

// arrived returns what of kept may be lost still. A program that dies may not have read what its machine acknowledged, so that
// is kept for a moment, as long as there is room.
func (s *Syslog) arrived(conn net.Conn, kept []frame) []frame {
	if left, err := unacknowledged(conn); err != nil || left > 0 {
		return kept
	}
	n := 0
	for n < len(kept) && (time.Since(kept[n].at) > s.unread || len(kept)-n > cap(s.queue)/2) {
		n++
	}
	return kept[n:]
}

// last sends what waits, for a moment. It returns what has not arrived for certain.
func (s *Syslog) last(conn net.Conn, kept []frame) []frame {
	end := time.Now().Add(lastLimit)
	if err := conn.SetDeadline(end); err != nil {
		return kept
	}
	for {
		select {
		case text := <-s.queue:
			kept = append(kept, frame{text, time.Now()})
			if _, err := conn.Write(text); err != nil {
				return kept
			}
			continue
		default:
		}
		if left, err := unacknowledged(conn); err == nil && left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return kept
		}
		time.Sleep(pace / 10)
	}
}

func (s *Syslog) lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += uint64(n)
}

// broken notes that there is no connection, and logs it once for each reason.
func (s *Syslog) broken(err error) {
	s.mu.Lock()
	was := s.err
	if was == nil {
		s.since = time.Now()
	}
	s.err = err
	s.mu.Unlock()
	if !errors.Is(err, context.Canceled) && (was == nil || was.Error() != err.Error()) {
		s.log.Warn("the receiver of syslog does not take the audit log", "address", s.config.Address, "error", err)
	}
	s.tellLost(false)
}

func (s *Syslog) connected() {
	s.mu.Lock()
	s.since, s.err = time.Now(), nil
	s.mu.Unlock()
	s.log.Info("the receiver of syslog takes the audit log", "address", s.config.Address)
}

// tellLost logs how many messages were lost since it last did, and tells the receiver once there is one with room.
func (s *Syslog) tellLost(always bool) {
	s.mu.Lock()
	now, reachable := time.Now(), s.err == nil && len(s.queue) < cap(s.queue)
	var log, tell uint64
	if always || now.Sub(s.toldAt) >= tellPace {
		log = s.lost - s.logged
		s.logged = s.lost
	}
	if reachable {
		tell = s.lost - s.told
		s.told = s.lost
	}
	if log > 0 {
		s.toldAt = now
	}
	s.mu.Unlock()
	if log > 0 {
		s.log.Warn("messages for syslog are lost", "messages", log, "address", s.config.Address)
	}
	if tell > 0 {
		n := Notice{At: now, Kind: "syslog", Fields: []Field{{"lost", strconv.FormatUint(tell, 10)}}, Grave: true,
			Text: "these messages never left this host; they are in its audit log"}
		s.send(message{at: n.At, severity: n.severity(), id: n.Kind, text: n.text()})
	}
}
