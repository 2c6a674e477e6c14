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
	"path/filepath"
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

// The keys that are decrypted with, the connections to each host, and how long it is measured at least without a backup.
const (
	hotKeys     = 100
	connections = 16
	alone       = 15 * time.Second
)

// served is a decrypt: when it was due, and how long after that it was answered.
type served struct {
	due  time.Time
	took time.Duration
}

// span is how long one backup was made, or none.
type span struct{ from, to time.Time }

// decrypts measures the 99th percentile of decrypts at each host, in turns without a backup and while the daemon of one host makes one,
// proof and all. The load is the same at both and all the time: so many a second, each sent when it is due, not when the one before was
// answered, and measured from then on.
func (y *yard) decrypts(b *testing.B, p *pairtest.Pair) (of []versus) {
	b.Helper()
	requests := prepare(b, p.Active)
	stop, ended := make(chan struct{}), make([]chan []served, len(p.Nodes))
	for i, n := range p.Nodes {
		ended[i] = make(chan []served, 1)
		client := clientOf(b, p)
		go func() { ended[i] <- load(b, client, n, requests, stop) }()
	}
	idle, busy := y.hourly(b)
	close(stop)
	for i := range ended {
		all := <-ended[i]
		var v versus
		for r := range busy {
			v.add(effort{took: y.p99(b, p.Nodes[i], "no backup", all, idle[r])}, effort{took: y.p99(b, p.Nodes[i], "a backup", all, busy[r])})
		}
		of = append(of, v)
	}
	return of
}

// hourly has the host's daemon make backups, and returns when it made none and when one, in turns.
func (y *yard) hourly(b *testing.B) (idle, busy []span) {
	b.Helper()
	daemon := y.host.Pids[pairtest.Keytrusteed]
	making := func() bool {
		for _, name := range family(daemon) {
			if name == "ktadmin" {
				return true
			}
		}
		return false
	}
	for range *rounds {
		from := time.Now()
		time.Sleep(alone)
		y.schedule(b, "* * * * *")
		pairtest.Await(b, 2*time.Minute, "the daemon makes a backup", making)
		begun := time.Now()
		y.schedule(b, "off")
		pairtest.Await(b, 10*time.Minute, "the backup has ended", func() bool { return !making() })
		idle, busy = append(idle, span{from, begun}), append(busy, span{begun, time.Now()})
	}
	backups, err := filepath.Glob(filepath.Join(y.host.Home, "backups", "*.ktb"))
	if err != nil || len(backups) == 0 {
		b.Fatalf("the daemon has made no backup: %v", err)
	}
	return idle, busy
}

// p99 is the 99th percentile of those that were due in the span.
func (y *yard) p99(b *testing.B, n *pairtest.Node, what string, all []served, in span) time.Duration {
	b.Helper()
	var took []time.Duration
	for _, s := range all {
		if s.due.After(in.from) && s.due.Before(in.to) {
			took = append(took, s.took)
		}
	}
	slices.Sort(took)
	if len(took) < 1000 {
		b.Fatalf("%s, %s: %d decrypts are too few", n.Name, what, len(took))
	}
	at := func(share float64) time.Duration {
		return took[int(float64(len(took)-1)*share)].Round(time.Microsecond)
	}
	b.Logf("%s, %s for %v: %d decrypts, median %v, p99 %v, p99.9 %v, worst %v", n.Name, what, in.to.Sub(in.from).Round(time.Second), len(took), at(0.5), at(0.99), at(0.999), at(1))
	return at(0.99)
}

// load asks one host until stop is closed. What it takes to connect is not in the first answers.
func load(b *testing.B, client *http.Client, n *pairtest.Node, requests []asked, stop <-chan struct{}) (all []served) {
	var mu sync.Mutex
	var connecting, clients sync.WaitGroup
	for c := range connections { // all at once, so that each has a connection before it is measured
		connecting.Go(func() {
			if err := decrypt(client, n, requests[c%len(requests)]); err != nil {
				b.Errorf("a decrypt at the %s: %v", n.Name, err)
			}
		})
	}
	connecting.Wait()
	every := time.Second * connections / time.Duration(*rate)
	begun := time.Now()
	for c := range connections {
		clients.Go(func() {
			var mine []served
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, mine...)
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
				mine = append(mine, served{due, time.Since(due)})
			}
		})
	}
	clients.Wait()
	return all
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
