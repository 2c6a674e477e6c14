package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"keytrustee/host"
	"keytrustee/replication"
)

// TestBesideCertificates: the other host, and who asks it, is told from when to when each certificate is good, and which another authority has signed.
func TestBesideCertificates(t *testing.T) {
	begins := time.Date(2026, 11, 30, 15, 0, 0, 0, time.UTC)
	ends := begins.Add(time.Hour)
	var b replication.Beside
	certificates(&b, []host.Certificate{{File: "/c/ca.pem", Begins: begins, Expires: ends}, {File: "/c/.ssl/ssl-cert-keytrustee.pem", Begins: ends, Expires: ends, Foreign: true}})
	if !maps.Equal(b.Begins, map[string]time.Time{"authority": begins, "public": ends}) || !maps.Equal(b.Certificates, map[string]time.Time{"authority": ends, "public": ends}) ||
		!slices.Equal(b.Foreign, []string{"public"}) {
		t.Errorf("%+v", b)
	}
}
