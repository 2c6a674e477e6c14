package rest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"keytrustee/kms"
)

// readBody reads the whole body, so that net/http notices from here on when the client goes away.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, &bodyError{err}
	}
	return body, nil
}

// inTime gives each client d to send its body, whoever reads it: h, or net/http, which after the answer reads what h has
// left. No deadline is left once the body is there, since one that passes later would look like a client that went away.
func inTime(h http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if control := http.NewResponseController(w); r.Body != http.NoBody && control.SetReadDeadline(time.Now().Add(d)) == nil {
			r.Body = &timedBody{r.Body, control}
		}
		h.ServeHTTP(w, r)
	})
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// parameter is the InvalidError of a member or a query parameter, with the words of Hadoop's server.
func parameter(name, reason string) error {
	return &kms.InvalidError{Field: "Parameter '" + name + "'", Reason: reason}
}

// isJSON reports whether the body's type is application/json, in any case, with any parameters.
func (x *exchange) isJSON() bool { return x.mediaType() == "application/json" }

func (x *exchange) mediaType() string {
	essence, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(essence))
}

// decodeJSON reads the first JSON value of the body into v and ignores what follows it.
func (x *exchange) decodeJSON(v any) error {
	if !x.isJSON() {
		return &kms.InvalidError{Field: "Content-Type", Reason: "must be application/json"}
	}
	text, err := toUTF8(x.body)
	if err != nil {
		return err
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(v); err != nil {
		return &kms.InvalidError{Field: "body", Reason: "is not the JSON that is expected here: " + jsonFault(err)}
	}
	return nil
}

// jsonFault says what is wrong with a body without the words of Go.
func jsonFault(err error) string {
	switch e := err.(type) {
	case *json.SyntaxError:
		return "bad syntax near byte " + strconv.FormatInt(e.Offset, 10)
	case *json.UnmarshalTypeError:
		return "it holds a " + e.Value
	}
	return "it ends too early"
}

// toUTF8 returns text without a byte order mark, in UTF-8. JSON begins with two ASCII characters or is one alone, so the
// zero bytes tell UTF-16.
func toUTF8(text []byte) ([]byte, error) {
	if text, ok := bytes.CutPrefix(text, []byte("\xef\xbb\xbf")); ok {
		return toUTF8(text)
	}
	if len(text) >= 2 && len(text)%2 == 0 {
		switch a, b := text[0], text[1]; {
		case a == 0xfe && b == 0xff:
			return fromUTF16(text[2:], 0), nil
		case a == 0xff && b == 0xfe:
			return fromUTF16(text[2:], 1), nil
		case a == 0 && b != 0:
			return fromUTF16(text, 0), nil
		case a != 0 && b == 0:
			return fromUTF16(text, 1), nil
		}
	}
	if !utf8.Valid(text) {
		return nil, &kms.InvalidError{Field: "body", Reason: "is not valid UTF-8"}
	}
	return text, nil
}

// fromUTF16 decodes text whose low byte is at offset low^1 of each pair.
func fromUTF16(text []byte, low int) []byte {
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = uint16(text[2*i+low])<<8 | uint16(text[2*i+1-low])
	}
	return []byte(string(utf16.Decode(units)))
}

// canonical is a decoded body in a form that is equal for bodies that mean the same.
func canonical(parts ...any) []byte {
	text, err := json.Marshal(parts)
	if err != nil {
		panic("a decoded body has no JSON: " + err.Error()) // strings, numbers and maps of strings: can not happen
	}
	return text
}

// first returns the first value of a query parameter, and whether there is one.
func (x *exchange) first(name string) (string, bool) {
	values, ok := x.query[name]
	if !ok {
		return "", false
	}
	return values[0], true
}

// oneOf returns a query parameter that must have one of the values.
func (x *exchange) oneOf(name string, values ...string) (string, error) {
	got, ok := x.first(name)
	if !ok {
		return "", parameter(name, "cannot be null")
	}
	if !slices.Contains(values, got) {
		return "", parameter(name, "must be "+strings.Join(values, " or "))
	}
	return got, nil
}
