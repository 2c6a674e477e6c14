package runbook_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keytrustee/kms/seal"
	"keytrustee/replication/pairtest"
)

// The certificates of a host, by their names in the confdir.
const (
	clusterCert = ".ssl/cluster.pem"
	publicCert  = ".ssl/ssl-cert-keytrustee.pem"
	publicCA    = ".ssl/ssl-cert-keytrustee-ca.pem"
	authority   = "ca.pem"
)

func certificate(t *testing.T, at *pairtest.Node, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, at, confdir+name)))
	if block == nil {
		t.Fatalf("%s of %s holds nothing", name, at.Name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ends gives certificates of the host another end, signed as its authority signs.
func ends(t *testing.T, at *pairtest.Node, end time.Time, names ...string) {
	t.Helper()
	ring, err := seal.Load(at.Confdir)
	if err != nil {
		t.Fatal(err)
	}
	box, err := os.ReadFile(filepath.Join(at.Confdir, "sealed", "authority.box"))
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := ring.OpenBox("authority", box)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		c := certificate(t, at, name)
		c.NotAfter = end
		parent := certificate(t, at, authority)
		if c.IsCA {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, c.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		put(t, at, confdir+name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
}

// shown is when the first of the certificates ends that the host shows, to its clients and by its database.
func shown(t *testing.T, n *night, at *pairtest.Node) time.Time {
	t.Helper()
	first := shownBy(t, n, strings.TrimPrefix(at.URL, "https://"), "")
	if second := shownBy(t, n, at.Address+":"+strconv.Itoa(at.PGPort), "\x00\x00\x00\x08\x04\xd2\x16\x2f"); second.Before(first) { // an SSLRequest
		return second
	}
	return first
}

// shownBy begins TLS with a server, which says first that it may if it has to be asked.
func shownBy(t *testing.T, n *night, address, ask string) time.Time {
	t.Helper()
	conn, err := n.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ask != "" {
		yes := make([]byte, 1)
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, yes); err != nil || yes[0] != 'S' {
			t.Fatalf("%s answers %q, %v", address, yes, err)
		}
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0].NotAfter
}

// certificateExpired: certificates that soon end are renewed while clients write; those that have ended while the hosts were down are renewed
// when they start; and with the authority's the pair stands still, until the page is typed.
func certificateExpired(t *testing.T, n *night, page *pairtest.Page) {
	const renew, show = "ktadmin certs renew", "ktadmin certs show"
	years := time.Now().Add(4 * 365 * 24 * time.Hour)

	soon := time.Now().Add(10 * 24 * time.Hour)
	for _, at := range n.Nodes {
		ends(t, at, soon, clusterCert, publicCert)
		if out, errs, status := at.Run(t, "/bin/sh", "-c", "kill -HUP $(head -n 1 /var/lib/keytrustee/db/postmaster.pid)"); status != 0 {
			t.Fatal(out, errs)
		}
	}
	says(t, n.Active, "cluster summary", "the cluster certificate expires in 10 days: on "+n.Passive.Name+": ktadmin certs renew (docs/runbook/certificate-expired.md)")
	for _, at := range n.Nodes {
		says(t, at, "status", "certificate the public certificate expires at ", "on this host: ktadmin certs renew", "docs/runbook/certificate-expired.md")
	}
	before := openSince(t, n.Active)
	for _, at := range n.Nodes {
		if out, _ := page.Type(t, at, 0, show, nil); !strings.Contains(out, "in 9 days") {
			t.Errorf("%s: %s", at.Name, out)
		}
		pairtest.Await(t, 5*time.Second, "the database shows it", func() bool { return shown(t, n, at).Before(years) })
		page.Type(t, at, 0, renew, nil)
		pairtest.Await(t, 5*time.Second, "the new ones are shown", func() bool { return shown(t, n, at).After(years) })
	}
	n.creates(t)
	if after := openSince(t, n.Active); after != before {
		t.Errorf("writes were open since %s, and are since %s", before, after)
	}

	for _, at := range n.Nodes {
		at.Stop(t)
		ends(t, at, time.Now().Add(-time.Minute), clusterCert, publicCert)
	}
	for _, at := range n.Nodes {
		at.Begin(t)
	}
	n.whole(t)
	for _, at := range n.Nodes {
		at.Logged(t, "certificates that were to end soon, or were not good yet, are renewed")
	}

	for _, at := range n.Nodes {
		at.Stop(t)
	}
	end := time.Now().Truncate(time.Second) // after the last wrap was signed under it
	ends(t, n.Active, end, authority, publicCA, clusterCert, publicCert)
	put(t, n.Passive, confdir+authority, read(t, n.Active, confdir+authority))
	put(t, n.Passive, confdir+publicCA, read(t, n.Active, confdir+publicCA))
	ends(t, n.Passive, end, clusterCert, publicCert)
	for _, at := range n.Nodes {
		at.Begin(t)
	}
	says(t, n.Active, "status", "passive_unreachable", "it shows a certificate that is good from", "Renew it on "+n.Passive.Name+": ktadmin certs renew", "the authority certificate EXPIRED at", "on one host: ktadmin certs renew --authority")
	says(t, n.Passive, "status", "active_unreachable", "it shows a certificate that is good from", "docs/runbook/certificate-expired.md")
	says(t, n.Active, "cluster summary", "the authority certificate has EXPIRED: on one host: ktadmin certs renew --authority")
	if a := n.Active.Create(t, pairtest.NewKey()); a.Err == nil || !strings.Contains(a.Err.Error(), "certificate has expired") {
		t.Errorf("a client says %v", a)
	}
	for _, at := range n.Nodes {
		page.Type(t, at, 0, "date -u", nil)
		page.Type(t, at, 0, show, nil)
	}
	if _, errs := page.Type(t, n.Active, 3, renew, nil); !strings.Contains(errs, "ktadmin certs renew --authority") {
		t.Errorf("with an expired authority it says %s", errs)
	}
	page.Type(t, n.Active, 0, "ktadmin certs renew --authority", nil)
	put(t, n.Passive, "/root/ca.pem", read(t, n.Active, confdir+authority))
	page.Type(t, n.Passive, 0, "ktadmin certs renew --authority-from CA", map[string]string{"CA": "/root/ca.pem"})
	if err := os.WriteFile(n.CAFile, []byte(read(t, n.Passive, confdir+authority)), 0o644); err != nil {
		t.Fatal(err)
	}
	n.whole(t)
	for _, at := range []*pairtest.Node{n.Passive, n.Active} {
		page.Type(t, at, 0, "systemctl restart keytrusteed", nil)
	}
	for _, at := range n.Nodes {
		n.reads(t, at)
		if end := shown(t, n, at); end.Before(years) {
			t.Errorf("%s shows a certificate that ends at %v", at.Name, end)
		}
	}
	if a, b := n.Active.Do(t, "GET", "/", map[string][]string{"a": {"fingerprint"}}, nil), n.Passive.Do(t, "GET", "/", map[string][]string{"a": {"fingerprint"}}, nil); string(a.Body) != string(b.Body) {
		t.Errorf("the hosts tell of two authorities: %q and %q", a.Body, b.Body)
	}
}

// openSince is since when writes are open, as status says.
func openSince(t *testing.T, at *pairtest.Node) string {
	t.Helper()
	out, _, _ := at.Ktadmin(t, "status")
	line, _, _ := strings.Cut(out, "\n")
	if !strings.Contains(line, "open since") {
		t.Fatalf("%s: %s", at.Name, out)
	}
	return line
}
