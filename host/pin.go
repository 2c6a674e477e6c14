package host

import (
	"os"

	"keytrustee/certs"
	"keytrustee/replication"
)

// keyOf is how a host with this cluster certificate is recognised beside its name.
func keyOf(certPEM []byte) (string, error) {
	c, err := certs.ParseCertificate(certPEM)
	if err != nil {
		return "", err
	}
	return replication.KeyOf(c), nil
}

// ownKey is how this host is recognised.
func (h *Host) ownKey() (string, error) {
	certPEM, err := os.ReadFile(h.ClusterFiles().Cert)
	if err != nil {
		return "", err
	}
	return keyOf(certPEM)
}
