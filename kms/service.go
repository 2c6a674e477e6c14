package kms

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Config is what a Service is made of.
type Config struct {
	Store    Store     // required
	Sealer   Sealer    // required
	Policy   Policy    // required
	Recorder Recorder  // required
	Gate     WriteGate // required

	Host          string           // this host's name, for the sentences of refusals
	WriteDeadline time.Duration    // how long a caller waits for the outcome of a write; 0 means 5 s
	CachedKeys    int              // how many opened versions are kept in memory; 0 means 10,000
	Now           func() time.Time // nil means time.Now
	Logger        *slog.Logger     // nil means slog.Default()
}

// Validate returns every fault of c.
func (c Config) Validate() error {
	var faults []error
	missing := func(absent bool, field string) {
		if absent {
			faults = append(faults, errors.New("kms.Config."+field+" is missing"))
		}
	}
	missing(c.Store == nil, "Store")
	missing(c.Sealer == nil, "Sealer")
	missing(c.Policy == nil, "Policy")
	missing(c.Recorder == nil, "Recorder")
	missing(c.Gate == nil, "Gate")
	return errors.Join(faults...)
}

// Service is the one door to the keys. All its methods may be called concurrently.
type Service struct {
	Config
	cache    *cache
	repeats  *repeats
	attempts sync.WaitGroup // the goroutines that make a change
	macKey   [32]byte       // of identities; it dies with the process
}

// New returns a Service; it starts nothing.
func New(c Config) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.WriteDeadline == 0 {
		c.WriteDeadline = 5 * time.Second
	}
	if c.CachedKeys == 0 {
		c.CachedKeys = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Service{Config: c, cache: newCache(c.CachedKeys), repeats: newRepeats(c.Now)}
	rand.Read(s.macKey[:])
	return s, nil
}

// Invalidate drops what the Service remembers of names: which key has one, whether it is deleted, which version is
// current. When it returns, no answer of an earlier reading of the Store will be remembered. The passive calls it before
// it lets a position of the active pass as confirmed. After a write of its own the Service drops what it changed by
// itself, also when the outcome comes late.
func (s *Service) Invalidate() { s.cache.invalidate() }

// Wait returns when every attempt that was begun has its outcome. Close the Store first, or an attempt may wait for ever.
func (s *Service) Wait() { s.attempts.Wait() }
