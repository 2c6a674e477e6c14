package host

import (
	"bytes"
	"context"
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

// joinClient speaks to the active for a host that has no certificate yet.
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

func (c *joinClient) close() { c.http.CloseIdleConnections() }

// cause is err without the URL that net/http puts before it.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// call posts q and decodes the answer into a, or returns the active's refusal.
func (c *joinClient) call(ctx context.Context, path string, q, a any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the active's address %s: %w", c.address, err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	switch {
	case errors.Is(err, certs.ErrForeign):
		return hinted("compare the address with where the token, or the copy of .keytrustee, came from",
			"the host at %s is of another cluster", c.address)
	case err != nil:
		return hinted("is keytrusteed running on the active, and can this host reach its cluster port?", "the active at %s: %w: %w", c.address, ErrUnreachable, cause(err))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.address, err)
	}
	if answer.StatusCode == http.StatusOK {
		return json.Unmarshal(text, a)
	}
	return refusedBy(c.address, answer, text)
}
