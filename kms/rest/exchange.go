package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"keytrustee/kms"
)

// requestIDHeader names a write for good: the same id gives the same result each time.
const requestIDHeader = "X-Keytrustee-Request-Id"

// exchange is one request on its way through the server.
type exchange struct {
	*Server
	w         http.ResponseWriter
	r         *http.Request
	ctx       context.Context // the request's, with a deadline
	row       *route
	principal kms.Principal
	name      string // the variable part of the path
	query     url.Values
	body      []byte
	requestID string // the client's, or empty
	delivery  string // this delivery between the hosts
	again     bool   // it was sent before, and nobody knows what came of it
	forwarded bool   // it comes from the passive
}

// result is a success; status 0 means 200, a nil body no body.
type result struct {
	status   int
	body     any
	hand     *kms.Hand
	location string
}

func (x *exchange) key() kms.KeyName { return kms.KeyName(x.name) }

// call is what the Service is told of a write; parts are the decoded body.
func (x *exchange) call(parts ...any) kms.Call {
	return kms.Call{Principal: x.principal, RequestID: x.requestID, DeliveryID: x.delivery, Again: x.again, Body: canonical(parts...)}
}

// serve takes one request from its first byte to its last.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, who Authenticator, forwarded bool) {
	ctx, cancel := context.WithTimeout(r.Context(), answerDeadline)
	defer cancel()
	x := &exchange{Server: s, w: w, r: r, ctx: ctx, query: r.URL.Query(), forwarded: forwarded}
	defer x.recover()
	path := escapedPath(r)
	if path == "/" && !forwarded && s.Fingerprint != "" && x.query.Get("a") == "fingerprint" {
		x.fingerprint()
		return
	}
	var err error
	if x.principal, err = who.Authenticate(w.Header(), r); err != nil {
		x.refuse(err)
		return
	}
	if err := x.prepare(path); err != nil {
		x.refuse(err)
		return
	}
	if x.row == nil { // a login
		x.w.Header().Set("Allow", "OPTIONS, GET, HEAD, POST, DELETE")
		x.answer(result{})
		return
	}
	if x.row.kind != "" && !x.forwarded && x.elsewhere() {
		return
	}
	if x.forwarded {
		x.hearSender()
	}
	res, err := x.row.handle(x)
	if err != nil {
		x.refuse(err)
		return
	}
	x.answer(res)
}

// prepare finds the row of the request and reads its body; no row and no error is a login.
func (x *exchange) prepare(path string) error {
	row, found, name, err := x.find(x.r.Method, path)
	x.name = name
	switch {
	case found == elsewhere || found == root:
		return errNoPath
	case x.r.Method == http.MethodOptions:
		return nil
	case isTokenOperation(x.query.Get("op")):
		return errNoTokens
	case found == base:
		return errNoPath
	case err != nil:
		return err
	case row == nil:
		x.w.Header().Set("Allow", allowed(found))
		return errNoMethod
	case x.forwarded && row.kind == "":
		return errNoPath // reads are never forwarded
	}
	x.row = row
	limit := int64(maxBody)
	if row.resource == reencryptBatch {
		limit = maxBatch
	}
	if x.body, err = readBody(x.w, x.r, limit); err != nil {
		return err
	}
	return x.identify()
}

// identify reads the ids of the request and its delivery.
func (x *exchange) identify() error {
	x.requestID = x.r.Header.Get(requestIDHeader)
	if x.requestID != "" {
		x.w.Header().Set(requestIDHeader, x.requestID)
	}
	x.delivery = kms.NewID().String()
	if x.forwarded {
		id, err := kms.ParseID(x.r.Header.Get(deliveryHeader))
		if err != nil {
			return &kms.InvalidError{Field: deliveryHeader, Reason: "is not a delivery's id"}
		}
		x.delivery = id.String()
		x.again = x.r.Header.Get(againHeader) != ""
		if route := x.Cluster.Route(); !route.Here {
			return notActive(x.Host, route)
		}
	}
	return nil
}

// isTokenOperation reports whether op is one of Hadoop's three operations on delegation tokens, which any path takes.
func isTokenOperation(op string) bool {
	switch strings.ToUpper(op) {
	case "GETDELEGATIONTOKEN", "RENEWDELEGATIONTOKEN", "CANCELDELEGATIONTOKEN":
		return true
	}
	return false
}

// recover answers a request whose handling panicked: a connection closed without an answer would be sent again by the
// client's JDK. If the answer has begun, it is broken off.
func (x *exchange) recover() {
	fault := recover()
	if fault == nil {
		return
	}
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	x.Logger.Error("a request panicked", "method", x.r.Method, "fault", fault, "stack", string(debug.Stack()))
	x.refuse(errors.New("panic"))
}
