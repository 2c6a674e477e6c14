package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"keytrustee/certs"
)

// joinClient speaks to the host that admits, for one that has no certificate yet, or is about to get another one.
type joinClient struct {
	address string
	http    http.Client
}

func newJoinClient(address string, authority certs.Fingerprint) *joinClient {
	return &joinClient{address, http.Client{
		// No proxy: cluster traffic goes straight to its host, whatever the environment says.
		Transport: &http.Transport{
			TLSClientConfig:     certs.JoinerClient(authority),
			TLSHandshakeTimeout: 10 * time.Second,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		},
		Timeout: time.Minute,
	}}
}

// show lets the client show the certificate in files, as a host that has joined before.
func (c *joinClient) show(files certs.Files) error {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("loading this host's cluster certificate: %w", err)
	}
	c.http.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	return nil
}

func (c *joinClient) close() { c.http.CloseIdleConnections() }

// cause is err without the URL that net/http puts before it.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// call posts q and decodes the answer into a, or returns the other host's refusal.
func (c *joinClient) call(ctx context.Context, path string, q, a any) error {
	_, text, err := c.post(ctx, path, q)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, a)
}

// post posts q and returns the answer as it came.
func (c *joinClient) post(ctx context.Context, path string, q any) (http.Header, []byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("the address %s: %w", c.address, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	switch {
	case errors.Is(err, certs.ErrForeign):
		return nil, nil, hinted("compare the address with where the token, or the copy of .keytrustee, came from",
			"the host at %s is of another cluster", c.address)
	case err != nil:
		return nil, nil, hinted("is keytrusteed running there, and can this host reach its cluster port?", "the host at %s: %w: %w", c.address, ErrUnreachable, cause(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Header, text, nil
	}
	return nil, nil, refusedBy(c.address, answer, text)
}
