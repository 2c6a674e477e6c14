package pairtest_test

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/replication/pairtest"
)

// nothingInClear: whatever is written to the disks of the two hosts while keys are made and read, and while a backup is made, read back,
// restored and verified, no key's material and no key-encryption key is in it. The same look finds both where they are written, in each of the
// forms that it knows.
func nothingInClear(t *testing.T, p *pairtest.Pair) {
	secrets := [][]byte{keyEncryptionKey(t, p.Active)}
	if got := keyEncryptionKey(t, p.Passive); string(got) != string(secrets[0]) {
		t.Fatal("the hosts have different key-encryption keys")
	}
	for range 3 {
		material := make([]byte, 16)
		rand.Read(material)
		secrets = append(secrets, material)
	}
	for _, n := range p.Nodes {
		n.WatchFor(t, secrets...)
	}
	for _, material := range secrets[1:] {
		name, text := pairtest.NewKey(), base64.RawURLEncoding.EncodeToString(material)
		if a := p.Active.Do(t, http.MethodPost, "/kms/v1/keys", nil, map[string]any{"name": name, "length": 128, "material": text}); a.Status != http.StatusCreated {
			t.Fatal(a)
		}
		for _, n := range p.Nodes {
			n.AwaitServed(t, name, text)
		}
	}
	recipients := recipientsOf(t)
	backup := func() {
		for _, n := range p.Nodes {
			if _, stderr, status := n.Run(t, "env", recipients, "ktadmin", "backup", "create"); status != 0 {
				t.Fatalf("a backup of %s: %s", n.Name, stderr)
			}
		}
	}
	backup()
	for _, n := range p.Nodes {
		if files := slices.Concat(n.WrittenInClear(t), n.LiesInClear(t, secrets...)); len(files) > 0 {
			t.Errorf("%s: in clear in %q", n.Name, files)
		}
	}

	// Now with what is not sealed, in a table of the same database.
	conn := p.Active.SQL(t)
	defer conn.Close(context.Background())
	for _, text := range []string{
		"create table in_clear (what text)",
		fmt.Sprintf("insert into in_clear values ('%x'), ('%X'), ('%s')", secrets[1], secrets[2], base64.StdEncoding.EncodeToString(slices.Concat([]byte{1}, secrets[3]))),
	} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	backup()
	for _, n := range p.Nodes {
		written := strings.Join(n.WrittenInClear(t), "\n")
		for _, place := range []string{"/db/base/", "/db/pg_wal/", "/data/base/"} {
			if !strings.Contains(written, place) {
				t.Errorf("%s: what is not sealed was not seen in %s but in\n%s", n.Name, place, written)
			}
		}
		for i, secret := range secrets {
			if lies := n.LiesInClear(t, secret); (len(lies) > 0) != (i > 0) {
				t.Errorf("%s: the secret %d lies in %q", n.Name, i, lies)
			}
		}
	}
	if _, err := conn.Exec(t.Context(), "drop table in_clear"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Active.File("/tmp/a-key"), secrets[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if lies := p.Active.LiesInClear(t, secrets[0]); !slices.Equal(lies, []string{"/tmp/a-key"}) {
		t.Errorf("the key-encryption key lies in %q", lies)
	}
}

// recipientsOf is a setting with two recipients, whose identities nobody has.
func recipientsOf(t *testing.T) string {
	t.Helper()
	var texts []string
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, identity.Recipient().String())
	}
	return "KEYTRUSTEE_BACKUP_RECIPIENTS=" + strings.Join(texts, ",")
}

// keyEncryptionKey is what the node's root key opens, by no code of the product.
func keyEncryptionKey(t *testing.T, n *pairtest.Node) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Confdir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the root key is no PEM")
	}
	root, err := hpke.MLKEM768X25519().NewPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	wraps, err := filepath.Glob(filepath.Join(n.Confdir, "kek", "*", block.Headers["Fingerprint"]+".wrap"))
	if err != nil || len(wraps) != 1 {
		t.Fatalf("%d wraps for the root key, %v", len(wraps), err)
	}
	var wrap struct {
		Cluster, KEK, Recipient string
		Made                    time.Time
		Sealed                  []byte
	}
	if text, err = os.ReadFile(wraps[0]); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &wrap); err != nil {
		t.Fatal(err)
	}
	var info []byte
	for _, field := range []string{"keytrustee wrap 1", wrap.Cluster, wrap.KEK, wrap.Made.UTC().Format(time.RFC3339Nano), wrap.Recipient} {
		info = append(binary.BigEndian.AppendUint64(info, uint64(len(field))), field...)
	}
	kek, err := hpke.Open(root, hpke.HKDFSHA256(), hpke.AES256GCM(), info, wrap.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}
