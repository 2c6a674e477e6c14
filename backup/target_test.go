package backup

import (
	"errors"
	"strings"
	"testing"
)

// TestParseTargets: what is no target is told by its place in the list, with what to do, and a password is never printed.
func TestParseTargets(t *testing.T) {
	good := map[string]string{
		"sftp://backup@store.example.com/srv/kt":    "sftp://backup@store.example.com/srv/kt",
		"sftp://backup@store.example.com:22/srv/kt": "sftp://backup@store.example.com/srv/kt",
		"sftp://backup@10.0.0.7:2222/srv//kt/":      "sftp://backup@10.0.0.7:2222/srv/kt",
		"sftp://backup@[fd00::7]/srv/kt":            "sftp://backup@[fd00::7]/srv/kt",
		"sftp://backup@[fd00::7]:2222/srv/kt":       "sftp://backup@[fd00::7]:2222/srv/kt",
		"file:///mnt/nfs/kt/":                       "file:///mnt/nfs/kt",
		" file:///mnt/a%20b ":                       "file:///mnt/a%20b",
	}
	for text, want := range good {
		targets, err := ParseTargets([]string{text})
		if err != nil || targets[0].String() != want || NeedSSH(targets) != strings.HasPrefix(want, "sftp") {
			t.Errorf("%s: %v, %v", text, targets, err)
		}
	}
	if targets, err := ParseTargets(nil); err != nil || len(targets) != 0 || NeedSSH(targets) {
		t.Errorf("none: %v, %v", targets, err)
	}

	bad := map[string]string{
		"":                                    "is neither",
		"/mnt/nfs/kt":                         "is neither",
		"backup@store:/srv/kt":                "is no target",
		"http://store/srv/kt":                 "is neither",
		"sftp:///srv/kt":                      "names no host",
		"sftp://store/srv/kt":                 "names no user",
		"sftp://@store/srv/kt":                "names no user",
		"sftp://backup@store":                 "names no directory",
		"sftp://backup@store/":                "names no directory",
		"sftp://backup@store/..":              "names no directory",
		"sftp://backup@store:0/srv/kt":        "has no port",
		"sftp://backup@store:/srv/kt":         "names no port",
		"sftp://backup@store:70000/srv/kt":    "has no port",
		"sftp://backup@store:ssh/srv/kt":      "is no target",
		"sftp://backup:hunter2@store/srv/kt":  "has a password",
		"sftp://backup:hunter2@store:x/kt":    "is no target",
		"sftp://backup@store/srv/kt?x=1":      "is no target",
		"sftp://backup@store/srv/kt%0aHost":   "has a control character",
		"file://store/srv/kt":                 "names a host",
		"file:srv/kt":                         "is no target",
		"file:///":                            "names no directory",
		"sftp://ba%0ackup@store.example.com/": "names no directory",
	}
	for text, want := range bad {
		_, err := ParseTargets([]string{"file:///mnt/other", text})
		wrong, ok := errors.AsType[*TargetsError](err)
		if !ok || len(wrong.Faults) != 1 || wrong.Faults[0].Remedy == "" || !strings.Contains(wrong.Error(), "value 2 of 2 "+want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: its password is printed: %v", text, err)
		}
	}

	_, err := ParseTargets([]string{"sftp://a@b/c", "nothing", "sftp://a@b:22/c/"})
	if wrong, ok := errors.AsType[*TargetsError](err); !ok || len(wrong.Faults) != 2 || !strings.Contains(err.Error(), "value 3 of 3 is the same as value 1") {
		t.Errorf("several faults: %v", err)
	}
}
