package machine

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// nobody has no host, so that a name server there does not answer.
const nobody = "192.0.2.53"

// names are the files that tell a host what a name means, and what they say after ForgetNames. They are written in place: what runs on the
// host sees it.
var names = map[string]string{
	"/etc/hosts":       "127.0.0.1 localhost\n",
	"/etc/resolv.conf": "nameserver " + nobody + "\n",
}

// ForgetNames lets the host find no other one by its name.
func (h *Host) ForgetNames(t testing.TB) {
	t.Helper()
	for file, text := range names {
		known, err := os.ReadFile(h.File(file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if string(known) == text {
			continue // forgotten already
		}
		put(t, h.File(file+".known"), known)
		put(t, h.File(file), []byte(text))
	}
}

// RememberNames ends ForgetNames.
func (h *Host) RememberNames(t testing.TB) {
	t.Helper()
	for file := range names {
		known, err := os.ReadFile(h.File(file + ".known"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // not forgotten
		} else if err != nil {
			t.Fatal(err)
		}
		put(t, h.File(file), known)
	}
}

func put(t testing.TB, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
