package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// AdminClient asks the daemon of this host. The zero value of Socket is of no use.
type AdminClient struct{ Socket string }

// ErrDaemonDown: the daemon of this host does not run.
var ErrDaemonDown = errors.New("keytrusteed does not run on this host")

// ErrDaemonStuck: the daemon of this host runs and does not answer.
var ErrDaemonStuck = errors.New("keytrusteed on this host runs, but does not answer")

// ErrUnreachable: the other host does not answer.
var ErrUnreachable = errors.New("it can not be reached")

// NewToken asks for a join token.
func (c AdminClient) NewToken(ctx context.Context, q TokenRequest) (TokenAnswer, error) {
	var a TokenAnswer
	return a, c.call(ctx, http.MethodPost, tokenPath, q, &a)
}

// EnableSync makes replication synchronous, for good.
func (c AdminClient) EnableSync(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, enablePath, struct{}{}, nil)
}

// Abandon gives up the admission of a host that has not come in yet, whichever it is.
func (c AdminClient) Abandon(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, abandonPath, struct{}{}, nil)
}

// Status asks the daemon how this host is. The error is ErrDaemonDown or ErrDaemonStuck where it can not be asked.
func (c AdminClient) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.quickly(ctx, statusPath, &s)
	return s, err
}

// quickly asks what the daemon answers at once, or is stuck.
func (c AdminClient) quickly(ctx context.Context, path string, answer any) error {
	limited, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	err := c.call(limited, http.MethodGet, path, nil, answer)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = &HintedError{fmt.Errorf("%w within %v", ErrDaemonStuck, statusLimit), "it is frozen, or its machine is overloaded: look at its process and its log; service keytrusteed restart"}
	}
	return err
}

// statusLimit is how long the daemon may take to say how it is; what it asks the other host for that takes less.
const statusLimit = 3 * time.Second

// sentHeader says when a request was sent.
const sentHeader = "X-Keytrustee-Sent"

func (c AdminClient) call(ctx context.Context, method, path string, q, a any) error {
	var body io.Reader
	if q != nil {
		text, err := json.Marshal(q)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, body)
	if err != nil {
		return err
	}
	r.Header.Set(sentHeader, time.Now().UTC().Format(time.RFC3339Nano))
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &HintedError{fmt.Errorf("%w: nobody listens at %s", ErrDaemonDown, c.Socket), "start it: service keytrusteed start"}
	case errors.Is(err, fs.ErrPermission):
		return hinted("run ktadmin as root or as the user of the service", "the admin socket %s may not be used by this user: %w", c.Socket, fs.ErrPermission)
	case err != nil:
		return fmt.Errorf("asking keytrusteed: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("asking keytrusteed: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return refusedBy("keytrusteed", answer, text)
	}
	if a == nil {
		return nil
	}
	return json.Unmarshal(text, a)
}

// refusedBy reads an answer that is not 200. ErrUnreachable: the daemon passed the request on, and whether the other host has carried it
// out is not known. Every other *HintedError: the daemon, or the active, refused, and nothing was changed.
func refusedBy(who string, answer *http.Response, body []byte) error {
	var no refusal
	if json.Unmarshal(body, &no) != nil || no.Error == "" {
		return fmt.Errorf("%s answered %s", who, answer.Status)
	}
	switch answer.StatusCode {
	case http.StatusInternalServerError:
		return errors.New(no.Error)
	case http.StatusBadGateway:
		return &HintedError{fmt.Errorf("%s: %w", no.Error, ErrUnreachable), no.Hint}
	}
	return &HintedError{errors.New(no.Error), no.Hint}
}
