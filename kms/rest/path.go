package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"keytrustee/kms"
)

// resolve splits the escaped path at its slashes and decodes each segment by itself, so that a name may contain an escaped
// slash; parameters after a semicolon are dropped; nothing is cleaned. A name is greedy: it takes every slash up to a
// suffix that the protocol knows, literally and in lower case, after which one more slash is ignored.
func (s *Server) resolve(path string) (resource, string, error) {
	if path == "/" {
		return root, "", nil
	}
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	if len(segments) < len(s.prefix) || !slices.Equal(segments[:len(s.prefix)], s.prefix) {
		return elsewhere, "", nil
	}
	segments = segments[len(s.prefix):]
	if len(segments) == 0 {
		return base, "", nil
	}
	switch head, tail := segments[0], segments[1:]; {
	case head == "keys":
		if len(tail) > 0 && tail[len(tail)-1] == "" {
			tail = tail[:len(tail)-1]
		}
		if r, ok := known[strings.Join(append([]string{head}, tail...), "/")]; ok {
			return r, "", nil
		}
	case head == "key" && len(tail) > 0:
		return named(key, "name", tail)
	case head == "keyversion" && len(tail) > 0:
		return named(keyVersion, "versionName", tail)
	case head == "trustee" && len(tail) > 1 && tail[0] == "key":
		return named(trusteeKey, "name", tail[1:])
	}
	return base, "", nil
}

// named finds the suffix behind a name, and decodes the name.
func named(plain resource, field string, tail []string) (resource, string, error) {
	found := plain
	for _, end := range []int{len(tail), len(tail) - 1} { // the second try leaves out one trailing slash
		if end < 2 || end < len(tail) && tail[end] != "" {
			continue
		}
		if r, ok := known[string(plain)+"/"+tail[end-1]]; ok {
			found, tail = r, tail[:end-1]
			break
		}
	}
	decoded := make([]string, len(tail))
	for i, segment := range tail {
		var err error
		if decoded[i], err = url.PathUnescape(segment); err != nil {
			return found, "", &kms.InvalidError{Field: "path", Reason: "has a bad escape: " + err.Error()}
		}
	}
	name := strings.Clone(strings.Join(decoded, "/")) // caches keep it, and not the whole target of a request
	return found, name, checkText(field, name)
}

// checkText refuses what no database could be asked for.
func checkText(field, s string) error {
	switch {
	case s == "":
		return parameter(field, "cannot be empty")
	case !utf8.ValidString(s):
		return parameter(field, "is not valid UTF-8")
	case strings.ContainsRune(s, 0):
		return parameter(field, "contains a NUL byte")
	}
	return nil
}

// escapedPath is the path as the client sent it. r.URL has lost which slashes were escaped as soon as some other byte
// was not.
func escapedPath(r *http.Request) string {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	if !strings.HasPrefix(target, "/") {
		_, afterScheme, ok := strings.Cut(target, "://")
		if !ok {
			return target
		}
		slash := strings.IndexByte(afterScheme, '/')
		if slash < 0 {
			return "/"
		}
		target = afterScheme[slash:]
	}
	if end := strings.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	return target
}

// targetOf is the path and the query of r as a URL that is sent on as it came, but for bytes that a URL can not hold.
func targetOf(r *http.Request) *url.URL {
	const plain = "-_.~!$&'()*+,;=:@%/"
	var path strings.Builder
	for _, c := range []byte(escapedPath(r)) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(plain, c) >= 0 {
			path.WriteByte(c)
		} else {
			fmt.Fprintf(&path, "%%%02X", c)
		}
	}
	decoded, err := url.PathUnescape(path.String())
	if err != nil {
		decoded = path.String() // net/http has refused it before
	}
	return &url.URL{Path: decoded, RawPath: path.String(), RawQuery: r.URL.RawQuery}
}
