package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"

	"keytrustee/backup"
)

// TestBackupUnits: the timer and the line for cron, which are there for hosts whose daemon makes no backups, call a command that exists,
// at a time that can be read, as the service's user.
func TestBackupUnits(t *testing.T) {
	options := func(name string) map[string]string {
		t.Helper()
		f, err := os.Open("../../packaging/systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all, err := unit.DeserializeOptions(f)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, o := range all {
			values[o.Section+" "+o.Name] = o.Value
		}
		return values
	}
	calls := func(words []string) {
		t.Helper()
		i := slices.Index(words, "/usr/bin/ktadmin")
		if i < 0 {
			t.Fatalf("%q calls something else", words)
		}
		cmd, rest, err := newRootCommand(new(app)).Find(slices.DeleteFunc(words[i+1:], func(w string) bool { return strings.HasPrefix(w, "$") }))
		if err != nil || cmd.CommandPath() != "ktadmin backup create" || len(rest) > 0 {
			t.Errorf("%q is %s with %q, %v", words, cmd.CommandPath(), rest, err)
		}
	}
	service, timer := options("keytrustee-backup.service"), options("keytrustee-backup.timer")
	calls(strings.Fields(service["Service ExecStart"]))
	if service["Service User"] != "keytrustee" || service["Service Type"] != "oneshot" || timer["Timer Persistent"] != "yes" && timer["Timer Persistent"] != "true" ||
		!strings.HasSuffix(timer["Timer OnCalendar"], " UTC") || timer["Install WantedBy"] != "timers.target" {
		t.Errorf("the units are %v and %v", service, timer)
	}

	text, err := os.ReadFile("../../packaging/cron.d/keytrustee-backup")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " 2>")
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "MAILTO=") {
			continue
		}
		lines++
		words := strings.Fields(line)
		if s, err := backup.ParseSchedule(strings.Join(words[:5], " ")); err != nil || s.String() == backup.Off || words[5] != "keytrustee" {
			t.Errorf("%q: %v", line, err)
		}
		calls(words[6:])
	}
	if lines != 1 || !strings.HasSuffix(string(text), "\n") {
		t.Errorf("cron has %d lines", lines)
	}
}
