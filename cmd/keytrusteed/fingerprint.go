package main

import (
	"encoding/hex"
	"os"

	"keytrustee/certs"
)

// fingerprint is what GET /?a=fingerprint says: the kind of the cluster authority's key and the SHA-256 of its certificate.
// It is the same on both hosts, which is what operators of Key Trustee Server compare.
func fingerprint(authorityFile string) (string, error) {
	pem, err := os.ReadFile(authorityFile)
	if err != nil {
		return "", err
	}
	authority, err := certs.ParseCertificate(pem)
	if err != nil {
		return "", err
	}
	of := certs.FingerprintOf(authority)
	return "256E/" + hex.EncodeToString(of[:]), nil
}
