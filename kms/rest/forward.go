package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// deliveryHeader names a delivery between the hosts; one that is sent again keeps its id.
const deliveryHeader = "X-Keytrustee-Delivery-Id"

// againHeader says that the delivery was sent before and nobody knows what came of it.
const againHeader = "X-Keytrustee-Delivered-Before"

// answeredHeader says that the active's answer is about the write; without it something before the write turned it away.
const answeredHeader = "X-Keytrustee-Answered-By"

// noForwarding are the headers by which a client asks to be sent to the active itself.
var noForwarding = []string{"X-Keytrustee-No-Request-Forwarding", "X-Vault-No-Request-Forwarding"}

// relayed are the headers of the active's answer that the client gets to see.
var relayed = []string{"Location", "Retry-After"}

const (
	askAgainAfter = 100 * time.Millisecond // a forward that broke
	lateAnswers   = 5 * time.Second        // how long after its client was refused an answer is waited for, to return it
	maxReply      = 1 << 20
)

// reply is the active's answer, whole.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	handover uint64 // 0: the success is nobody's any more, or it is none
}

// elsewhere does a write at the active if that is another host, and reports whether it did.
func (x *exchange) elsewhere() bool {
	route := x.Cluster.Route()
	if route.Here {
		return false
	}
	for _, h := range noForwarding {
		if x.r.Header.Get(h) != "" && route.ActiveURL != "" {
			x.w.Header().Set("Location", strings.TrimSuffix(route.ActiveURL, "/")+targetOf(x.r).RequestURI())
			x.write(http.StatusTemporaryRedirect, "text/plain;charset=utf-8", nil)
			return true
		}
	}
	if route.Transport == nil {
		x.refuse(x.recently(refusal(x.Host, route)))
		return true
	}
	x.forward(route)
	return true
}

// forward sends the write to the active and its answer back. The asking outlives the client: a success that comes too late
// is returned.
func (x *exchange) forward(route Route) {
	type outcome struct {
		reply *reply
		err   error
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), x.ForwardDeadline+lateAnswers)
	request := x.forwarding()
	done := make(chan outcome, 1)
	go func() {
		defer cancel()
		r, err := x.ask(asking, route, request)
		done <- outcome{r, err}
	}()
	returnLate := func() {
		if late := <-done; late.err == nil && late.reply.handover != 0 {
			x.reportHand(late.reply.handover, false)
		}
	}
	deadline := time.NewTimer(x.ForwardDeadline)
	defer deadline.Stop()
	select {
	case o := <-done:
		if o.err != nil {
			x.refuse(x.recently(o.err))
			return
		}
		x.relay(o.reply)
	case <-x.r.Context().Done():
		go returnLate()
		panic(http.ErrAbortHandler)
	case <-deadline.C:
		go returnLate()
		x.refuse(x.recently(&unknownError{host: x.Host}))
	}
}

// forwarding is the request as the active gets it: the client's, with our word for who it is.
func (x *exchange) forwarding() *http.Request {
	target := targetOf(x.r)
	target.Scheme, target.Host = "https", "active" // the Transport knows where that is
	h := http.Header{}
	for _, name := range []string{"Content-Type", requestIDHeader} {
		if v := x.r.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	h.Set(deliveryHeader, x.delivery)
	x.Assert(h, x.principal)
	return &http.Request{Method: x.r.Method, URL: target, Header: h, ContentLength: int64(len(x.body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// ask sends the request until the active has answered it. Nothing was attempted if the error is a *kms.ReadOnlyError; any
// other is kms.ErrOutcomeUnknown.
func (x *exchange) ask(ctx context.Context, route Route, request *http.Request) (*reply, error) {
	sent := false
	for {
		r, err := x.askOnce(ctx, route.Transport, request)
		if err == nil && sent && r.status == http.StatusServiceUnavailable {
			return nil, &unknownError{host: x.Host} // it was not attempted now; it may have been when it was sent before
		}
		if err == nil {
			return r, nil
		}
		var notSent interface{ NotSent() bool }
		if !sent && errors.As(err, &notSent) && notSent.NotSent() {
			x.Logger.Warn("a write was not forwarded", "delivery", x.delivery, "error", err)
			return nil, refusal(x.Host, x.Cluster.Route())
		}
		sent = true
		request.Header.Set(againHeader, "1")
		x.Logger.Warn("a forwarded write broke, asking again", "delivery", x.delivery, "error", err)
		select {
		case <-ctx.Done():
			return nil, &unknownError{host: x.Host}
		case <-time.After(askAgainAfter):
		}
		if route = x.Cluster.Route(); route.Transport == nil {
			return nil, &unknownError{host: x.Host}
		}
	}
}

func (x *exchange) askOnce(ctx context.Context, transport http.RoundTripper, request *http.Request) (*reply, error) {
	request = request.Clone(ctx)
	request.Body = io.NopCloser(bytes.NewReader(x.body))
	if len(x.body) == 0 {
		request.Body = http.NoBody
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading the active's answer: %w", err)
	}
	if response.Header.Get(answeredHeader) == "" {
		return nil, &turnedAwayError{response.Status}
	}
	r := &reply{status: response.StatusCode, header: response.Header, body: body}
	if number := response.Header.Get(handoverHeader); number != "" {
		if r.handover, err = strconv.ParseUint(number, 10, 64); err != nil {
			return nil, fmt.Errorf("reading the active's answer: handover %q is no number", number)
		}
	}
	return r, nil
}

// turnedAwayError: the active's host answered, and did not look at the write.
type turnedAwayError struct{ status string }

func (e *turnedAwayError) Error() string { return "the active turned the request away: " + e.status }
func (e *turnedAwayError) NotSent() bool { return true }

// relay passes the active's answer on unchanged, and tells the active what became of a success.
func (x *exchange) relay(r *reply) {
	if x.r.Context().Err() != nil {
		if r.handover != 0 {
			go x.reportHand(r.handover, false)
		}
		panic(http.ErrAbortHandler)
	}
	if r.handover != 0 {
		defer func() { go x.reportHand(r.handover, true) }()
	}
	for _, name := range relayed {
		if v := r.header.Get(name); v != "" {
			x.w.Header().Set(name, v)
		}
	}
	x.write(r.status, r.header.Get("Content-Type"), r.body)
}

// reportHand tells the active, again and again until it hears it or has given up waiting.
func (s *Server) reportHand(number uint64, told bool) {
	ctx, cancel := context.WithTimeout(context.Background(), s.HandDeadline)
	defer cancel()
	for {
		err := s.Hand(ctx, number, told)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.Logger.Warn("the active was not told what became of a result", "told", told, "error", err)
			return
		case <-time.After(askAgainAfter):
		}
	}
}
