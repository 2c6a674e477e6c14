package host

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/kms/seal"
	"keytrustee/replication"
)

// ends gives the certificates of the files another end. The authority's own ends then too, if its file is among them.
func ends(t *testing.T, h *Host, at time.Time, files ...string) {
	t.Helper()
	remade(t, h, func(c *x509.Certificate) { c.NotAfter = at }, files...)
}

// remade changes the certificates of the files, and has the authority sign them again.
func remade(t *testing.T, h *Host, change func(*x509.Certificate), files ...string) {
	t.Helper()
	ring, err := seal.Load(h.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := h.authority(ring)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := authority.Key()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		c := parse(t, file)
		change(c)
		parent := parse(t, h.AuthorityFile())
		if c.IsCA {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, c.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// good checks that both certificates of h are good for years, for the keys that they had.
func good(t *testing.T, h *Host, keys [2]*ecdsa.PublicKey) {
	t.Helper()
	whole(t, h)
	for i, f := range []certs.Files{h.ClusterFiles(), h.PublicFiles()} {
		c := parse(t, f.Cert)
		if !keys[i].Equal(c.PublicKey) {
			t.Errorf("%s is for another key", f.Cert)
		}
		pool := x509.NewCertPool()
		pool.AddCert(parse(t, f.CA))
		if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Now().Add(4 * 365 * 24 * time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s: %v", f.Cert, err)
		}
	}
}

func keysOf(t *testing.T, h *Host) (keys [2]*ecdsa.PublicKey) {
	t.Helper()
	for i, file := range []string{h.ClusterFiles().Cert, h.PublicFiles().Cert} {
		key, ok := parse(t, file).PublicKey.(*ecdsa.PublicKey)
		if !ok {
			t.Fatalf("%s is for no ECDSA key", file)
		}
		keys[i] = key
	}
	return keys
}

// TestRenew: certificates that have ended become good ones for the same keys, and a second time changes no key either. One for clients that
// is another authority's stays as it is.
func TestRenew(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	keys := keysOf(t, h)
	ends(t, h, time.Now().Add(-time.Minute), h.ClusterFiles().Cert, h.PublicFiles().Cert)
	s, err := h.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Certificates {
		if what, do := c.Trouble(time.Now()); (c.Name() != "authority") != strings.Contains(what, "EXPIRED") || what != "" && !strings.Contains(do, "ktadmin certs renew") {
			t.Errorf("of %s it says %q: %q", c.Name(), what, do)
		}
	}
	for range 2 {
		if err := h.RenewCertificates(t.Context(), RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		good(t, h, keys)
	}

	other := newHost(t, "kt01", 1)
	mustInit(t, other)
	for from, to := range map[string]string{other.PublicFiles().Cert: h.PublicFiles().Cert, other.PublicFiles().Key: h.PublicFiles().Key, other.PublicFiles().CA: h.PublicFiles().CA} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := parse(t, h.PublicFiles().Cert)
	if err := h.RenewCertificates(t.Context(), RenewOptions{}); err != nil {
		t.Fatal(err)
	}
	if !before.Equal(parse(t, h.PublicFiles().Cert)) {
		t.Error("a certificate of another authority was replaced")
	}
	if s, err = h.Status(); err != nil || !slices.ContainsFunc(s.Certificates, func(c Certificate) bool { return c.Name() == "public" && c.Foreign }) {
		t.Errorf("%v: %+v", err, s.Certificates)
	}
}

// TestRenewAuthority: while the authority has ended nothing is renewed; its next certificate makes the host's good again, also on the
// other host, which takes it and no other; and what was wrapped before opens under it.
func TestRenewAuthority(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	keys := keysOf(t, h)
	end := time.Now().Truncate(time.Second).Add(time.Second) // after this host has wrapped its key-encryption key under it
	ends(t, h, end, h.AuthorityFile(), h.ClusterFiles().Cert, h.PublicFiles().Cert, h.PublicFiles().CA)
	time.Sleep(time.Until(end.Add(time.Millisecond)))
	text, err := os.ReadFile(h.AuthorityFile())
	if err != nil {
		t.Fatal(err)
	}
	second := newHost(t, "kt01", 1) // as the other host is: the same cluster, the same ca.pem
	second.ClusterID = h.ClusterID
	if err := os.MkdirAll(second.Home(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(second.Confdir, os.DirFS(h.Confdir)); err != nil {
		t.Fatal(err)
	}
	chmodSecrets(t, second)
	if err := errors.Join(durable.MkdirAll(second.NodeDir(), 0o700), second.bind(), os.Chmod(second.ClusterFiles().Key, 0o600), os.Chmod(second.PublicFiles().Key, 0o600)); err != nil {
		t.Fatal(err)
	}

	before := content(t, h.Confdir)
	err = h.RenewCertificates(t.Context(), RenewOptions{})
	if err == nil || !strings.Contains(hintOf(err), "ktadmin certs renew --authority") {
		t.Fatalf("with an expired authority: %v (%s)", err, hintOf(err))
	}
	for path, text := range content(t, h.Confdir) {
		if before[path] != text {
			t.Errorf("refused, and %s was changed", path)
		}
	}
	all := points(t, h, func() error { return h.RenewCertificates(t.Context(), RenewOptions{Authority: true}) })
	if len(all) != 2 {
		t.Errorf("points: %v", all)
	}
	good(t, h, keys)

	stranger := newHost(t, "kt01", 1)
	mustInit(t, stranger)
	foreign, err := os.ReadFile(stranger.AuthorityFile())
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := os.ReadFile(h.AuthorityFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.RenewCertificates(t.Context(), RenewOptions{Adopt: foreign}); err == nil || hintOf(err) == "" {
		t.Errorf("another cluster's authority: %v", err)
	}
	if err := second.RenewCertificates(t.Context(), RenewOptions{Adopt: renewed}); err != nil {
		t.Fatal(err)
	}
	good(t, second, keys)
	if own, err := os.ReadFile(second.AuthorityFile()); err != nil || !bytes.Equal(own, renewed) {
		t.Errorf("%v; the hosts have two certificates of one authority", err)
	}
	if err := second.RenewCertificates(t.Context(), RenewOptions{Adopt: text}); err == nil {
		t.Error("the authority's earlier certificate was taken again")
	}
}

// TestRenewRepeatedAfterACrash: between any two of its files the certificates that lie there fit together, and the command completes them.
func TestRenewRepeatedAfterACrash(t *testing.T) {
	for n := range 2 {
		h := newHost(t, "kt01", 1)
		mustInit(t, h)
		keys := keysOf(t, h)
		h.failpoint = crashAt(n)
		if err := h.RenewCertificates(t.Context(), RenewOptions{Authority: true}); !errors.Is(err, errCrash) {
			t.Fatalf("it did not crash: %v", err)
		}
		h.failpoint = nil
		whole(t, h)
		if err := h.RenewCertificates(t.Context(), RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		good(t, h, keys)
	}
}

// TestRenewDue: a daemon renews what ends within 30 days and what has ended, and nothing else: neither what is good for longer nor what is
// not the cluster's, nor what can not be made to end later.
func TestRenewDue(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	both := []string{h.ClusterFiles().Cert, h.PublicFiles().Cert}
	day := 24 * time.Hour
	for _, row := range []struct {
		in    time.Duration
		files []string
		due   bool
	}{
		{31 * day, both, false},
		{29 * day, both[:1], true},
		{29 * day, both[1:], true},
		{-time.Minute, both, true},
		{29 * day, append([]string{h.AuthorityFile()}, both...), false}, // as late as they can
	} {
		ends(t, h, time.Now().Add(row.in), row.files...)
		renewed, err := h.RenewDue(t.Context(), time.Now())
		if err != nil || renewed != row.due {
			t.Errorf("%d files that end in %v: renewed %v, %v", len(row.files), row.in, renewed, err)
		}
	}

	h, other := newHost(t, "kt01", 1), newHost(t, "kt01", 1)
	mustInit(t, h)
	mustInit(t, other)
	ends(t, other, time.Now().Add(time.Hour), other.PublicFiles().Cert)
	text, err := os.ReadFile(other.PublicFiles().Cert)
	if err == nil {
		err = os.WriteFile(h.PublicFiles().Cert, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if renewed, err := h.RenewDue(t.Context(), time.Now()); renewed || err != nil {
		t.Errorf("a certificate of another authority: %v, %v", renewed, err)
	}
}

// TestRenewWithAWrongClock: a clock that is years ahead, or behind, when certificates are renewed leaves them good for all the time that
// they were good for. What was made in the future is said, and due; before the authority begins nothing is.
func TestRenewWithAWrongClock(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	keys := keysOf(t, h)
	both := []string{h.ClusterFiles().Cert, h.PublicFiles().Cert}
	year, now := 365*24*time.Hour, time.Now()
	renews := func(at time.Time, want bool) {
		t.Helper()
		was := []*x509.Certificate{parse(t, both[0]), parse(t, both[1])}
		renewed, err := h.RenewDue(t.Context(), at)
		if err != nil || renewed != want {
			t.Fatalf("at %v: renewed %v, %v", at, renewed, err)
		}
		for i, file := range both {
			if c := parse(t, file); c.NotBefore.After(was[i].NotBefore) || c.NotAfter.Before(was[i].NotAfter) || c.NotBefore.After(at) && want {
				t.Errorf("at %v: %s is good from %v to %v, and was from %v to %v", at, file, c.NotBefore, c.NotAfter, was[i].NotBefore, was[i].NotAfter)
			}
		}
	}
	renews(now.Add(6*year), true)
	good(t, h, keys)
	renews(now, false)
	renews(now.Add(-6*year), false) // no authority yet

	for i, file := range both {
		remade(t, h, func(c *x509.Certificate) { c.NotBefore = now.Add(3 * year) }, file)
		s, err := h.Status()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Certificates {
			if what, do := c.Trouble(now); (c.File == file) != (strings.Contains(what, "is good only from") && strings.Contains(do, "ktadmin certs renew")) {
				t.Errorf("of %s it says %q: %q", c.File, what, do)
			}
		}
		renews(now, true)
		good(t, h, keys)
		if !parse(t, both[i]).NotBefore.Before(now) {
			t.Errorf("%s is not good yet", file)
		}
	}
	begins := now.Add(time.Hour)
	if what, do := (Certificate{File: "ca.pem", Begins: begins, Expires: begins.Add(year)}).Trouble(now); what == "" || !strings.Contains(do, "put the clock right") {
		t.Errorf("of an authority that begins later it says %q: %q", what, do)
	}
}

// TestRenewWhatWasRemoved: a certificate that is gone is made anew, the pair's for the key that is there.
func TestRenewWhatWasRemoved(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	keys := keysOf(t, h)
	for i, file := range []string{h.ClusterFiles().Cert, h.PublicFiles().Cert} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := h.RenewCertificates(t.Context(), RenewOptions{}); err != nil {
			t.Fatal(err)
		}
		now := keysOf(t, h)
		if !now[0].Equal(keys[0]) || i == 1 && now[1].Equal(keys[1]) {
			t.Errorf("without %s: the keys are other ones than they should be", file)
		}
		good(t, h, now)
	}
}

// TestForeignRenewal: the summary sends nobody to ktadmin certs renew for a certificate that this command leaves alone.
func TestForeignRenewal(t *testing.T) {
	n := Node{Name: "kt02", Certificates: map[string]float64{"public": 3, "cluster": 3}, Foreign: []string{"public"}}.judged()
	for _, p := range n.Problems {
		if own := strings.Contains(p.Message, "on kt02: ktadmin certs renew"); own != strings.Contains(p.Message, "the cluster") || own == strings.Contains(p.Message, "ask whoever has signed it") {
			t.Errorf("%q", p.Message)
		}
	}
	if len(n.Problems) != 2 {
		t.Errorf("%+v", n.Problems)
	}
	at := time.Now()
	b := &replication.Beside{Certificates: map[string]time.Time{"public": at}, Foreign: []string{"public"}}
	if n := fromReport(replication.Report{Beside: b}, at); !slices.Equal(n.Foreign, b.Foreign) {
		t.Errorf("of the report came %v", n.Foreign)
	}
	files := Sight{At: at, Status: Status{Certificates: []Certificate{{File: "ssl-cert-keytrustee.pem", Foreign: true}, {File: "cluster.pem"}}}}
	if n := files.fromFiles(); !slices.Equal(n.Foreign, b.Foreign) {
		t.Errorf("of the files came %v", n.Foreign)
	}
}

// TestCertificateOfTomorrow: a certificate that is not good yet makes its host BAD, by its daemon's word and by its files, with what to look at: the
// clock first, and then, where that helps, another certificate. A clock that is a moment behind is none that is wrong.
func TestCertificateOfTomorrow(t *testing.T) {
	at := time.Date(2026, 11, 29, 15, 0, 0, 0, time.UTC)
	begins := map[string]time.Time{"public": at.Add(24 * time.Hour), "cluster": at.Add(time.Second), "authority": at.Add(24 * time.Hour)}
	ends := map[string]time.Time{}
	var files []Certificate
	for name, file := range map[string]string{"public": "ssl-cert-keytrustee.pem", "cluster": "cluster.pem", "authority": "ca.pem"} {
		ends[name] = at.Add(365 * 24 * time.Hour)
		files = append(files, Certificate{File: file, Begins: begins[name], Expires: ends[name]})
	}
	sight := Sight{At: at, Status: Status{Certificates: files}}
	for word, n := range map[string]Node{
		"its daemon's": fromReport(replication.Report{Beside: &replication.Beside{Certificates: ends, Begins: begins}}, at),
		"its files'":   sight.fromFiles(),
	} {
		n.Name, n.Problems = "kt02", nil
		n = n.judged()
		const good = " certificate is good only from 2026-11-30 15:00:00 UTC on, so kt02's clock is wrong, or was when it was made: "
		if n.Summary != Bad || len(n.Problems) != 2 || n.Problems[0].Message != "the authority"+good+"put the clock right ("+certificatePage+")" ||
			n.Problems[1].Message != "the public"+good+"see that the clock is right; if it is, on kt02: ktadmin certs renew ("+certificatePage+")" {
			t.Errorf("by %s word: %s, %+v", word, n.Summary, n.Problems)
		}
	}
}

// TestRenewBesideAnOperation: a host whose join has not ended keeps the certificates that it had until it has.
func TestRenewBesideAnOperation(t *testing.T) {
	h := newHost(t, "kt01", 1)
	mustInit(t, h)
	if err := h.saveJournal(&Journal{Operation: restoreOperation, Step: "ask", Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	before := content(t, h.Confdir)
	err := h.RenewCertificates(t.Context(), RenewOptions{})
	if err == nil || !strings.Contains(hintOf(err), "ktadmin restore") {
		t.Errorf("%v (%s)", err, hintOf(err))
	}
	for path, text := range content(t, h.Confdir) {
		if before[path] != text {
			t.Errorf("%s was changed", path)
		}
	}
}
