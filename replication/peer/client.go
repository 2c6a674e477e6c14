package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"keytrustee/replication"
)

// Client calls the peer's daemon. It may be used concurrently.
type Client struct {
	tls func(node string) *tls.Config

	mu         sync.Mutex // guards transports
	transports map[string]*http.Transport
}

var _ replication.Caller = (*Client)(nil)

// NewClient returns a Client. config returns the TLS configuration that shows this host's certificate and takes only the
// cluster certificate of that node.
func NewClient(config func(node string) *tls.Config) *Client {
	return &Client{tls: config, transports: map[string]*http.Transport{}}
}

// Close ends connections that nobody uses.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// Ask is a heartbeat, perhaps with something to prove.
func (c *Client) Ask(ctx context.Context, to replication.Peer, q replication.Ask) (a replication.Answer, err error) {
	return a, c.call(ctx, to, "heartbeat", q, &a)
}

// Boundary asks where the peer's own WAL ends.
func (c *Client) Boundary(ctx context.Context, to replication.Peer) (b replication.Boundary, err error) {
	return b, c.call(ctx, to, "boundary", struct{}{}, &b)
}

// Follow tells the peer to stream from this host.
func (c *Client) Follow(ctx context.Context, to replication.Peer, f replication.Follow) error {
	return c.call(ctx, to, "follow", f, new(struct{}))
}

// Report asks how the peer sees the pair.
func (c *Client) Report(ctx context.Context, to replication.Peer) (r replication.Report, err error) {
	return r, c.call(ctx, to, "report", struct{}{}, &r)
}

// Operate gives the peer an operator's command.
func (c *Client) Operate(ctx context.Context, to replication.Peer, command replication.Command) (o replication.Operated, err error) {
	return o, c.call(ctx, to, "operate", command, &o)
}

// Takeover tells the passive how far the active is with a switchover.
func (c *Client) Takeover(ctx context.Context, to replication.Peer, t replication.Takeover) (a replication.TakeoverAnswer, err error) {
	return a, c.call(ctx, to, "takeover", t, &a)
}

// Hand tells the peer what became of a result that it had handed over. It returns nil when the peer has heard it.
func (c *Client) Hand(ctx context.Context, to replication.Peer, r HandReport) error {
	return c.call(ctx, to, "hand", r, new(struct{}))
}

func (c *Client) call(ctx context.Context, to replication.Peer, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	url := "https://" + to.ClusterAddress() + prefix + path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking %s: %w", to.Name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.transport(to.Name).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", to.Name, err)
	}
	defer response.Body.Close()
	if certificates := response.TLS.PeerCertificates; !to.ShownBy(certificates[0]) {
		return fmt.Errorf("asking %s: what answers shows another key than the %s that joined", to.Name, to.Name)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", to.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		var r refusal
		json.Unmarshal(content, &r) // an empty sentence if it is none of ours
		if response.StatusCode == http.StatusForbidden && r.Epoch != nil {
			return &replication.TurnedAwayError{Sentence: to.Name + " turns this host away: " + r.Error, Epoch: *r.Epoch}
		}
		if r.Refused {
			return &replication.RefusedError{Sentence: r.Error}
		}
		return fmt.Errorf("%s refuses %s: %s (%d)", to.Name, path, r.Error, response.StatusCode)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", to.Name, err)
	}
	return nil
}

// transport keeps connections to a node: a call that is stuck has its own, and loses it with its deadline.
func (c *Client) transport(node string) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.transports[node]
	if !ok {
		t = newTransport(c.tls(node))
		t.MaxIdleConnsPerHost, t.IdleConnTimeout = 4, 30*time.Second
		c.transports[node] = t
	}
	return t
}

func newTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:               nil, // whatever the environment says
		DialContext:         dial,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 2 * time.Second,
		DisableCompression:  true,
	}
}

// dial connects with a resolver of its own: callers of one resolver wait together for a name server that does not answer, and go on waiting
// when the name is known again.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second, KeepAlive: time.Second, Resolver: new(net.Resolver)}
	return d.DialContext(ctx, network, address)
}
