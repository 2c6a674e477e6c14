package bench

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// asked is a decrypt that a client sends: of an encrypted key that the pair has generated, of one of some keys.
type asked struct {
	path string
	body []byte
}

// The keys that are decrypted with, the connections to each host, and how long it is measured without a backup.
const (
	hotKeys     = 100
	connections = 16
	alone       = 20 * time.Second
)

// decrypts measures the 99th percentile of decrypts at each host, without a backup and while one is made, in turns. The load is the same
// at both: so many a second, sent when they are due and not when the one before was answered, and each is measured from when it was due.
func (y *yard) decrypts(b *testing.B, p *pairtest.Pair) (of []versus) {
	b.Helper()
	requests := prepare(b, p.Active)
	of = make([]versus, len(p.Nodes))
	for range *rounds {
		var quiet, busy []time.Duration
		quiet = y.underLoad(b, p, requests, func() { time.Sleep(alone) })
		busy = y.underLoad(b, p, requests, func() { y.removeBackups(b, y.create(b).Name) })
		for i := range of {
			of[i].add(effort{took: quiet[i]}, effort{took: busy[i]})
		}
	}
	return of
}

// underLoad asks all hosts for decrypts while do is done, and returns the 99th percentile of each.
func (y *yard) underLoad(b *testing.B, p *pairtest.Pair, requests []asked, do func()) (p99 []time.Duration) {
	b.Helper()
	stop, ended := make(chan struct{}), make([]chan []time.Duration, len(p.Nodes))
	for i, n := range p.Nodes {
		ended[i] = make(chan []time.Duration, 1)
		client := clientOf(b, p)
		go func() { ended[i] <- load(b, client, n, requests, stop) }()
	}
	do()
	close(stop)
	for i := range ended {
		took := <-ended[i]
		slices.Sort(took)
		p99 = append(p99, took[len(took)*99/100])
		b.Logf("%s: %d decrypts, median %v, p99 %v, p99.9 %v, worst %v", p.Nodes[i].Name, len(took), took[len(took)/2], p99[i], took[len(took)*999/1000], took[len(took)-1])
	}
	return p99
}

// load asks one host until stop is closed, and returns how long each answer took from when its request was due.
func load(b *testing.B, client *http.Client, n *pairtest.Node, requests []asked, stop <-chan struct{}) (took []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	every := time.Second * connections / time.Duration(*rate)
	begun := time.Now()
	for c := range connections {
		all.Go(func() {
			var mine []time.Duration
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
			}()
			for i := 0; ; i++ {
				due := begun.Add(every*time.Duration(i) + every*time.Duration(c)/connections)
				select {
				case <-stop:
					return
				case <-time.After(time.Until(due)):
				}
				if err := decrypt(client, n, requests[(i*connections+c)%len(requests)]); err != nil {
					b.Errorf("a decrypt at the %s: %v", n.Name, err)
					return
				}
				mine = append(mine, time.Since(due))
			}
		})
	}
	all.Wait()
	return took
}

func decrypt(client *http.Client, n *pairtest.Node, r asked) error {
	response, err := client.Post(n.URL+r.path, "application/json", bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// prepare has the active make keys, and encrypted keys to decrypt.
func prepare(b *testing.B, n *pairtest.Node) (requests []asked) {
	b.Helper()
	for range hotKeys {
		name, _ := n.MustCreate(b)
		a := n.Do(b, http.MethodGet, "/kms/v1/key/"+name+"/_eek", url.Values{"eek_op": {"generate"}, "num_keys": {"1"}}, nil)
		var made []struct {
			VersionName         string `json:"versionName"`
			IV                  string `json:"iv"`
			EncryptedKeyVersion struct {
				Material string `json:"material"`
			} `json:"encryptedKeyVersion"`
		}
		if err := json.Unmarshal(a.Body, &made); err != nil || len(made) != 1 {
			b.Fatalf("generating an encrypted key: %v, %v", a, err)
		}
		body, err := json.Marshal(map[string]string{"name": name, "iv": made[0].IV, "material": made[0].EncryptedKeyVersion.Material})
		must(b, err)
		requests = append(requests, asked{"/kms/v1/keyversion/" + url.PathEscape(made[0].VersionName) + "/_eek?eek_op=decrypt&user.name=hdfs", body})
	}
	return requests
}

// clientOf is a client that keeps its connections.
func clientOf(b *testing.B, p *pairtest.Pair) *http.Client {
	b.Helper()
	authority, err := os.ReadFile(p.CAFile)
	must(b, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{DialContext: p.Dial, TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: connections}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}
