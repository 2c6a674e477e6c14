package pairtest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
)

// watch looks for forms in what is written.
type watch struct {
	mu    sync.Mutex
	forms [][]byte
	seen  map[string]bool // by the file
	ends  map[string]end
}

func newWatch() *watch { return &watch{seen: map[string]bool{}, ends: map[string]end{}} }

// end is where the last write to a file has ended, and with what.
type end struct {
	at   int64
	tail []byte
}

// tailLength is longer than any form that is looked for.
const tailLength = 256

func (w *watch) lookFor(secret []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forms = append(w.forms, formsOf(secret)...)
}

// looks reports whether there is anything to look for.
func (w *watch) looks() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.forms) > 0
}

// written looks at a write, together with the end of the one before if it goes on there.
func (w *watch) written(file string, offset int64, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.ends[file]
	if before.at != offset {
		before.tail = nil
	}
	joint := slices.Concat(before.tail, data[:min(len(data), tailLength)])
	for _, form := range w.forms {
		if bytes.Contains(data, form) || bytes.Contains(joint, form) {
			w.seen[file] = true
			break
		}
	}
	tail := data
	if len(data) < tailLength {
		tail = slices.Concat(before.tail, data)
	}
	w.ends[file] = end{offset + int64(len(data)), slices.Clone(tail[max(0, len(tail)-tailLength):])}
}

// files are those in which something was seen.
func (w *watch) files(yield func(string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Keys(w.seen)(yield)
}

// stream is a file that is written, or read, from its beginning on.
type stream struct {
	*watch
	file string
	at   int64
}

func (s *stream) Write(p []byte) (int, error) {
	s.written(s.file, s.at, p)
	s.at += int64(len(p))
	return len(p), nil
}

// formsOf are the texts by which a secret would be known: as it is, in hexadecimal digits, and in both alphabets of base64 wherever in a
// longer text it begins.
func formsOf(secret []byte) [][]byte {
	digits := hex.EncodeToString(secret)
	forms := [][]byte{slices.Clone(secret), []byte(digits), []byte(strings.ToUpper(digits))}
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			text := alphabet.EncodeToString(slices.Concat(make([]byte, before), secret))
			first, last := (before*8+5)/6, (before+len(secret))*8/6 // the characters that hold nothing but the secret
			forms = append(forms, []byte(text[first:last]))
		}
	}
	return forms
}
