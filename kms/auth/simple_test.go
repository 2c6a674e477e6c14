package auth

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keytrustee/kms"
)

const aliceCookie = `hadoop.auth="u=alice&p=alice&t=simple-dt&e=4102444800000&s=JGrg3hYEnDDC1TiSFNysjAOjyuKLqm0GRoUYr374H5A="`

func TestAuthenticate(t *testing.T) {
	const cleared = "hadoop.auth=; HttpOnly"
	signed := func(text string) string { return `hadoop.auth="` + sign(text, []byte("wire-secret")) + `"` }
	for _, c := range []struct {
		name, method, target, cookie, token string
		full, short                         string // "": nobody
		setCookie                           string // "new": a fresh one
		again                               bool
		sentence                            string
	}{
		{name: "nothing", target: "/", setCookie: cleared, again: true, sentence: "Authentication required"},
		{name: "cookie", target: "/", cookie: aliceCookie, full: "alice", short: "alice"},
		{name: "cookie wins over name", target: "/?user.name=bob", cookie: aliceCookie, full: "alice", short: "alice"},
		{name: "cookie wins over token", target: "/?delegation=x", cookie: aliceCookie, full: "alice", short: "alice"},
		{name: "name", target: "/?user.name=bob", full: "bob", short: "bob", setCookie: "new"},
		{name: "name, POST", method: "POST", target: "/?user.name=bob", full: "bob", short: "bob", setCookie: "new"},
		{name: "first name counts", target: "/?user.name=bob&user.name=alice", full: "bob", short: "bob", setCookie: "new"},
		{name: "name with instance", target: "/?user.name=a/h@R", full: "a/h@R", short: "a", setCookie: "new"},
		{name: "name empty", target: "/?user.name=", setCookie: cleared, again: true, sentence: "user.name is empty"},
		{name: "name with ampersand", target: "/?user.name=a%26b", setCookie: cleared, again: true, sentence: "user.name contains &"},
		{name: "name with line feed", target: "/?user.name=a%0Ab", setCookie: cleared, again: true, sentence: "user.name contains a control character"},
		{name: "long name", target: "/?user.name=" + strings.Repeat("a", 512), full: strings.Repeat("a", 512), short: strings.Repeat("a", 512), setCookie: "new"},
		{name: "name too long", target: "/?user.name=" + strings.Repeat("a", 513), setCookie: cleared, again: true, sentence: "user.name is longer than 512 bytes"},
		{name: "parameter in capitals", target: "/?USER.NAME=a", setCookie: cleared, again: true, sentence: "Authentication required"},
		{name: "bad cookie and name", target: "/?user.name=bob", cookie: "hadoop.auth=x", full: "bob", short: "bob", setCookie: "new"},
		{name: "bad cookie", target: "/", cookie: "hadoop.auth=x&s=y", setCookie: cleared, again: true, sentence: "Invalid signature"},
		{name: "expired", target: "/", cookie: signed("u=a&p=a&t=simple-dt&e=1000"), setCookie: cleared, again: true, sentence: "AuthenticationToken expired"},
		{name: "unused too long", target: "/", cookie: signed("u=a&p=a&t=simple-dt&i=1000&e=-1"), setCookie: cleared, again: true, sentence: "AuthenticationToken expired"},
		{name: "never expires", target: "/", cookie: signed("u=a&p=a&t=simple-dt&e=-1"), full: "a", short: "a"},
		{name: "other type", target: "/", cookie: signed("u=a&p=a&t=kerberos-dt&e=-1"), setCookie: cleared, again: true, sentence: "Invalid AuthenticationToken type"},
		{name: "principal counts", target: "/", cookie: signed("u=a&p=b/h@R&t=simple-dt&e=-1"), full: "b/h@R", short: "b"},
		{name: "token", target: "/", token: "x", sentence: "delegation tokens are not accepted by this server; log in by name"},
		{name: "empty token in the query, and a name", target: "/?delegation=&user.name=a", sentence: "delegation tokens are not accepted by this server; log in by name"},
		{name: "acts for another", target: "/?doAs=bob", cookie: aliceCookie, sentence: "User: alice is not allowed to impersonate bob"},
		{name: "acts for another, capitals", target: "/?DOAS=bob", cookie: aliceCookie, sentence: "User: alice is not allowed to impersonate bob"},
		{name: "acts for himself", target: "/?doAs=alice", cookie: aliceCookie, sentence: "User: alice is not allowed to impersonate alice"},
		{name: "acts for another by name", target: "/?doAs=bob&user.name=a", setCookie: "new", sentence: "User: a is not allowed to impersonate bob"},
		{name: "acts for nobody", target: "/?doAs=", cookie: aliceCookie, sentence: "doAs is empty; name the user to act for, or leave it out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			method := c.method
			if method == "" {
				method = "GET"
			}
			r := httptest.NewRequest(method, c.target, nil)
			r.RemoteAddr = "[2001:db8::1]:4711"
			if c.cookie != "" {
				r.Header.Set("Cookie", c.cookie)
			}
			if c.token != "" {
				r.Header.Set("X-Hadoop-Delegation-Token", c.token)
			}
			answer := http.Header{}
			p, err := testSimple(t).Authenticate(answer, r)
			if got := answer.Get("Set-Cookie"); c.setCookie == "new" && !believed(t, got) || c.setCookie != "new" && got != c.setCookie {
				t.Errorf("Set-Cookie is %q, want %q", got, c.setCookie)
			}
			if got := answer.Get("WWW-Authenticate") == "PseudoAuth"; got != c.again {
				t.Errorf("asks for a login: %v, want %v", got, c.again)
			}
			if c.full == "" {
				if err == nil || err.Error() != c.sentence {
					t.Fatalf("error is %v, want %q", err, c.sentence)
				}
				var e *Error
				if errors.As(err, &e) && e.LoginAgain() != c.again {
					t.Errorf("LoginAgain is %v, want %v", e.LoginAgain(), c.again)
				}
				return
			}
			want := kms.Principal{Short: c.short, Full: c.full, Method: kms.Simple, Addr: "2001:db8::1"}
			if err != nil || p != want {
				t.Errorf("principal is %+v, %v, want %+v", p, err, want)
			}
		})
	}
}

// believed reports whether the cookie of a Set-Cookie header logs in.
func believed(t *testing.T, setCookie string) bool {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", setCookie)
	_, err := testSimple(t).Authenticate(http.Header{}, r)
	return err == nil
}

func TestSetCookieAsHadoopWritesIt(t *testing.T) {
	s := testSimple(t)
	s.Path, s.Domain, s.Persistent = "/kms", "example.com", true
	r := httptest.NewRequest("OPTIONS", "/kms/v1/?user.name=alice", nil)
	r.TLS = &tls.ConnectionState{}
	answer := http.Header{}
	if _, err := s.Authenticate(answer, r); err != nil {
		t.Fatal(err)
	}
	const text = "u=alice&p=alice&t=simple-dt&e=1800036000000"
	want := `hadoop.auth="` + sign(text, []byte("wire-secret")) + `"; Path=/kms; Domain=example.com; Expires=Fri, 15-Jan-2027 18:00:00 GMT; Secure; HttpOnly`
	if got := answer.Get("Set-Cookie"); got != want {
		t.Errorf("Set-Cookie is %q, want %q", got, want)
	}
	r = httptest.NewRequest("OPTIONS", "/kms/v1/", nil)
	answer = http.Header{}
	s.Authenticate(answer, r)
	want = "hadoop.auth=; Path=/kms; Domain=example.com; Expires=Thu, 01-Jan-1970 00:00:00 GMT; HttpOnly"
	if got := answer.Get("Set-Cookie"); got != want {
		t.Errorf("Set-Cookie is %q, want %q", got, want)
	}
}

func TestSecretsNotLoaded(t *testing.T) {
	s := testSimple(t)
	s.Secrets = func() (Secrets, error) {
		return Secrets{}, kms.NotReadyError("kt01", kms.ReasonStarting, "kt01 has no cookie secret yet")
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", aliceCookie)
	answer := http.Header{}
	_, err := s.Authenticate(answer, r)
	var notReady *kms.ReadOnlyError
	if !errors.As(err, &notReady) || notReady.Remedy != kms.ElsewherePeer {
		t.Errorf("error is %v, want one that sends the client to the peer", err)
	}
	if len(answer) != 0 {
		t.Errorf("headers are %v: a client's good cookie must survive", answer)
	}
}

func TestRolledSecret(t *testing.T) {
	s := testSimple(t)
	s.Secrets = func() (Secrets, error) { return Secrets{Current: []byte("next"), Previous: []byte("wire-secret")}, nil }
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", aliceCookie)
	if _, err := s.Authenticate(http.Header{}, r); err != nil {
		t.Errorf("a cookie signed with the previous secret: %v", err)
	}
	s.Now = func() time.Time { return time.UnixMilli(4102444800001) }
	if _, err := s.Authenticate(http.Header{}, r); err == nil {
		t.Error("an expired cookie is believed")
	}
}

func TestPeer(t *testing.T) {
	want := kms.Principal{Short: "bob", Full: "bob\n@R ü", Method: kms.Simple, Addr: "::1",
		Real: &kms.Principal{Short: "hive", Full: "hive/h@R", Method: kms.Simple, Addr: "::1"}}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set(PrincipalHeader, "stale")
	Assert(r.Header, want)
	got, err := Peer{}.Authenticate(nil, r)
	if err != nil || got.Identity() != want.Identity() || got.Short != want.Short || got.Addr != want.Addr || got.Real.Short != "hive" {
		t.Errorf("asserted principal is %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "!", "e30", "bnVsbA", "eyJzaG9ydCI6ImEifQ"} {
		r.Header.Set(PrincipalHeader, bad)
		if p, err := (Peer{}).Authenticate(nil, r); err == nil {
			t.Errorf("%q is believed to be %+v", bad, p)
		}
	}
}
