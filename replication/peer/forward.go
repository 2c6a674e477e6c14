package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"keytrustee/replication"
)

// Forwarder sends clients' requests to the active's cluster listener.
type Forwarder struct {
	client *Client
	to     func() (replication.Peer, bool)
}

// Forwarder returns the http.RoundTripper for requests that the active has to answer. to names the active at the moment of
// a request. The scheme and the host of a request do not matter; its path arrives as it is, below forward/.
func (c *Client) Forwarder(to func() (replication.Peer, bool)) *Forwarder { return &Forwarder{c, to} }

// connectWithin is how long a request waits for a connection: long enough for one lost SYN, which is sent again after 1 s. A refusal is
// promised within 2 s, one that found no connection is one, and package rest may take 0.5 s to say what this host knows of the key.
const connectWithin = 1200 * time.Millisecond

// NotSentError: nothing of the request has left this host, so the active has not begun it.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return "nothing was sent: " + e.Err.Error() }

func (e *NotSentError) Unwrap() error { return e.Err }

// NotSent is true.
func (e *NotSentError) NotSent() bool { return true }

// RoundTrip sends the request over a connection of its own: one that was kept might have died unnoticed, and then nobody
// could tell whether the request arrived. Its error is a *NotSentError if no connection came about.
func (f *Forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	to, ok := f.to()
	if !ok {
		closeBody(r)
		return nil, &NotSentError{errors.New("no active is known")}
	}
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "https", to.ClusterAddress()
	const below = prefix + "forward"
	if out.URL.RawPath != "" {
		out.URL.RawPath = below + out.URL.RawPath
	}
	out.URL.Path = below + out.URL.Path
	out.Host = ""
	if !strings.HasPrefix(r.URL.Path, "/") {
		closeBody(r)
		return nil, &NotSentError{fmt.Errorf("path %q does not begin at the root", r.URL.Path)}
	}
	config := f.client.tls(to.Name).Clone()
	verify := config.VerifyConnection
	config.VerifyConnection = func(s tls.ConnectionState) error { // before anything of the client's is sent
		if !to.ShownBy(s.PeerCertificates[0]) {
			return fmt.Errorf("what answers shows another key than the %s that joined", to.Name)
		}
		if verify != nil {
			return verify(s)
		}
		return nil
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectWithin)
			defer cancel()
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
		}}
	response, err := transport.RoundTrip(out)
	if err != nil && !connected.Load() {
		return nil, &NotSentError{err}
	}
	return response, err
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}
