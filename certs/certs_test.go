package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issue writes the three files of a certificate.
func issue(t *testing.T, a *Authority, dir string, purpose Purpose, name string, hosts ...string) Files {
	t.Helper()
	key, keyPEM, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csrPEM, err := NewCSR(key, name)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := ParseCSR(csrPEM)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, err := a.Sign(csr, purpose, name, hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+"-key.pem"), CA: filepath.Join(dir, name+"-ca.pem")}
	for path, data := range map[string][]byte{f.Cert: certPEM, f.Key: keyPEM, f.CA: a.CertPEM()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority("c1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func reloader(t *testing.T, f Files) *Reloader {
	t.Helper()
	r, err := NewReloader(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAuthorityTravelsAsBytes(t *testing.T) {
	a := authority(t)
	key, err := a.Key()
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenAuthority(a.CertPEM(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.CertPEM(), a.CertPEM()) {
		t.Error("another certificate")
	}
	if _, err := OpenAuthority(authority(t).CertPEM(), key); err == nil {
		t.Error("a foreign key opened the authority")
	}
	if _, err := OpenAuthority(a.CertPEM(), key[1:]); err == nil {
		t.Error("a broken key opened the authority")
	}
}

// handshake returns what the server sees, and the client's and the server's errors.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, cerr, serr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		if err = s.Handshake(); err == nil {
			state = s.ConnectionState()
			_, err = io.WriteString(s, "x")
		}
		done <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	k := tls.Client(c, client)
	if cerr = k.Handshake(); cerr == nil {
		_, cerr = k.Read(make([]byte, 1)) // TLS 1.3: the server's refusal comes with the first read
	}
	c.Close()
	serr = <-done
	return state, cerr, serr
}

func TestClusterIdentity(t *testing.T) {
	a, other, dir := authority(t), authority(t), t.TempDir()
	kt01 := reloader(t, issue(t, a, dir, Cluster, "kt01", "127.0.0.1"))
	kt02 := reloader(t, issue(t, a, dir, Cluster, "kt02", "127.0.0.2"))
	public := reloader(t, issue(t, a, dir, Public, "kt03", "127.0.0.1"))
	foreign := reloader(t, issue(t, other, dir, Cluster, "kt04", "127.0.0.1"))
	name := func(s string) func() string { return func() string { return s } }
	cert, err := ParseCertificate(a.CertPEM())
	if err != nil {
		t.Fatal(err)
	}
	print := FingerprintOf(cert)

	tests := []struct {
		name           string
		server, client *tls.Config
		ok             bool
		is             error
	}{
		{"the pair", kt01.ClusterServer(), kt02.ClusterClient(name("kt01")), true, nil},
		{"another node than expected", kt01.ClusterServer(), kt02.ClusterClient(name("kt09")), false, nil},
		{"a public certificate serves", public.ClusterServer(), kt02.ClusterClient(name("")), false, nil},
		{"a public certificate calls", kt01.ClusterServer(), public.ClusterClient(name("kt01")), false, nil},
		{"another cluster serves", foreign.ClusterServer(), kt02.ClusterClient(name("")), false, ErrForeign},
		{"another cluster calls", kt01.ClusterServer(), foreign.ClusterClient(name("")), false, ErrForeign},
		{"a joiner", kt01.ClusterServer(), JoinerClient(print), true, nil},
		{"a joiner at another cluster", foreign.ClusterServer(), JoinerClient(print), false, ErrForeign},
		{"a joiner at a public certificate", public.ClusterServer(), JoinerClient(print), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, cerr, serr := handshake(t, tt.server, tt.client)
			if ok := cerr == nil && serr == nil; ok != tt.ok {
				t.Fatalf("client: %v; server: %v; want success %v", cerr, serr, tt.ok)
			}
			if tt.is != nil && !errors.Is(cerr, tt.is) {
				t.Fatalf("client: %v, want %v", cerr, tt.is)
			}
		})
	}
	state, _, _ := handshake(t, kt01.ClusterServer(), kt02.ClusterClient(name("kt01")))
	if got, ok := NodeName(state.PeerCertificates[0]); !ok || got != "kt02" {
		t.Errorf("the server saw %q, %v", got, ok)
	}
}

// TestPublicSuites: an old client may speak TLS 1.2, with none but an authenticated cipher.
func TestPublicSuites(t *testing.T) {
	server := reloader(t, issue(t, authority(t), t.TempDir(), Public, "kt01", "127.0.0.1")).PublicConfig()
	for suite, ok := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:    false,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:    false,
	} {
		client := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
		if _, cerr, serr := handshake(t, server, client); (cerr == nil && serr == nil) != ok {
			t.Errorf("%s: client: %v; server: %v; want success %v", tls.CipherSuiteName(suite), cerr, serr, ok)
		}
	}
}

func TestReloaderFollowsTheFiles(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	f := issue(t, a, dir, Public, "kt01", "127.0.0.1")
	r := reloader(t, f)
	seen := func() string {
		r.mu.Lock()
		r.looked = time.Time{} // as if the last look were long ago
		r.mu.Unlock()
		return r.now().cert.Leaf.SerialNumber.String()
	}
	first := seen()
	key, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Key, []byte("half a "), 0o600); err != nil {
		t.Fatal(err)
	}
	if seen() != first {
		t.Error("a broken key was loaded")
	}
	if err := os.WriteFile(f.Key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if seen() != first {
		t.Error("the certificate changed")
	}
	issue(t, a, dir, Public, "kt01", "127.0.0.1")
	if seen() == first {
		t.Error("the new certificate is not served")
	}
	foreign := issue(t, authority(t), t.TempDir(), Public, "kt01")
	if _, err := NewReloader(Files{Cert: f.Cert, Key: f.Key, CA: foreign.CA}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate of another authority was loaded")
	}
}

// TestReloaderTakesNobodyElses: a certificate of the same authority that is another node's, or for another address, is not
// taken, neither at the start nor later.
func TestReloaderTakesNobodyElses(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	f := issue(t, a, dir, Cluster, "kt01", "kt01.example.com")
	f.Node, f.Address = "kt01", "kt01.example.com"
	r := reloader(t, f)
	own := r.now()
	for name, spoil := range map[string]Files{"node": {Node: "kt02", Address: "kt01.example.com"}, "address": {Node: "kt01", Address: "kt02.example.com"}} {
		other := issue(t, a, t.TempDir(), Cluster, spoil.Node, spoil.Address)
		if _, err := NewReloader(Files{Cert: other.Cert, Key: other.Key, CA: other.CA, Node: f.Node, Address: f.Address}, nil); err == nil {
			t.Errorf("another %s: loaded at the start", name)
		}
		for from, to := range map[string]string{other.Cert: f.Cert, other.Key: f.Key} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r.looked = time.Time{} // as if the last look were long ago
		if r.now() != own {
			t.Errorf("another %s: the certificate was taken", name)
		}
	}
}

// TestJava lets the JDK's own client, as Hadoop's uses it, check chain and names, on IPv4 and by name.
func TestJava(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("no java on this machine")
	}
	f := issue(t, authority(t), t.TempDir(), Public, "kt01.example.com", "kt01.example.com", "127.0.0.2")
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.Serve(tls.NewListener(l, reloader(t, f).PublicConfig()))
	defer server.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	get := func(host string) (string, error) {
		out, err := exec.Command(java, "testdata/Get.java", f.CA, "https://"+host+":"+port+"/").CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	for _, host := range []string{"127.0.0.2", "localhost"} {
		if out, err := get(host); err != nil || out != "404" {
			t.Errorf("%s: %v: %s", host, err, out)
		}
	}
	if out, err := get("127.0.0.3"); err == nil || !strings.Contains(out, "No subject alternative names matching IP address 127.0.0.3") {
		t.Errorf("another address: %v: %s", err, out)
	}
}

func TestCSRMustBeSigned(t *testing.T) {
	key, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := NewCSR(key, "kt02")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCSR(csr); err != nil {
		t.Fatal(err)
	}
	block := bytes.Clone(csr)
	i := len(block) - 60 // within the signature
	if block[i] == 'A' {
		block[i] = 'B'
	} else {
		block[i] = 'A'
	}
	if _, err := ParseCSR(block); err == nil {
		t.Error("an altered request passed")
	}
	if _, err := ParseCSR(authority(t).CertPEM()); err == nil {
		t.Error("a certificate passed for a request")
	}
}

func TestPublicCertificateIsNoNode(t *testing.T) {
	f := issue(t, authority(t), t.TempDir(), Public, "kt01")
	text, err := os.ReadFile(f.Cert)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := NodeName(c); ok {
		t.Errorf("it names node %q", name)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("usages %v", c.ExtKeyUsage)
	}
}

// TestRenew: what an authority has signed under one of its certificates is good under the next one, also by the time at which it was
// signed; and another host takes that next one, and neither an earlier one, nor one that would make old signatures void, nor a stranger's.
func TestRenew(t *testing.T) {
	now := time.Now()
	old, err := NewAuthority("c1", now.Add(-19*365*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csrPEM, err := NewCSR(key, "kt01")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := ParseCSR(csrPEM)
	if err != nil {
		t.Fatal(err)
	}
	signed := now.Add(-15 * 365 * 24 * time.Hour)
	certPEM, err := old.Sign(csr, Cluster, "kt01", nil, signed)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ParseCertificate(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	next, err := old.Renew(now)
	if err != nil {
		t.Fatal(err)
	}
	if !next.Expires().After(now.Add(19*365*24*time.Hour)) || !next.Signed(leaf) || authority(t).Signed(leaf) {
		t.Errorf("it ends at %v", next.Expires())
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(next.CertPEM())
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: signed, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}

	late, err := selfSigned(old.key, old.cert.Subject, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := selfSigned(authority(t).key, old.cert.Subject, old.cert.NotBefore, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		from, to *Authority
		ok       bool
	}{
		"the next one":          {old, next, true},
		"its own":               {old, old, true},
		"an earlier one":        {next, old, false},
		"one that begins later": {old, late, false},
		"one of the name":       {old, forged, false},
	} {
		if got, err := row.from.Adopt(row.to.CertPEM()); (err == nil) != row.ok || err == nil && !bytes.Equal(got.CertPEM(), row.to.CertPEM()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
