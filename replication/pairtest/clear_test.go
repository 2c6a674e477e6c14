package pairtest_test

import (
	"bytes"
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
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

// nothingInClear: whatever is written to the disks of the two hosts while keys are made and read, while backups are made and tested, and while
// hosts are restored, from a survivor and from a backup, no key's material and no key-encryption key is in it, and nothing that opens one: a
// root key lies in its own file alone, and the identity of a backup and the recovery key lie nowhere. What is not sealed, in a table of the
// same database, is seen in every place where a database is written meanwhile, in each of the forms.
func nothingInClear(t *testing.T, p *pairtest.Pair) {
	a, b := p.Active, p.Passive
	text, err := os.ReadFile(a.File("/root/recovery.key"))
	if err != nil {
		t.Fatal(err)
	}
	identity, setting := recipientsOf(t)
	kek := keyEncryptionKey(t, a)
	secrets := [][]byte{kek, bytes.TrimSpace(text), recoverySeed(t, text), []byte(identity), identitySeed(t, identity), rootSeed(t, a), rootSeed(t, b)}
	var materials, decoys [][]byte
	for range 3 {
		for _, list := range []*[][]byte{&materials, &decoys} {
			made := make([]byte, 16)
			rand.Read(made)
			*list = append(*list, made)
		}
	}
	secrets = slices.Concat(secrets, materials)
	watch := func() {
		t.Helper()
		for _, n := range p.Nodes {
			n.WatchFor(t, slices.Concat(secrets, decoys)...)
		}
	}
	// clear fails the test where a secret was written since watch, or lies in the end; and where what is in clear was not seen in the places.
	clear := func(during string, n *pairtest.Node, places ...string) {
		t.Helper()
		if files := n.WrittenInClear(t, secrets...); len(files) > 0 {
			t.Errorf("%s, %s: written in clear in %q", n.Name, during, files)
		}
		own := rootSeed(t, n)
		others := slices.DeleteFunc(slices.Concat(secrets, [][]byte{rootSeed(t, n.Other())}), func(secret []byte) bool { return bytes.Equal(secret, own) })
		lies := n.LiesInClear(t, slices.Concat(others, decoys, [][]byte{own})...)
		if files := lies(others...); len(files) > 0 {
			t.Errorf("%s, after %s: in clear in %q", n.Name, during, files)
		}
		if files := lies(own); !slices.Equal(files, []string{"/var/lib/keytrustee/.keytrustee/root.key"}) {
			t.Errorf("%s, after %s: its root key lies in %q", n.Name, during, files)
		}
		for i, decoy := range decoys {
			written := strings.Join(n.WrittenInClear(t, decoy), "\n")
			for _, place := range places {
				if !strings.Contains(written, place) {
					t.Errorf("%s, %s: the form %d of what is not sealed was not seen in %s but in\n%s", n.Name, during, i, place, written)
				}
			}
			if len(lies(decoy)) == 0 {
				t.Errorf("%s, after %s: the form %d of what is not sealed lies nowhere", n.Name, during, i)
			}
		}
	}

	watch()
	for _, material := range materials {
		name, text := pairtest.NewKey(), base64.RawURLEncoding.EncodeToString(material)
		if r := a.Do(t, http.MethodPost, "/kms/v1/keys", nil, map[string]any{"name": name, "length": 128, "material": text}); r.Status != http.StatusCreated {
			t.Fatal(r)
		}
		for _, n := range p.Nodes {
			n.AwaitServed(t, name, text)
		}
	}
	exec := func(sql string) {
		t.Helper()
		conn := a.SQL(t)
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	unsealed := fmt.Sprintf("insert into in_clear values ('%x'), ('%X'), ('%s')", decoys[0], decoys[1], base64.StdEncoding.EncodeToString(slices.Concat([]byte{1}, decoys[2])))
	exec("create table in_clear (what text)")
	for _, n := range p.Nodes {
		exec(unsealed) // since the last checkpoint, so that what is copied has it in its log too
		if _, stderr, status := n.Run(t, "env", setting, "ktadmin", "backup", "create"); status != 0 {
			t.Fatalf("a backup of %s: %s", n.Name, stderr)
		}
		clear("a backup", n, "/db/base/", "/db/pg_wal/", "/data/base/")
	}

	backups, err := filepath.Glob(filepath.Join(b.Home, "backups", "kt-"+b.Name+"-*.ktb"))
	if err != nil || len(backups) == 0 {
		t.Fatalf("backups %q, %v", backups, err)
	}
	backup, err := os.ReadFile(backups[len(backups)-1])
	if err != nil {
		t.Fatal(err)
	}
	brings := func(n *pairtest.Node) {
		t.Helper()
		for name, content := range map[string][]byte{"backup.ktb": backup, "identity.txt": []byte(identity), "recovery.txt": text} {
			if err := os.WriteFile(n.File("/root/"+name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys := []string{"--identity", "/root/identity.txt", "--recovery-key", "/root/recovery.txt"}
	watch()
	brings(b)
	ktadmin(t, b, 0, append([]string{"backup", "restore-test", "/root/backup.ktb"}, keys...)...)
	clear("a restore test", b, "/.restore-test/.work/data/base/", "/.restore-test/.work/data/pg_wal/")

	exec(unsealed)
	watch()
	a.Destroy(t)
	a.Rebuild(t)
	pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return a.Writable(t) })
	clear("a restore from the survivor", a, "/db/base/", "/db/pg_wal/")
	clear("a restore of the active", b)

	a.Kill(t)
	b.Kill(t)
	a.Destroy(t)
	b.Destroy(t)
	watch()
	brings(b)
	ktadmin(t, b, 0, append([]string{"restore", "--from-backup", "/root/backup.ktb", "--i-confirm", a.Name + " is powered off"}, keys...)...)
	b.Start(t)
	a.Join(t)
	p.Roles(t)
	pairtest.Await(t, 30*time.Second, "writes are open", func() bool { return b.Writable(t) })
	if !bytes.Equal(keyEncryptionKey(t, b), kek) {
		t.Error("the key-encryption key that was looked for is another one now")
	}
	clear("a restore from a backup", b, "/db/.unpacked/data/base/", "/db/.unpacked/data/pg_wal/")
	clear("the join to what was restored", a, "/db/base/")
	if err := os.WriteFile(b.File("/tmp/a-key"), kek, 0o600); err != nil {
		t.Fatal(err)
	}
	if files := b.LiesInClear(t, kek)(kek); !slices.Equal(files, []string{"/tmp/a-key"}) {
		t.Errorf("the key-encryption key lies in %q", files)
	}
}

// recipientsOf is an identity, and a setting with its recipient and with another one, whose identity nobody has.
func recipientsOf(t *testing.T) (identity, setting string) {
	t.Helper()
	var texts []string
	for range 2 {
		made, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		identity, texts = made.String(), append(texts, made.Recipient().String())
	}
	return identity, "KEYTRUSTEE_BACKUP_RECIPIENTS=" + strings.Join(texts, ",")
}

// identitySeed is the key within an identity's text, which is in Bech32.
func identitySeed(t *testing.T, identity string) []byte {
	t.Helper()
	digits, _ := strings.CutPrefix(identity, "AGE-SECRET-KEY-1")
	seed := new(big.Int)
	for _, digit := range digits[:len(digits)-6] { // the last six are a checksum
		seed.Lsh(seed, 5).Or(seed, big.NewInt(int64(strings.IndexRune("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", digit))))
	}
	raw := seed.Rsh(seed, 4).FillBytes(make([]byte, 32)) // 52 digits are four bits more
	if _, err := age.ParseX25519Identity(identity); err != nil || len(digits) != 58 {
		t.Fatalf("an identity of %d digits, %v", len(digits), err)
	}
	return raw
}

// recoverySeed is the key within a recovery key's text.
func recoverySeed(t *testing.T, text []byte) []byte {
	t.Helper()
	digits, _ := strings.CutPrefix(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""), "ktrecovery1")
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(digits))
	if err != nil || len(raw) != 32+3 {
		t.Fatalf("a recovery key of %d bytes, %v", len(raw), err)
	}
	return raw[:32]
}

// rootSeed is the node's root key.
func rootSeed(t *testing.T, n *pairtest.Node) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Confdir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the root key is no PEM")
	}
	return block.Bytes
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
