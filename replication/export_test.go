package replication

// SetFailpoint makes f be asked at each point at which an operation may be interrupted; an error ends the step there. It is
// set before Run.
func (m *Monitor) SetFailpoint(f func(point string) error) { m.failpoint = f }
