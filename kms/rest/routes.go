package rest

import (
	"net/http"
	"slices"
	"strings"

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
