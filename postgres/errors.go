package postgres

// SetupError says in a sentence why this host, as it is, can not do what was asked; Hint says what to do about it.
// Nothing was changed.
type SetupError struct {
	Problem string
	Remedy  string
	Err     error // the cause, if there is one beneath
}

func (e *SetupError) Error() string {
	if e.Err != nil {
		return e.Problem + ": " + e.Err.Error()
	}
	return e.Problem
}

func (e *SetupError) Unwrap() error { return e.Err }

// Hint is what the operator can do.
func (e *SetupError) Hint() string { return e.Remedy }
