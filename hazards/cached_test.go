package hazards_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// TestCachedReaders: readers on both hosts ask for one key all the time, so that every host remembers what it read, while the key is rolled,
// deleted and undeleted again and again. Whoever asks after an acknowledgement, at whichever host, is told the state after it.
func TestCachedReaders(t *testing.T) {
	p := confirmed(t)
	name, _ := p.Active.MustCreate(t)
	path := "/kms/v1/key/" + name
	done := make(chan struct{})
	var readers sync.WaitGroup
	for _, n := range p.Nodes {
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						n.Do(t, http.MethodGet, path+"/_currentversion", nil, nil)
					}
				}
			})
		}
	}
	t.Cleanup(readers.Wait)
	t.Cleanup(sync.OnceFunc(func() { close(done) }))
	current := func(want string) {
		t.Helper()
		for _, n := range p.Nodes {
			a := n.Do(t, http.MethodGet, path+"/_currentversion", nil, nil)
			if got := strings.TrimSpace(string(a.Body)); a.Status != http.StatusOK || want == "" && got != "{}" || !strings.Contains(got, want) {
				t.Fatalf("%s says %v, want %q", n.Name, a, want)
			}
		}
	}
	change := func(method, path string, query url.Values, body any) {
		t.Helper()
		if a := p.Active.Do(t, method, path, query, body); a.Status != http.StatusOK {
			t.Fatalf("%s %s: %v", method, path, a)
		}
	}
	for i := 1; i <= 8; i++ {
		change(http.MethodPost, path, nil, map[string]any{})
		current(fmt.Sprintf("%s@%d", name, i))
		change(http.MethodDelete, path, nil, nil)
		current("")
		change(http.MethodPost, "/kms/v1/trustee/key/"+name, url.Values{"trusteeOp": {"undelete"}}, nil)
		current(fmt.Sprintf("%s@%d", name, i))
	}
}
