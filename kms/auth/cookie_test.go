package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// vector is a cookie that Hadoop's own classes signed and read back.
type vector struct {
	Secret       string
	User         string
	Principal    string
	Type         string
	MaxInactives int64
	Expires      int64
	Raw          string
	Signed       string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/cookies.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(text, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) < 5 {
		t.Fatalf("%d vectors, want 5 or more", len(vs))
	}
	return vs
}

func TestTicketAsHadoopSignsIt(t *testing.T) {
	for _, v := range vectors(t) {
		want := ticket{User: v.User, Principal: v.Principal, Type: v.Type, MaxInactive: v.MaxInactives, Expires: v.Expires}
		if got := want.String(); got != v.Raw {
			t.Errorf("text is %q, want %q", got, v.Raw)
		}
		if got := sign(v.Raw, []byte(v.Secret)); got != v.Signed {
			t.Errorf("signed is %q, want %q", got, v.Signed)
		}
		text, err := unsign(v.Signed, Secrets{Current: []byte("new"), Previous: []byte(v.Secret)})
		if err != nil {
			t.Errorf("%q under the previous secret: %v", v.Signed, err)
			continue
		}
		if got, err := parseTicket(text); err != nil || got != want {
			t.Errorf("ticket of %q is %+v, %v, want %+v", text, got, err, want)
		}
		if _, err := unsign(v.Signed, Secrets{Current: []byte("new")}); err == nil {
			t.Errorf("%q is believed under another secret", v.Signed)
		}
		if _, err := unsign(strings.TrimRight(v.Signed, "="), Secrets{Current: []byte(v.Secret)}); err == nil {
			t.Errorf("%q is believed without its signature's padding", v.Signed)
		}
	}
}

func TestCookieValue(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    string
		found   bool
	}{
		{nil, "", false},
		{[]string{"a=b"}, "", false},
		{[]string{`a=b; hadoop.auth="u=x&s=1="; c=d`}, "u=x&s=1=", true},
		{[]string{`hadoop.auth=u=x&s=1=`}, "u=x&s=1=", true},
		{[]string{`hadoop.auth=`}, "", true},
		{[]string{`hadoop.auth=""`}, "", true},
		{[]string{`HADOOP.AUTH=x`}, "", false},
		{[]string{`hadoop.auth=first; hadoop.auth="second"`}, "first", true},
		{[]string{`x`, `hadoop.auth="a;b" ;y`}, "a;b", true},
		{[]string{`hadoop.auth="a"b"`}, `a"b`, true},
		{[]string{`x; ;hadoop.auth="ü"`}, "ü", true},
		{[]string{`z="hadoop.auth=no"; hadoop.auth=yes`}, "yes", true},
		{[]string{`hadoop.auth="open`}, `"open`, true},
	} {
		if got, found := cookieValue(c.headers, cookieName); got != c.want || found != c.found {
			t.Errorf("cookie in %q is %q, %v, want %q, %v", c.headers, got, found, c.want, c.found)
		}
	}
}

// FuzzCookie: whatever a client sends, it is somebody only by a signature of ours.
func FuzzCookie(f *testing.F) {
	secret := []byte("wire-secret")
	good := sign(ticket{"alice", "alice", typeSimple, -1, 4102444800000}.String(), secret)
	f.Add(`hadoop.auth="` + good + `"`)
	f.Add(`hadoop.auth=` + good + `; x=y`)
	f.Add(`hadoop.auth="` + strings.Replace(good, "alice", "bob", 1) + `"`)
	f.Add(`hadoop.auth=""; "`)
	f.Add(`;=;"; hadoop.auth`)
	f.Add(`hadoop.auth="` + sign("u=a&p=a&t=simple-dt&e=-1&zz", secret) + `"`)
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{header}
		s := testSimple(t)
		p, err := s.Authenticate(http.Header{}, r)
		if err != nil {
			return
		}
		value, _ := cookieValue(r.Header["Cookie"], cookieName)
		if text, err := unsign(value, Secrets{Current: secret}); err != nil || !strings.Contains(text, p.Full) {
			t.Fatalf("%q is %q without a signature over that name", header, p.Full)
		}
	})
}

// FuzzName: a name that is accepted comes back unchanged from the cookie that it gets.
func FuzzName(f *testing.F) {
	for _, name := range []string{"alice", "alice@EXAMPLE.COM", "a/h@R", `a"b`, "a;b", "a=b", "ü", " ", "", "a&b", "a\nb", "@", `";`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := testSimple(t)
		answer := http.Header{}
		first, err := s.Authenticate(answer, httptest.NewRequest("GET", "/?user.name="+url.QueryEscape(name), nil))
		if err != nil {
			return
		}
		value, _, _ := strings.Cut(strings.TrimSuffix(answer.Get("Set-Cookie"), "; HttpOnly"), "; Path")
		if strings.Contains(name, `";`) || strings.HasSuffix(name, `"`) {
			return // ambiguous between its quotes: the client logs in again
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", value)
		second, err := s.Authenticate(http.Header{}, r)
		if err != nil || second != first {
			t.Fatalf("%q came back from %q as %+v, %v", name, value, second, err)
		}
	})
}

func testSimple(t *testing.T) *Simple {
	t.Helper()
	s, err := New(Config{
		Secrets: func() (Secrets, error) { return Secrets{Current: []byte("wire-secret")}, nil },
		Now:     func() time.Time { return time.UnixMilli(1_800_000_000_000) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
