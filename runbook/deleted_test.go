package runbook_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"keytrustee/replication/pairtest"
)

const (
	ca   = "curl --fail-with-body --cacert /var/lib/keytrustee/.keytrustee/ca.pem "
	kms  = `"https://ADDRESS:11371/kms/v1/`
	user = `user.name=USER"`
)

// keyDeleted: a key of two versions is deleted, and comes back by the page's request to either host, with what was encrypted with it.
func keyDeleted(t *testing.T, n *night, page *pairtest.Page) {
	const undelete = ca + `-X POST -H "X-Keytrustee-Request-Id: $(cat /proc/sys/kernel/random/uuid)" ` + kms + "trustee/key/KEY?trusteeOp=undelete&" + user
	for _, at := range n.Nodes {
		name, first := n.Active.MustCreate(t)
		path := "/kms/v1/key/" + name
		must := func(a pairtest.Answer) []byte {
			t.Helper()
			if a.Status != http.StatusOK {
				t.Fatal(a)
			}
			return a.Body
		}
		must(at.Do(t, http.MethodPost, path, nil, map[string]any{}))
		_, second := at.Version(t, name, 1)
		var keys []map[string]any
		if err := json.Unmarshal(must(at.Do(t, http.MethodGet, path+"/_eek", url.Values{"eek_op": {"generate"}, "num_keys": {"1"}}, nil)), &keys); err != nil {
			t.Fatal(err)
		}
		open := func() pairtest.Answer {
			eek := keys[0]["encryptedKeyVersion"].(map[string]any)
			return at.Do(t, http.MethodPost, "/kms/v1/keyversion/"+name+"@1/_eek", url.Values{"eek_op": {"decrypt"}},
				map[string]any{"name": name, "iv": keys[0]["iv"], "material": eek["material"]})
		}
		must(open())
		must(at.Do(t, http.MethodDelete, path, nil, nil))
		for _, from := range n.Nodes {
			if _, material := from.Version(t, name, 0); material != "" {
				t.Errorf("%s serves a deleted key", from.Name)
			}
		}
		if a := open(); a.Status == http.StatusOK {
			t.Errorf("what was encrypted with a deleted key: %v", a)
		}
		if a := n.Active.Do(t, http.MethodPost, "/kms/v1/trustee/key/"+name, url.Values{"trusteeOp": {"purge"}}, nil); a.Status != http.StatusForbidden {
			t.Errorf("somebody may purge: %v", a)
		}

		words := map[string]string{"ADDRESS": at.Address, "KEY": name, "USER": "hdfs"}
		page.Type(t, n.Active, 0, "grep -h 'op=DELETE_KEY, key=KEY,' /var/lib/keytrustee/log/kms-audit.log", map[string]string{" key=KEY,": " key=" + name + ","})
		if out, _ := page.Type(t, at, 0, undelete, words); out != "" {
			t.Errorf("it says %q", out)
		}
		if out, _ := page.Type(t, at, 22, undelete, words); !strings.Contains(out, "is not deleted") {
			t.Errorf("once more: %s", out)
		}
		if out, _ := page.Type(t, at, 0, ca+kms+"key/KEY/_metadata?"+user, words); !strings.Contains(out, `"versions" : 2`) && !strings.Contains(out, `"versions":2`) {
			t.Errorf("it is %s", out)
		}
		for _, from := range n.Nodes {
			from.AwaitServed(t, name, first)
			if _, got := from.Version(t, name, 1); got != second {
				t.Errorf("%s serves another second version", from.Name)
			}
		}
		must(open())
		n.keys[name] = first
	}
}
