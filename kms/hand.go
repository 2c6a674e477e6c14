package kms

// Hand is a success on its way to a client. Exactly one of Told and Returned takes effect, and only the first call; a
// nil Hand takes both and does nothing. Whoever is in doubt calls Told.
type Hand struct{}

// Told says that the client may know: the first byte of its 2xx was passed to the kernel, or nobody can say.
func (h *Hand) Told() {}

// Returned says that the client can not know: it was seen gone before a byte of its 2xx was written.
func (h *Hand) Returned() {}
