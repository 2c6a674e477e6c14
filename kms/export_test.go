package kms

// Table is the table of attempts, for a test that looks for key material in it.
func (s *Service) Table() any { return s.repeats }

// Attempts returns how many attempts the table holds, and how many deliveries wait.
func (s *Service) Attempts() (attempts, waiting int) {
	s.repeats.mu.Lock()
	defer s.repeats.mu.Unlock()
	return len(s.repeats.attempts), s.repeats.waitTotal
}

// Opened returns how many opened versions are in memory.
func (s *Service) Opened() int {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return len(s.cache.opened)
}
