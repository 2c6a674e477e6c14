package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keytrustee/kms"
)

// The Java classes that a client of Hadoop makes an exception of. The class alone decides whether it asks the other host,
// and which sentence its user reads.
const (
	illegalArgument = "java.lang.IllegalArgumentException"
	illegalState    = "java.lang.IllegalStateException"
	unsupported     = "java.lang.UnsupportedOperationException"
	ioException     = "java.io.IOException"
	fileNotFound    = "java.io.FileNotFoundException"
	standby         = "org.apache.hadoop.ipc.StandbyException"
	notAuthorized   = "org.apache.hadoop.security.authorize.AuthorizationException"
	notAuthentic    = "org.apache.hadoop.security.authentication.client.AuthenticationException"
	noClass         = "" // the client then reads the status itself; 401 makes it log in
)

// The faults of a request that never reaches the Service.
var (
	errNoPath   = errors.New("there is nothing at this path")
	errNoMethod = errors.New("this method means nothing here")
	errNoTokens = errors.New("this server gives no delegation tokens; log in by name")
)

// bodyError is a body that could not be read.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "reading the body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// login is what an Authenticator's errors may say of themselves.
type login interface{ LoginAgain() bool }

// refusals is the one table from an error to an answer; the first row that is true counts, and none is "internal error".
var refusals = []struct {
	is         func(error) bool
	status     int
	class      string
	retryAfter int // seconds; 0: no header
}{
	{isLogin(true), 401, noClass, 0},
	{isLogin(false), 403, notAuthentic, 0},
	{is(kms.ErrDenied), 403, notAuthorized, 0},
	{isA[*kms.InvalidError], 400, illegalArgument, 0},
	{isA[*http.MaxBytesError], 413, illegalArgument, 0},
	{isA[*bodyError], 400, illegalArgument, 0},
	{is(errNoPath), 404, fileNotFound, 0},
	{is(errNoMethod), 405, unsupported, 0},
	{is(errNoTokens), 501, unsupported, 0},
	{is(kms.ErrKeyNotFound), 404, ioException, 0},
	{is(kms.ErrVersionNotFound), 404, ioException, 0},
	{is(kms.ErrKeyExists), 409, ioException, 0},
	{is(kms.ErrOutcomeUnknown), 503, illegalState, 5},
	{isReadOnly(kms.ElsewhereNone), 503, illegalState, 5},
	{isReadOnly(kms.ElsewhereSame), 503, ioException, 5},
	{isReadOnly(kms.ElsewherePeer), 503, standby, 1},
	{is(context.DeadlineExceeded), 503, standby, 1},
}

// internal is the answer to every other error; the other host may do better.
const (
	internalStatus = 500
	internalClass  = ioException
	internalText   = "internal error"
)

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isLogin(again bool) func(error) bool {
	return func(err error) bool {
		var l login
		return errors.As(err, &l) && l.LoginAgain() == again
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isReadOnly(remedy kms.Remedy) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*kms.ReadOnlyError](err)
		return ok && e.Remedy == remedy
	}
}

// errorJSON is the body of every refusal: Hadoop's member, and ours beside it.
type errorJSON struct {
	Remote     remoteJSON      `json:"RemoteException"`
	Keytrustee *keytrusteeJSON `json:"Keytrustee,omitempty"`
}

type remoteJSON struct {
	Message   string `json:"message"`
	Exception string `json:"exception,omitempty"`
	Class     string `json:"javaClassName,omitempty"`
}

// keytrusteeJSON says for programs why a host refuses what it could do at another time.
type keytrusteeJSON struct {
	Reason    kms.Reason `json:"reason"`
	RequestID string     `json:"request_id"` // the client's, or the delivery's where it sent none
	Host      string     `json:"host"`
	Since     string     `json:"since,omitempty"` // RFC 3339
}

// refuse answers with an error. A client that is seen to be gone gets nothing.
func (x *exchange) refuse(err error) {
	if x.r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	if x.forwarded {
		err = toSender(err)
	}
	status, class, message := internalStatus, internalClass, internalText
	known := false
	for _, row := range refusals {
		if row.is(err) {
			known = true
			status, class, message = row.status, row.class, x.sentence(err)
			if row.retryAfter > 0 {
				x.w.Header().Set("Retry-After", strconv.Itoa(row.retryAfter))
			}
			break
		}
	}
	if !known {
		x.Logger.Error("a request failed", "method", x.r.Method, "request", x.id(), "error", err)
	}
	body := errorJSON{Remote: remoteJSON{Message: oneLine(message), Class: class, Exception: simpleName(class)}}
	if status == http.StatusServiceUnavailable {
		body.Keytrustee = x.reason(err)
	}
	x.write(status, "application/json", encodeJSON(body))
}

// sentence is the message of a known error, without what the layers between added.
func (x *exchange) sentence(err error) string {
	var (
		invalid  *kms.InvalidError
		denied   *kms.DeniedError
		exists   *kms.ExistsError
		readOnly *kms.ReadOnlyError
		unknown  *unknownError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &invalid):
		return invalid.Error()
	case errors.As(err, &denied):
		return denied.Error()
	case errors.As(err, &exists):
		return exists.Error()
	case errors.As(err, &readOnly):
		return readOnly.Sentence
	case errors.As(err, &unknown):
		return unknown.Error()
	case errors.Is(err, kms.ErrOutcomeUnknown):
		return (&unknownError{host: x.Host}).Error()
	case errors.Is(err, kms.ErrKeyNotFound):
		return "Key " + x.key().Quoted() + " does not exist"
	case errors.As(err, &tooLarge):
		return fmt.Sprintf("the body is larger than %d MiB; send less", tooLarge.Limit>>20)
	case isA[*bodyError](err):
		return "the body did not arrive whole"
	case errors.Is(err, context.DeadlineExceeded):
		return x.Host + " had no answer in time; ask again, or the other host"
	}
	return err.Error()
}

// reason is our member of the body of a 503.
func (x *exchange) reason(err error) *keytrusteeJSON {
	k := &keytrusteeJSON{Reason: kms.ReasonBusy, RequestID: x.id(), Host: x.Host}
	var e *kms.ReadOnlyError
	switch {
	case errors.Is(err, kms.ErrOutcomeUnknown):
		k.Reason = kms.ReasonOutcomeUnknown
	case errors.As(err, &e):
		k.Reason = e.Reason
		if e.Host != "" {
			k.Host = e.Host
		}
		if !e.Since.IsZero() {
			k.Since = e.Since.UTC().Format(time.RFC3339Nano)
		}
	}
	return k
}

// id names the request for people: as the client did, or else the delivery.
func (x *exchange) id() string {
	if x.requestID != "" {
		return x.requestID
	}
	return x.delivery
}

// unknownError is kms.ErrOutcomeUnknown with a sentence of its own.
type unknownError struct {
	host string
	more string
}

func (e *unknownError) Error() string {
	return "the outcome is unknown: " + e.host + " did not learn in time whether the change is on both hosts; it may exist, now or later. " +
		"Repeat the same request to find out" + e.more
}

func (e *unknownError) Is(target error) bool { return target == kms.ErrOutcomeUnknown }

// simpleName is the class without its package.
func simpleName(class string) string { return class[strings.LastIndexAny(class, ".$")+1:] }

// oneLine keeps a message on the line that Hadoop's clients show.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
