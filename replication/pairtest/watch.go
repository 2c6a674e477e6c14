package pairtest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
)

// watch looks for forms in what is written.
type watch struct {
	mu    sync.Mutex
	forms map[uint64][]form          // by how they begin
	begin [1 << 16]bool              // some form begins so
	seen  map[string]map[string]bool // by the secret, then by the file
	ends  map[string]end
}

func newWatch() *watch {
	return &watch{forms: map[uint64][]form{}, seen: map[string]map[string]bool{}, ends: map[string]end{}}
}

// headLength is how much of a form is looked up; none is shorter.
const headLength = 8

// form is a text by which a secret is known.
type form struct {
	secret string
	text   []byte
}

// end is where the last write to a file has ended, and with what.
type end struct {
	at   int64
	tail []byte
}

// tailLength is longer than any form that is looked for.
const tailLength = 256

// lookFor looks for a secret from now on, whatever was seen of it before.
func (w *watch) lookFor(secret []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.seen[string(secret)]
	w.seen[string(secret)] = map[string]bool{}
	if known {
		return
	}
	for _, text := range formsOf(secret) {
		head := binary.LittleEndian.Uint64(text)
		w.begin[uint16(head)] = true
		w.forms[head] = append(w.forms[head], form{string(secret), text})
	}
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
	w.look(file, data)
	w.look(file, joint)
	tail := data
	if len(data) < tailLength {
		tail = slices.Concat(before.tail, data)
	}
	w.ends[file] = end{offset + int64(len(data)), slices.Clone(tail[max(0, len(tail)-tailLength):])}
}

func (w *watch) look(file string, data []byte) {
	for i := 0; i+headLength <= len(data); i++ {
		head := binary.LittleEndian.Uint64(data[i:])
		if !w.begin[uint16(head)] {
			continue
		}
		for _, f := range w.forms[head] {
			if bytes.HasPrefix(data[i:], f.text) {
				w.seen[f.secret][file] = true
			}
		}
	}
}

// files are those in which one of the secrets was seen.
func (w *watch) files(secrets ...[]byte) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]bool{}
	for _, secret := range secrets {
		maps.Copy(all, w.seen[string(secret)])
	}
	return slices.Sorted(maps.Keys(all))
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
