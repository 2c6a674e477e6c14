package auth

// Error says that nobody was proven. It is no kms error: what is not proven never reaches the Service.
type Error struct {
	Sentence string
	again    bool
}

func (e *Error) Error() string { return e.Sentence }

// LoginAgain reports whether the client is asked to log in (401). Otherwise it showed something that proves nothing, such
// as a bad delegation token, and a login would not help (403).
func (e *Error) LoginAgain() bool { return e.again }

func loginAgain(sentence string) error { return &Error{Sentence: sentence, again: true} }
