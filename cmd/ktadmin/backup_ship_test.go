package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keytrustee/backup"
	"keytrustee/internal/config"
	"keytrustee/internal/sshtest"
	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestShipCommand: what targets got and lack is told, by the command and by the list, and its exit status says whether all is there.
func TestShipCommand(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s, dir := sshtest.New(t), pgtest.Dir(t)
	b := &backupHost{T: t, Config: &config.Config{Confdir: filepath.Join(dir, "kt01", ".keytrustee")}}
	user, err := postgres.CurrentOSUser()
	if err != nil {
		t.Fatal(err)
	}
	remote, down := s.URL(s.Port), s.URL(pgtest.FreePort(t))
	for key, value := range map[string]string{"USER": user.Name, "BACKUP_TARGETS": remote + "," + down, "BACKUP_SSH_KNOWN_HOSTS": s.KnownHosts, "BACKUP_SSH_KEY": s.Key} {
		t.Setenv("KEYTRUSTEE_"+key, value)
	}
	b.must("init", "--external-address", "127.0.0.1", "--name", "kt01")
	if b.Config, err = config.Load(b.Confdir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.BackupDirectory, 0o700); err != nil {
		t.Fatal(err)
	}
	var made []backup.Receipt
	for hour := range 2 {
		made = append(made, b.handMade(hour))
	}

	stdout, stderr, status := b.ktadmin("backup", "ship")
	if want := "TARGET SENT SIZE REMOVED MISSING " + remote + " 2 0.2 MiB 0 0 " + down + " 0 0.0 MiB 0 2"; strings.Join(strings.Fields(stdout), " ") != want {
		t.Errorf("ship:\n%s", stdout)
	}
	newest := strings.Index(stderr, "sending "+made[1].Name+" to "+remote+", 0.1 MiB…\n")
	if oldest := strings.Index(stderr, "sending "+made[0].Name); status != exitFailed || newest < 0 || oldest < newest ||
		!strings.Contains(stderr, "ktadmin: not every target has every backup: the target "+down+": dial tcp") || !strings.Contains(stderr, "connection refused\nhint: see whether") {
		t.Errorf("ship: %d, %s", status, stderr)
	}
	stdout, stderr, status = b.ktadmin("backup", "list")
	if status != exitOK || strings.Count(stdout, "  "+remote+"\n") != 2 || ofTargets(stderr) != "note: "+down+" has confirmed 0 of 2; to send what it lacks: ktadmin backup ship\n" {
		t.Errorf("list: %d\n%s%s", status, stdout, stderr)
	}
	var listed inventory
	decode(t, b.must("backup", "list", "-o", "json"), &listed)
	if len(listed.Backups) != 2 || !listed.Shipped.Has(remote, made[0]) || listed.Shipped.Has(down, made[0]) {
		t.Errorf("list: %+v", listed)
	}

	t.Setenv("KEYTRUSTEE_BACKUP_TARGETS", remote)
	var deliveries []backup.Delivery
	decode(t, b.must("backup", "ship", "-o", "json"), &deliveries)
	if len(deliveries) != 1 || len(deliveries[0].Sent) != 0 || len(deliveries[0].Missing) != 0 || deliveries[0].Problem != "" {
		t.Errorf("again: %+v", deliveries)
	}
	stick := filepath.Join(dir, "stick")
	if err := os.Mkdir(stick, 0o700); err != nil {
		t.Fatal(err)
	}
	if stdout := b.must("backup", "ship", "--target", "file://"+stick); !strings.Contains(stdout, "file://"+stick+"  2 ") {
		t.Errorf("to one:\n%s", stdout)
	}
	for _, r := range made {
		for _, dir := range []string{s.Store, stick} {
			if _, err := backup.Verify(t.Context(), dir, r.Name, nil); err != nil {
				t.Error(err)
			}
		}
	}
}

// handMade is a backup of no sense, with its receipt: whoever sends it looks at neither.
func (b *backupHost) handMade(hour int) backup.Receipt {
	b.Helper()
	content := bytes.Repeat([]byte{byte(hour)}, 100_000)
	sum := sha256.Sum256(content)
	started := time.Now().UTC().Truncate(time.Hour).Add(time.Duration(hour-9) * time.Hour)
	m := backup.Manifest{Format: backup.Format, Facts: backup.Facts{Cluster: b.ClusterID, Host: "kt01", Epoch: 1}, Started: started}
	r := backup.Receipt{Format: backup.Format, Name: "kt-kt01-e1-" + started.Format("20060102T150405Z"), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Manifest: m}
	text, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.BackupDirectory, r.Name)
	if err := errors.Join(os.WriteFile(path+".ktb", content, 0o600), os.WriteFile(path+".json", text, 0o600)); err != nil {
		b.Fatal(err)
	}
	return r
}

// TestBackupShip: a backup goes to each target when it was made; one that is down costs neither the backup nor the others, is
// told, and gets everything later. What lies at a target is what an identity opens.
func TestBackupShip(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := sshtest.New(t)
	b, mounted := newBackupHost(t), pgtest.Dir(t)
	remote, local := s.URL(s.Port), "file://"+mounted
	for key, value := range map[string]string{"TARGETS": remote + "," + local, "SSH_KNOWN_HOSTS": s.KnownHosts, "SSH_KEY": s.Key} {
		t.Setenv("KEYTRUSTEE_BACKUP_"+key, value)
	}
	listed := func(dir string) (names []string) {
		t.Helper()
		catalog, err := backup.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range catalog.Backups {
			names = append(names, r.Name)
			if _, err := backup.Verify(t.Context(), dir, r.Name, nil); err != nil {
				t.Error(err)
			}
		}
		return names
	}

	stdout, stderr, status := b.ktadmin("backup", "create", "-o", "json")
	var first backup.Receipt
	decode(t, stdout, &first)
	for _, target := range []string{remote, local} {
		if status != exitOK || !strings.Contains(stderr, "sending "+first.Name+" to "+target) || strings.Contains(stderr, "note: the backup") {
			t.Errorf("create: %d, %s", status, stderr)
		}
	}
	for _, dir := range []string{s.Store, mounted} {
		if got := listed(dir); !slices.Equal(got, []string{first.Name}) {
			t.Errorf("%s has %v", dir, got)
		}
		if plain := b.opened(backup.File(dir, first.Name)); !bytes.Contains(plain, []byte("manifest.json")) {
			t.Errorf("%s: what the identity opens is no backup", dir)
		}
	}
	if list := b.must("backup", "list"); !strings.Contains(list, "  "+local+", "+remote+"\n") {
		t.Errorf("list:\n%s", list)
	}

	away := s.Store + ".away"
	if err := os.Rename(s.Store, away); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status = b.ktadmin("backup", "create", "-o", "json")
	var second backup.Receipt
	decode(t, stdout, &second)
	if status != exitOK || !strings.Contains(stderr, "note: the backup was made. not every target has every backup: the target "+remote+": its directory is not there\nhint: mount it") {
		t.Errorf("create: %d, %s", status, stderr)
	}
	kept := listed(b.BackupDirectory) // one, if both are of one hour
	if !slices.Contains(kept, second.Name) || !slices.Equal(listed(mounted), kept) {
		t.Errorf("kept are %v here, and %v elsewhere", kept, listed(mounted))
	}
	_, stderr, _ = b.ktadmin("backup", "list")
	if want := fmt.Sprintf("note: %s has confirmed %d of %d; to send what it lacks: ktadmin backup ship\n", remote, len(kept)-1, len(kept)); ofTargets(stderr) != want {
		t.Errorf("list: %s, want %s", stderr, want)
	}
	if _, stderr, status := b.ktadmin("backup", "ship"); status != exitFailed || !strings.Contains(stderr, "its directory is not there") {
		t.Errorf("ship: %d, %s", status, stderr)
	}
	if err := os.Rename(away, s.Store); err != nil {
		t.Fatal(err)
	}
	var deliveries []backup.Delivery
	decode(t, b.must("backup", "ship", "-o", "json"), &deliveries)
	if len(deliveries) != 2 || !slices.Equal(deliveries[0].Sent, []string{second.Name}) || deliveries[0].Bytes != second.Size || len(deliveries[1].Sent) != 0 {
		t.Errorf("ship: %+v", deliveries)
	}
	if got := listed(s.Store); !slices.Equal(got, kept) {
		t.Errorf("the target has %v, want %v", got, kept)
	}
	_, stderr, _ = b.ktadmin("backup", "list")
	if ofTargets(stderr) != "" {
		t.Errorf("list: %s", stderr)
	}
}

// ofTargets is what list says of what targets have confirmed, and nothing of what else it notes.
func ofTargets(stderr string) (notes string) {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "note: ") && strings.Contains(line, " has confirmed ") {
			notes += line
		}
	}
	return notes
}
