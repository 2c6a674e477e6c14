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

// route is one row of the table: what a method does to a resource.
type route struct {
	method   string
	resource resource
	kind     kms.ChangeKind // of a write; empty for all else
	handle   func(*exchange) (result, error)
}

// routes is every request of the protocol. HEAD is a GET whose body is not sent; OPTIONS is a login everywhere.
var routes = []route{
	{"POST", keys, kms.Created, (*exchange).createKey},
	{"POST", key, kms.Rolled, (*exchange).rollNewVersion},
	{"DELETE", key, kms.Deleted, (*exchange).deleteKey},
	{"POST", trusteeKey, trusteeOp, (*exchange).trustee},
	{"POST", invalidateCache, "", (*exchange).invalidateCache},

	{"GET", keyNames, "", (*exchange).keyNames},
	{"GET", keysMetadata, "", (*exchange).keysMetadata},
	{"GET", key, "", (*exchange).metadata},
	{"GET", metadata, "", (*exchange).metadata},
	{"GET", currentVersion, "", (*exchange).currentKey},
	{"GET", keyVersions, "", (*exchange).keyVersions},
	{"GET", keyVersion, "", (*exchange).keyVersion},

	{"GET", keyEEK, "", (*exchange).generateEEK},
	{"POST", versionEEK, "", (*exchange).decryptOrReencryptEEK},
	{"POST", reencryptBatch, "", (*exchange).reencryptEEKs},
}

// trusteeOp stands for the kind of a write that its parameter trusteeOp names.
const trusteeOp kms.ChangeKind = "trusteeOp"

// resource is a path of the protocol without its variable part.
type resource string

const (
	root            resource = "/"
	base            resource = "/v1/" // and all below it that is nothing else
	elsewhere       resource = ""
	keys            resource = "keys"
	keyNames        resource = "keys/names"
	keysMetadata    resource = "keys/metadata"
	key             resource = "key/{name}"
	metadata        resource = "key/{name}/_metadata"
	currentVersion  resource = "key/{name}/_currentversion"
	keyVersions     resource = "key/{name}/_versions"
	keyEEK          resource = "key/{name}/_eek"
	reencryptBatch  resource = "key/{name}/_reencryptbatch"
	invalidateCache resource = "key/{name}/_invalidatecache"
	keyVersion      resource = "keyversion/{versionName}"
	versionEEK      resource = "keyversion/{versionName}/_eek"
	trusteeKey      resource = "trustee/key/{name}"
)

// known tells the paths that end in a suffix of the protocol from names that contain slashes.
var known = map[string]resource{}

func init() {
	for _, r := range routes {
		known[string(r.resource)] = r.resource
	}
}

func prefixOf(contextPath string) []string {
	return append(strings.Split(strings.Trim(contextPath, "/"), "/"), "v1")
}

// find returns the row for the method and the escaped path, the path's resource, and its variable part decoded.
func (s *Server) find(method, path string) (row *route, found resource, name string, err error) {
	found, name, err = s.resolve(path)
	if err != nil {
		return nil, found, "", err
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		if routes[i].method == method && routes[i].resource == found {
			return &routes[i], found, name, nil
		}
	}
	return nil, found, name, nil
}

// allowed lists the methods of a resource.
func allowed(found resource) string {
	methods := []string{http.MethodOptions}
	for _, r := range routes {
		if r.resource == found {
			methods = append(methods, r.method)
		}
	}
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	return strings.Join(methods, ", ")
}

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
	name := strings.Join(decoded, "/")
	return found, name, checkText(field, name)
}

// checkText refuses what no database could be asked for.
func checkText(field, s string) error {
	bad := func(reason string) error {
		return &kms.InvalidError{Field: "Parameter '" + field + "'", Reason: reason}
	}
	switch {
	case s == "":
		return bad("cannot be empty")
	case !utf8.ValidString(s):
		return bad("is not valid UTF-8")
	case strings.ContainsRune(s, 0):
		return bad("contains a NUL byte")
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
