package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/rest"
)

// TestForwardBroken: the answer is lost between the hosts, once or more often; the client gets its key, nobody else does.
func TestForwardBroken(t *testing.T) {
	for _, c := range []struct {
		name  string
		times int
		lose  func(p *pair, r *http.Request) (*http.Response, error)
	}{
		{"after the answer", 2, func(p *pair, r *http.Request) (*http.Response, error) {
			if response, err := p.send(r); err == nil {
				response.Body.Close()
			}
			return nil, errors.New("connection reset")
		}},
		{"in the answer's body", 2, func(p *pair, r *http.Request) (*http.Response, error) {
			response, err := p.send(r)
			if err == nil {
				response.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{}))
			}
			return response, err
		}},
		{"before the answer", 1, func(p *pair, r *http.Request) (*http.Response, error) {
			held, release := p.hold()
			ctx, cancel := context.WithCancel(r.Context())
			go func() { <-held; cancel() }()
			_, err := p.send(r.WithContext(ctx))
			release()
			return nil, err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			var trips int
			var deliveries []string
			p.onTrip(func(r *http.Request) (*http.Response, error) {
				trips++
				deliveries = append(deliveries, r.Header.Get("X-Keytrustee-Delivery-Id"))
				if trips <= c.times {
					return c.lose(p, r)
				}
				return p.send(r)
			})
			a := create(t, p.passive, "k")
			wantStatus(t, "create", a, 201)
			if trips != c.times+1 || deliveries[0] == "" || len(slices.Compact(deliveries)) != 1 {
				t.Errorf("deliveries: %q", deliveries)
			}
			p.reported(t, 1)
			wantStatus(t, "second caller", create(t, p.active, "k"), 409)
			if roll := ask(t, p.active, "GET", "/kms/v1/key/k/_versions", ""); strings.Count(roll.body, "versionName") != 1 {
				t.Errorf("versions: %s", roll.body)
			}
		})
	}
}

// TestForwardBrokenThenUnsent: once something was sent, nothing that follows makes it unsent.
func TestForwardBrokenThenUnsent(t *testing.T) {
	p := newPair(t, func(_, passive *rest.Config) { passive.ForwardDeadline = 500 * time.Millisecond })
	var trips int
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		switch trips++; trips {
		case 1:
			p.send(r)
			return nil, errors.New("connection reset")
		case 2:
			return nil, unsent{}
		}
		return p.send(r)
	})
	wantStatus(t, "create", create(t, p.passive, "k"), 201)
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		if trips++; trips == 4 {
			return nil, errors.New("connection reset")
		}
		return nil, unsent{}
	})
	a := create(t, p.passive, "k2")
	if a.status != 503 || a.reason(t) != "outcome_unknown" || a.class(t) != "java.lang.IllegalStateException" {
		t.Errorf("create: %d %s, want 503 outcome_unknown", a.status, a.body)
	}
}

// TestForwardBrokenThenRefused: a refusal of what was sent before is no word that nothing was attempted, with an id or without.
func TestForwardBrokenThenRefused(t *testing.T) {
	for _, id := range [][]string{nil, {"X-Keytrustee-Request-Id: r1"}} {
		p := newPair(t)
		var trips int
		p.onTrip(func(r *http.Request) (*http.Response, error) {
			if trips++; trips == 1 {
				p.Gate.Close("starting", kms.ElsewherePeer)
				return nil, errors.New("connection reset")
			}
			return p.send(r)
		})
		a := create(t, p.passive, "k", id...)
		if a.status != 503 || a.reason(t) != "outcome_unknown" || trips != 2 {
			t.Errorf("id %q: create, sent %d times: %d %s, want 503 outcome_unknown", id, trips, a.status, a.body)
		}
	}
}

// TestForwardBrokenUnseen: what the active has never seen it does not attempt when it is sent again: an earlier life of it may have.
func TestForwardBrokenUnseen(t *testing.T) {
	p := newPair(t)
	var trips int
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		if trips++; trips == 1 {
			return nil, errors.New("connection reset")
		}
		return p.send(r)
	})
	if a := create(t, p.passive, "k"); a.reason(t) != "outcome_unknown" {
		t.Errorf("create: %d %s, want 503 outcome_unknown", a.status, a.body)
	}
	if a := ask(t, p.active, "GET", "/kms/v1/key/k", ""); strings.TrimSpace(a.body) != "{}" {
		t.Errorf("it was made: %s", a.body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// TestForwardUnknown: something was sent, and then the active was gone.
func TestForwardUnknown(t *testing.T) {
	p := newPair(t)
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		p.setRoute(func(r *rest.Route) {
			r.Transport, r.Refusal = nil, &kms.ReadOnlyError{Reason: "active_unreachable", Remedy: kms.ElsewhereNone}
		})
		return nil, errors.New("connection reset")
	})
	a := create(t, p.passive, "k")
	wantStatus(t, "create", a, 503)
	if a.class(t) != "java.lang.IllegalStateException" || a.reason(t) != "outcome_unknown" || strings.Contains(a.message(t), "by you") {
		t.Errorf("answer is %s", a.body)
	}

	p = newPair(t)
	p.onTrip(func(r *http.Request) (*http.Response, error) {
		p.send(r)
		p.setRoute(func(r *rest.Route) {
			r.Transport, r.Refusal = nil, &kms.ReadOnlyError{Reason: "active_unreachable", Remedy: kms.ElsewhereNone}
		})
		return nil, errors.New("connection reset")
	})
	a = create(t, p.passive, "k")
	if a.reason(t) != "outcome_unknown" || !strings.HasSuffix(a.message(t), "by you: your request was done") {
		t.Errorf("answer is %s", a.body)
	}
}

// TestForwardTooLate: the passive has given up; the success comes back to the active and goes to the repeat.
func TestForwardTooLate(t *testing.T) {
	p := newPair(t, func(_, passive *rest.Config) { passive.ForwardDeadline = 100 * time.Millisecond })
	held, release := p.hold()
	a := create(t, p.passive, "k")
	within(t, "the create is held", held)
	wantStatus(t, "create", a, 503)
	if a.reason(t) != "outcome_unknown" {
		t.Errorf("answer is %s", a.body)
	}
	if e := p.Recorder.Events()[0]; !strings.Contains(a.body, `"request_id":"`+e.RequestID+`"`) {
		t.Errorf("the active's audit knows the request as %s, the client as %s", e.RequestID, a.body)
	}
	release()
	if r := p.reported(t, 1); r[0].told {
		t.Error("a success that nobody was told of is reported as told")
	}
	wantStatus(t, "repeat", create(t, p.active, "k"), 201)
	wantStatus(t, "second caller", create(t, p.active, "k"), 409)
}
