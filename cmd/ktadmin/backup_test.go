package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// backupHost is an active, alone, with its database.
type backupHost struct {
	*testing.T
	*config.Config
	host       *host.Host
	server     *postgres.Server
	identity   *age.X25519Identity // the last of
	identities []*age.X25519Identity
	recovery   string // the file of the recovery key
}

func newBackupHost(t *testing.T) *backupHost {
	t.Helper()
	b := &backupHost{T: t}
	for range 2 {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		b.identity = identity
		b.identities = append(b.identities, identity)
	}
	dir := pgtest.Dir(t)
	b.recovery = filepath.Join(dir, "recovery.key")
	b.found(dir, "--recovery-key-out", b.recovery)
	return b
}

// found makes the host's cluster and its database below dir, and starts that.
func (b *backupHost) found(dir string, more ...string) {
	t := b.T
	t.Helper()
	user, err := postgres.CurrentOSUser()
	if err != nil {
		t.Fatal(err)
	}
	var recipients []string
	for _, identity := range b.identities {
		recipients = append(recipients, identity.Recipient().String())
	}
	for key, value := range map[string]string{
		"USER": user.Name, "SOCKET_DIR": filepath.Join(dir, "s"), "LISTEN_ADDRESS": "127.0.0.1", "DB_PORT": strconv.Itoa(pgtest.FreePort(t)),
		"CLUSTER_PORT": strconv.Itoa(pgtest.FreePort(t)), "BACKUP_RECIPIENTS": strings.Join(recipients, ","),
		"BACKUP_KEEP_HOURLY": "1", "BACKUP_KEEP_DAILY": "0", "BACKUP_KEEP_WEEKLY": "0",
	} {
		t.Setenv("KEYTRUSTEE_"+key, value)
	}
	b.Config = &config.Config{Confdir: filepath.Join(dir, "kt01", ".keytrustee")}
	b.must(append([]string{"init", "--external-address", "127.0.0.1", "--name", "kt01"}, more...)...)
	b.must("db", "--bootstrap")
	if b.Config, err = config.Load(b.Confdir); err != nil {
		t.Fatal(err)
	}
	b.host = hostOf(b.Config)
	if b.server, err = b.host.Server(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.host.RunDB(pgtest.Context(t)); err != nil {
		t.Fatal(err)
	}
	pgtest.Start(t, b.server)
}

func (b *backupHost) ktadmin(args ...string) (stdout, stderr string, status int) {
	b.Helper()
	cmd := exec.Command("ktadmin", append(args, "--confdir", b.Confdir)...)
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		b.Fatal(err)
	}
	return out.String(), text.String(), cmd.ProcessState.ExitCode()
}

func (b *backupHost) must(args ...string) (stdout string) {
	b.Helper()
	stdout, stderr, status := b.ktadmin(args...)
	if status != exitOK {
		b.Fatalf("ktadmin %s: %d, %s", strings.Join(args, " "), status, stderr)
	}
	return stdout
}

func (b *backupHost) sql(text string, args ...any) {
	b.Helper()
	ctx := pgtest.Context(b.T)
	conn, err := pgx.Connect(ctx, b.server.ConnString(host.Database))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "set synchronous_commit = local"); err != nil { // there is no passive
		b.Fatal(err)
	}
	if _, err := conn.Exec(ctx, text, args...); err != nil {
		b.Fatal(err)
	}
}

// key makes a key of one version, as the daemon would.
func (b *backupHost) key(name kms.KeyName, material string) {
	b.Helper()
	ring, err := seal.Load(b.Confdir)
	if err != nil {
		b.Fatal(err)
	}
	ref := kms.VersionRef{ID: kms.NewID(), KeyID: kms.NewID(), Key: name, Name: kms.NthVersionName(name, 0), Cipher: "AES/CTR/NoPadding"}
	v, err := ring.Seal(ref, kms.NewMaterial([]byte(material)))
	if err != nil {
		b.Fatal(err)
	}
	b.sql(`insert into key (id, name, generation, cipher, bit_length, attributes, created, created_by) values ($1, $2, 0, $3, 128, '{}', now(), 'alice')`,
		ref.KeyID, string(name), ref.Cipher)
	b.sql(`insert into key_version (id, key_id, ordinal, name, kek, sealed, check_value) values ($1, $2, 0, $3, $4, $5, $6)`,
		ref.ID, ref.KeyID, string(ref.Name), v.KEK, v.Sealed, v.Check)
	b.sql(`insert into key_change (id, key_id, seq, kind, version_id, at, by_whom, from_where) values ($1, $2, 0, 'created', $3, now(), 'alice', '')`,
		kms.NewID(), ref.KeyID, ref.ID)
}

// TestBackup: a host with keys is backed up, and what an identity opens holds neither a key's material nor a private key;
// a version that does not open is named, and there is no backup then.
func TestBackup(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	var empty backup.Receipt
	decode(t, b.must("backup", "create", "-o", "json"), &empty)
	if empty.Rows != (backup.Count{}) || empty.Manifest.Host != "kt01" || empty.Manifest.Duty != "active" || empty.Manifest.RecoveryKey == "" {
		t.Errorf("before the daemon ever ran: %+v", empty)
	}

	if err := pgstore.Migrate(pgtest.Context(t), b.server.ConnString(host.Database)); err != nil {
		t.Fatal(err)
	}
	const material = "0123456789abcdefghijklmnopqrstuv"
	b.key("payroll", material)
	b.key("a name with\na line feed", material)
	b.key("purged", material) // and swept: it is in the backup, and counts for nothing
	for seq, kind := range []string{"deleted", "purged"} {
		b.sql(`insert into key_change (id, key_id, seq, kind, at, by_whom, from_where) select $1, id, $2, $3, now(), 'alice', '10.0.0.1' from key where name = 'purged'`, kms.NewID(), seq+1, kind)
	}
	b.sql(`update key_version set sealed = null where name = 'purged@0'`)
	stdout, stderr, status := b.ktadmin("backup", "create")
	if status != exitOK || !strings.Contains(stdout, "keys           2\n") || !strings.Contains(stdout, ", by a restore on kt01\n") ||
		!strings.HasSuffix(stderr, "looking for every version in it…\nremoved "+empty.Name+", which is not kept any longer\n") {
		t.Fatalf("create: %d\n%s%s", status, stdout, stderr)
	}
	var catalog backup.Catalog
	decode(t, b.must("backup", "list", "-o", "json"), &catalog)
	if len(catalog.Backups) != 1 || len(catalog.LeftOut) != 0 {
		t.Fatalf("listed are %+v", catalog)
	}
	r := catalog.Backups[0]
	if r.Rows != (backup.Count{Keys: 2, Versions: 2, Changes: 5}) {
		t.Errorf("the receipt %+v", r)
	}
	if list := b.must("backup", "list"); strings.Count(list, "\n") != 2 || !strings.Contains(list, r.Name) {
		t.Errorf("list:\n%s", list)
	}
	var shown backup.Receipt
	decode(t, b.must("backup", "show", r.Name, "-o", "json"), &shown)
	if shown.SHA256 != r.SHA256 || !strings.Contains(b.must("backup", "show", r.Name), r.SHA256) {
		t.Errorf("show: %+v", shown)
	}
	stdout, stderr, status = b.ktadmin("backup", "verify", r.Name)
	if status != exitOK || !strings.Contains(stdout, "the same as when it was verified") || !strings.Contains(stderr, "only that identity can prove") {
		t.Errorf("verify: %d, %s, %s", status, stdout, stderr)
	}

	file := backup.File(b.BackupDirectory, r.Name)
	plain := b.opened(file)
	b.holdsNoSecret(plain, material)
	files := streamOf(t, plain, "config.tar")
	for _, name := range []string{".keytrustee/ca.pem", ".keytrustee/keytrustee.yaml", ".keytrustee/recovery.pub", ".keytrustee/sealed/authority.box", "node/state.json",
		"node/node.yaml", ".keytrustee/.ssl/cluster.pem", ".keytrustee/kek/" + r.Manifest.KEKs[0] + "/" + r.Manifest.RecoveryKey + ".wrap"} {
		if len(files[name]) == 0 {
			t.Errorf("%s is not in the backup", name)
		}
	}
	for name := range files {
		if strings.Contains(name, "key.pem") || strings.Contains(name, "-pk.pem") || strings.HasSuffix(name, "root.key") {
			t.Errorf("%s is in the backup", name)
		}
	}

	if text, err := os.ReadFile(file); err != nil || os.WriteFile(file, text[:len(text)-1], 0o600) != nil {
		t.Fatal(err)
	}
	if _, stderr, status := b.ktadmin("backup", "verify", r.Name); status != exitFailed || !strings.Contains(stderr, "hint: use another one") {
		t.Errorf("verify of a file that was cut: %d, %s", status, stderr)
	}

	b.sql(`update key_change set seq = 1 where key_id <> (select id from key where name = 'purged')`) // as if its first change were gone
	if _, stderr, status := b.ktadmin("backup", "create"); status != exitFailed || !strings.Contains(stderr, "keys without their creation") {
		t.Errorf("a row that is gone: %d, %s", status, stderr)
	}
	b.sql(`update key_change set seq = 0 where key_id <> (select id from key where name = 'purged')`)
	b.sql(`update key_version set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where name = 'payroll@0'`)
	_, stderr, status = b.ktadmin("backup", "create")
	if status != exitFailed || !strings.Contains(stderr, `version "payroll@0"`) || !strings.Contains(stderr, "hint: it was not published") {
		t.Errorf("a flipped byte: %d, %s", status, stderr)
	}
	decode(t, b.must("backup", "list", "-o", "json"), &catalog)
	if len(catalog.Backups) != 0 || len(catalog.LeftOut) != 1 || catalog.LeftOut[0].File != r.Name+".ktb" {
		t.Errorf("listed are %+v", catalog)
	}
	if text := b.must("backup", "schedule"); !strings.Contains(text, `which FAILED: `) || !strings.Contains(text, `version "payroll@0"`) || !strings.Contains(text, "none on this host") {
		t.Errorf("schedule:\n%s", text)
	}
	err := filepath.WalkDir(b.BackupDirectory, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// opened is what the identity reads of a backup: a tar.
func (b *backupHost) opened(file string) []byte {
	b.Helper()
	f, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	in, err := age.Decrypt(f, b.identity)
	if err != nil {
		b.Fatal(err)
	}
	plain, err := io.ReadAll(in)
	if err != nil {
		b.Fatal(err)
	}
	return plain
}

// holdsNoSecret looks for the material of keys, and for every private key of the host.
func (b *backupHost) holdsNoSecret(plain []byte, material string) {
	b.Helper()
	secrets := map[string][]byte{"material": []byte(material)}
	for _, file := range []string{seal.RootPath(b.Confdir), b.host.ClusterFiles().Key, b.host.PublicFiles().Key} {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			b.Fatalf("%s is no key", file)
		}
		secrets[file] = block.Bytes
	}
	for name, secret := range secrets {
		for _, form := range [][]byte{secret, []byte(hex.EncodeToString(secret)), []byte(base64.StdEncoding.EncodeToString(secret)[:40]), []byte(base64.URLEncoding.EncodeToString(secret)[:40])} {
			if bytes.Contains(plain, form) {
				b.Errorf("%s is in the backup", name)
			}
		}
	}
	if !bytes.Contains(plain, []byte("payroll@0")) {
		b.Error("the search finds nothing, not even a name")
	}
}

// streamOf is the content of a tar within a backup.
func streamOf(t *testing.T, plain []byte, stream string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, content := range untarred(t, plain) {
		if strings.HasPrefix(name, stream+".") {
			for name, content := range untarred(t, content) {
				files[name] = content
			}
		}
	}
	return files
}

func untarred(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	files, in := map[string][]byte{}, tar.NewReader(bytes.NewReader(text))
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}
