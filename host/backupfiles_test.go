package host

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keytrustee/kms/seal"
	"keytrustee/postgres/pgtest"
)

// TestBackupFiles: what a rebuilt host needs is there, and no private key, also where one lies in the file of a certificate.
func TestBackupFiles(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	h := newHost(t, "kt01", 1)
	_, recovery, err := seal.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Init(pgtest.Context(t), InitOptions{Recovery: &recovery}); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(h.PublicFiles().Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(h.PublicFiles().Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.PublicFiles().Cert, slices.Concat(key, cert, key), 0o600); err != nil {
		t.Fatal(err)
	}

	files, err := h.BackupFiles()
	if err != nil {
		t.Fatal(err)
	}
	wraps, err := seal.ReadWraps(h.Confdir)
	if err != nil || len(wraps) != 2 {
		t.Fatal(wraps, err)
	}
	want := []string{
		".keytrustee/.ssl/cluster.pem", ".keytrustee/.ssl/ssl-cert-keytrustee-ca.pem", ".keytrustee/.ssl/ssl-cert-keytrustee.pem", ".keytrustee/ca.pem",
		".keytrustee/keytrustee.yaml", ".keytrustee/recovery.pub", ".keytrustee/sealed/authority.box", ".keytrustee/sealed/cookie.box", "node/node.yaml",
	}
	for _, w := range wraps {
		want = append(want, filepath.Join(".keytrustee", "kek", w.KEK, w.Recipient+".wrap"))
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("files\n%q\nwant\n%q", got, want)
	}
	for name, text := range files {
		if bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte("KEYTRUSTEE ROOT KEY")) {
			t.Errorf("%s holds a private key", name)
		}
	}
	if got := string(files[".keytrustee/.ssl/ssl-cert-keytrustee.pem"]); strings.TrimSpace(got) != strings.TrimSpace(string(cert)) {
		t.Errorf("the certificate is\n%s", got)
	}
}
