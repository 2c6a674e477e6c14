package pairtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"keytrustee/replication/pairtest"
)

// reading is a request that shows something of a key.
type reading struct {
	path  string
	query url.Values
}

func readings(name string) []reading {
	key := "/kms/v1/key/" + name
	return []reading{
		{"/kms/v1/keys/names", nil},
		{"/kms/v1/keys/metadata", url.Values{"key": {name}}},
		{key, nil},
		{key + "/_metadata", nil},
		{key + "/_currentversion", nil},
		{key + "/_versions", nil},
		{key + "/_eek", url.Values{"eek_op": {"generate"}}},
		{"/kms/v1/keyversion/" + name + "@0", nil},
		{"/kms/v1/keyversion/" + name + "@1", nil},
	}
}

// shows returns the requests for the key that the host answers with text in it.
func shows(t *testing.T, n *pairtest.Node, name, text string) (paths []string) {
	t.Helper()
	for _, r := range readings(name) {
		a := n.Do(t, http.MethodGet, r.path, r.query, nil)
		if a.Status == http.StatusOK && strings.Contains(string(a.Body), text) {
			paths = append(paths, r.path)
		}
	}
	return paths
}

// hidden checks that no read of the host shows the text.
func hidden(t *testing.T, n *pairtest.Node, name, text string) {
	t.Helper()
	if paths := shows(t, n, name, text); len(paths) > 0 {
		t.Errorf("%s shows %s, which was never acknowledged: %q", n.Name, text, paths)
	}
}

type eek struct {
	VersionName string   `json:"versionName"`
	IV          string   `json:"iv"`
	Encrypted   material `json:"encryptedKeyVersion"`
}

type material struct {
	VersionName string `json:"versionName"`
	Name        string `json:"name"`
	Material    string `json:"material"`
}

// everyRead checks that the host serves whatever can be read of a key that has one version, and opens what any host has encrypted. It returns
// an encrypted key of the host's own.
func everyRead(t *testing.T, n *pairtest.Node, name string, foreign *eek) *eek {
	t.Helper()
	want := len(readings(name)) - 1 // it has no version 1
	if paths := shows(t, n, name, name); len(paths) != want || slices.Contains(paths, "/kms/v1/keyversion/"+name+"@1") {
		t.Errorf("%s serves of %s only %q", n.Name, name, paths)
	}
	var made []*eek
	read(t, n, http.MethodGet, "/kms/v1/key/"+name+"/_eek", url.Values{"eek_op": {"generate"}}, nil, &made)
	if len(made) != 1 {
		t.Fatalf("%s makes %d encrypted keys", n.Name, len(made))
	}
	if foreign == nil {
		foreign = made[0]
	}
	key := plain(t, n, name, foreign)
	var again *eek
	read(t, n, http.MethodPost, "/kms/v1/keyversion/"+foreign.VersionName+"/_eek", url.Values{"eek_op": {"reencrypt"}}, foreign.body(name), &again)
	var all []*eek
	read(t, n, http.MethodPost, "/kms/v1/key/"+name+"/_reencryptbatch", nil, []*eek{foreign, made[0]}, &all)
	if len(all) != 2 || plain(t, n, name, again) != key || plain(t, n, name, all[0]) != key || plain(t, n, name, all[1]) != plain(t, n, name, made[0]) {
		t.Errorf("%s does not re-encrypt", n.Name)
	}
	if a := n.Do(t, http.MethodOptions, "/kms/v1/", nil, nil); a.Status != http.StatusOK || !strings.Contains(a.Header.Get("Set-Cookie"), "hadoop.auth=") {
		t.Errorf("%s lets nobody log in: %v", n.Name, a)
	}
	return made[0]
}

func plain(t *testing.T, n *pairtest.Node, name string, e *eek) string {
	t.Helper()
	var key material
	read(t, n, http.MethodPost, "/kms/v1/keyversion/"+e.VersionName+"/_eek", url.Values{"eek_op": {"decrypt"}}, e.body(name), &key)
	if key.VersionName != "EK" || key.Material == "" {
		t.Fatalf("%s decrypts to %q without a key", n.Name, key.VersionName)
	}
	return key.Material
}

func (e *eek) body(name string) map[string]string {
	return map[string]string{"name": name, "iv": e.IV, "material": e.Encrypted.Material}
}

func read(t *testing.T, n *pairtest.Node, method, path string, query url.Values, body, value any) {
	t.Helper()
	a := n.Do(t, method, path, query, body)
	if a.Status != http.StatusOK {
		t.Fatalf("%s %s at the %s: %v", method, path, n.Name, a)
	}
	if err := json.Unmarshal(a.Body, value); err != nil {
		t.Fatalf("%s %s at the %s: %v", method, path, n.Name, err)
	}
}
