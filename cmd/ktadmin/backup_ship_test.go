package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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
	if status != exitOK || strings.Count(stdout, "  "+remote+"\n") != 2 || stderr != "note: "+down+" has confirmed 0 of 2; to send what it lacks: ktadmin backup ship\n" {
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
			if _, err := backup.Verify(t.Context(), dir, r.Name); err != nil {
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
