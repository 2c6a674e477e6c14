package auditlog

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/internal/config"
)

// TestCommand: a command is in the audit log when it is carried out, and afterwards how it ended; the receiver of syslog is told of both. One that
// can not be noted is not carried out; that the receiver is away keeps nobody from anything, and is said.
func TestCommand(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			told <- err.Error()
			return
		}
		defer conn.Close()
		text, _ := io.ReadAll(conn)
		told <- string(text)
	}()
	home := t.TempDir()
	c := &config.Config{Confdir: filepath.Join(home, ".keytrustee"), LogDir: filepath.Join(home, "log"), Name: "kt01", ExternalAddress: "kt01", Syslog: "tcp://" + l.Addr().String()}
	lines := func() (notices []string) {
		text, err := os.ReadFile(filepath.Join(c.LogDir, "kms-audit.log"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, notice, _ := strings.Cut(line, " NOTICE")
			notices = append(notices, strings.TrimSpace(notice))
		}
		return notices
	}
	missing, err := Command(c, 7, "root-key/recover", struct{}{}, func() (any, error) {
		if got := lines(); len(got) != 1 || !strings.HasPrefix(got[0], "[kind=act, state=attempt, command=root-key/recover, uid=7, id=") {
			t.Errorf("while it is carried out the audit log has %q", got)
		}
		return map[string]string{"root_key": "ab12"}, nil
	})
	if missing != nil || err != nil {
		t.Errorf("%v, %v", missing, err)
	}
	got := lines()
	if len(got) != 2 || !strings.HasSuffix(got[1], `result="{\"root_key\":\"ab12\"}", host=kt01]`) || !strings.Contains(got[1], "state=done") {
		t.Errorf("the audit log has %q", got)
	}
	if text := <-told; strings.Count(text, "NOTICE[kind=act, ") != 2 {
		t.Errorf("the receiver of syslog was told %q", text)
	}
	l.Close()

	failed := errors.New("the disk is full")
	if missing, err = Command(c, 7, "certs/renew", struct{}{}, func() (any, error) { return nil, failed }); !errors.Is(err, failed) || missing == nil {
		t.Errorf("%v, %v", missing, err)
	}
	if got := lines(); len(got) != 4 || !strings.Contains(got[3], "state=failed") || !strings.HasSuffix(got[3], `"the disk is full"`) {
		t.Errorf("the audit log has %q", got)
	}

	if err := os.Rename(c.LogDir, c.LogDir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.LogDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Command(c, 7, "certs/renew", struct{}{}, func() (any, error) { t.Error("it is carried out and not noted"); return nil, nil }); err == nil {
		t.Error("what is not noted is done")
	}
}
