package main

import (
	"fmt"
	"os"
	"time"

	"keytrustee/backup"
	"keytrustee/host"
)

// note keeps what was shown, if this is a host of the backup's pair.
func (t *restoreTest) note(tested backup.Tested) error {
	if t.config == nil || t.config.ClusterID != tested.Cluster {
		t.say("note: no host of the pair knows of this test yet. Keep what this command says with -o json, and on a host: ktadmin backup restore-test --record FILE")
		return nil
	}
	t.say("note: the identity and the recovery key were on a host of the pair just now, where neither belongs. Test on a computer of whoever keeps them: docs/backup.md")
	return backup.NoteTest(hostOf(t.config).RestoreTestFile(), tested, time.Now())
}

// recordTest notes a test that was made elsewhere.
func (a *app) recordTest(file string) error {
	text, err := os.ReadFile(file) // as the user who called
	if err != nil {
		return usagef("--record: %w", err)
	}
	tested, err := backup.ParseTested(text)
	if err != nil {
		return usagef("--record: %s is not what restore-test -o json says: %w", file, err)
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	if tested.Cluster != c.ClusterID {
		return usagef("--record: the backup %s is of the cluster %s, and this host of %s", tested.Name, tested.Cluster, c.ClusterID)
	}
	if r, found, err := backup.ReceiptOf(c.BackupDirectory, tested.Name); err != nil {
		return err
	} else if found && r.SHA256 != tested.SHA256 {
		return &host.HintedError{Err: fmt.Errorf("the test was of a file with the SHA-256 %s, and the backup %s, which this host made, has %s", tested.SHA256, r.Name, r.SHA256),
			Hint: "another file was tested under this name: find out where it came from, and test the one that this host made"}
	}
	if err := backup.NoteTest(hostOf(c).RestoreTestFile(), tested, time.Now()); err != nil {
		return usagef("--record: %w", err)
	}
	return a.result(tested, testedRows(tested))
}

// testedRows is what a restore test has shown, for people.
func testedRows(t backup.Tested) []row {
	of, newer := "the base backup, and the logical dump", fmt.Sprintf("%d, in the base backup alone", t.Newer)
	if t.DumpAlone != "" {
		of, newer = "the logical dump alone: "+t.DumpAlone, "-"
	}
	return []row{
		{"backup", t.Name},
		{"tested", stamp(t.Tested) + ", with PostgreSQL " + t.PostgreSQL},
		{"restored", of},
		{"begun", stamp(t.Started)},
		{"sha256", t.SHA256},
		{"made by", madeBy(t.Authenticated)},
		{"keys", fmt.Sprint(t.Rows.Keys)},
		{"versions", fmt.Sprintf("%d, each opened with the recovery key", t.Rows.Versions)},
		{"changes", fmt.Sprint(t.Rows.Changes)},
		{"newer rows", newer},
		{"host", t.Host},
		{"cluster", t.Cluster},
		{"identity of", backup.ShortRecipient(t.Recipient)},
		{"recovery key", t.RecoveryKey},
	}
}

// madeBy says how it is known who made a backup that was unpacked.
func madeBy(authenticated bool) string {
	if authenticated {
		return "a host of this cluster, by the recovery key"
	}
	return "whoever made the file of that SHA-256, which was given; the backup itself does not show it"
}
