package rest_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
	"keytrustee/kms/rest"
)

// TestClientGoneBeforeTheAnswer: nothing goes out, and the repeat gets the success.
func TestClientGoneBeforeTheAnswer(t *testing.T) {
	p := newPair(t)
	held, release := p.hold()
	hangUp, read := abandon(t, p.active, "k")
	within(t, "the create is held", held)
	hangUp()
	within(t, "the active has seen it", p.gone)
	release()
	if text := read(); text != "" {
		t.Errorf("a client that was gone was sent %q", text)
	}
	wantStatus(t, "repeat", create(t, p.active, "k"), 201)
	wantStatus(t, "second caller", create(t, p.active, "k"), 409)
}

// lingering is a Service whose success comes out only when the client has gone.
type lingering struct {
	rest.Service
	done chan struct{}
}

func (l lingering) CreateKey(ctx context.Context, c kms.Call, r kms.CreateRequest) (kms.KeyVersion, *kms.Hand, error) {
	v, hand, err := l.Service.CreateKey(context.WithoutCancel(ctx), c, r)
	close(l.done)
	<-ctx.Done()
	return v, hand, err
}

// TestClientGoneAtTheLastMoment: the success is there, and not a byte of it was sent.
func TestClientGoneAtTheLastMoment(t *testing.T) {
	done := make(chan struct{})
	p := newPair(t)
	slow := newPair(t, func(active, _ *rest.Config) { active.Service = lingering{p.Rig, done} })
	hangUp, read := abandon(t, slow.active, "k")
	within(t, "the create is done", done)
	hangUp()
	if text := read(); text != "" {
		t.Errorf("a client that was gone was sent %q", text)
	}
	wantStatus(t, "repeat", create(t, p.active, "k"), 201)
	wantStatus(t, "second caller", create(t, p.active, "k"), 409)
}

// TestClientGoneAfterTheAnswer: who was sent the first byte of its 201 was told, whether it reads it or not.
func TestClientGoneAfterTheAnswer(t *testing.T) {
	p := newPair(t)
	abandon(t, p.active, "k") // and neither reads nor hangs up
	until(t, "the key is there", func() bool {
		return strings.Contains(ask(t, p.active, "GET", "/kms/v1/key/k/_metadata", "").body, `"k"`)
	})
	wantStatus(t, "second caller", create(t, p.active, "k"), 409)
}

// TestFingerprint: the original's way to ask a server who it is, without a login.
func TestFingerprint(t *testing.T) {
	p := newPair(t, func(active, _ *rest.Config) { active.Fingerprint = "4096R/ABC" })
	for target, want := range map[string]string{"/?a=fingerprint": "200 4096R/ABC\n", "/?a=other": "401 ", "/x?a=fingerprint": "401 "} {
		response, err := p.active.Client().Get(p.active.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if got := response.Status[:4] + string(body); !strings.HasPrefix(got, want) {
			t.Errorf("GET %s: %q, want %q", target, got, want)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("GET %s: Cache-Control %q", target, got)
		}
	}
}

// TestPublicServer: HTTP/2 is not spoken, whatever the client offers.
func TestPublicServer(t *testing.T) {
	p := newPair(t)
	server := rest.PublicServer(p.active.Config.Handler)
	server.TLSConfig = &tls.Config{Certificates: p.active.TLS.Certificates}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.ServeTLS(listener, "", "")
	defer server.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	response, err := transport.RoundTrip(mustRequest(t, "OPTIONS", "https://"+listener.Addr().String()+"/kms/v1/?user.name=alice"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 1 || response.StatusCode != 200 {
		t.Errorf("%s %s, want 200 by HTTP/1.1", response.Proto, response.Status)
	}
}

func mustRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestForwardClientGone: the passive's client goes away before the outcome is known.
func TestForwardClientGone(t *testing.T) {
	p := newPair(t)
	held, release := p.hold()
	hangUp, read := abandon(t, p.passive, "k")
	within(t, "the create is held", held)
	hangUp()
	within(t, "the passive has seen it", p.gone)
	release()
	if r := p.reported(t, 1); r[0].told {
		t.Error("a success that nobody was told of is reported as told")
	}
	if text := read(); text != "" {
		t.Errorf("a client that was gone was sent %q", text)
	}
	wantStatus(t, "repeat", create(t, p.passive, "k"), 201)
	wantStatus(t, "second caller", create(t, p.active, "k"), 409)
}

// TestHandover: what the active makes of reports that are lost, doubled or late.
func TestHandover(t *testing.T) {
	t.Run("no report is told", func(t *testing.T) {
		p := newPair(t, func(active, _ *rest.Config) { active.HandDeadline = 50 * time.Millisecond })
		p.loseReports()
		wantStatus(t, "create", create(t, p.passive, "k"), 201)
		wantStatus(t, "second caller", create(t, p.active, "k"), 409)
	})
	t.Run("told counts at once", func(t *testing.T) {
		p := newPair(t, func(active, _ *rest.Config) { active.HandDeadline = time.Hour })
		wantStatus(t, "create", create(t, p.passive, "k"), 201)
		wantStatus(t, "second caller", create(t, p.active, "k"), 409)
	})
	t.Run("a late duplicate of a return", func(t *testing.T) {
		p := newPair(t, func(_, passive *rest.Config) { passive.ForwardDeadline = 100 * time.Millisecond })
		held, release := p.hold()
		wantStatus(t, "create", create(t, p.passive, "k"), 503)
		within(t, "the create is held", held)
		release()
		first := p.reported(t, 1)[0]
		p.loseReports() // so that the second result stays in the passive's hand
		wantStatus(t, "repeat", create(t, p.passive, "k"), 201)
		p.activeReport(first.number, false)
		second := make(chan answer, 1)
		go func() { a, _ := try(p.active, "POST", "/kms/v1/keys", `{"name":"k"}`); second <- a }()
		all := p.reported(t, 2)
		if all[1].number == first.number {
			t.Fatal("two handovers have one number")
		}
		p.activeReport(all[1].number, true)
		p.activeReport(all[1].number, false)
		wantStatus(t, "second caller", <-second, 409)
	})
}
