package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
)

// encodeBase64 is how the protocol spells bytes.
func encodeBase64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// answer sends a success. A client that is seen to be gone gets nothing, and the success goes to the next delivery of the
// same write; from its first byte on the client counts as told.
func (x *exchange) answer(res result) {
	status := res.status
	if status == 0 {
		status = http.StatusOK
	}
	var body []byte
	contentType := "text/plain;charset=utf-8" // of nothing, as Hadoop's server says
	if res.body != nil {
		body, contentType = encodeJSON(res.body), "application/json"
	}
	if x.r.Context().Err() != nil {
		res.hand.Returned()
		panic(http.ErrAbortHandler)
	}
	if res.location != "" {
		x.w.Header().Set("Location", res.location)
	}
	if x.forwarded && res.hand != nil {
		x.w.Header().Set(handoverHeader, strconv.FormatUint(x.handed.give(res.hand), 10))
	} else {
		res.hand.Told()
	}
	x.write(status, contentType, body)
}

// write passes an answer on; nothing can be done if the client does not take it.
func (x *exchange) write(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if x.forwarded {
		h.Set(answeredHeader, x.Host)
	}
	x.w.WriteHeader(status)
	x.w.Write(body)
}

// fingerprint answers the original's way to ask a server who it is.
func (x *exchange) fingerprint() {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.w.Header().Set("Allow", "GET, HEAD")
		x.refuse(errNoMethod)
		return
	}
	x.write(http.StatusOK, "text/plain", []byte(x.Fingerprint+"\n"))
}

// encodeJSON encodes what this package itself made.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("an answer has no JSON: " + err.Error())
	}
	return b.Bytes()
}
