package audit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"keytrustee/internal/freeport"
	"keytrustee/kms"
)

// rsyslog starts a real rsyslogd that takes TLS on a port and writes what it understood, as RFC 5424, into a file.
func rsyslog(t *testing.T, dir string, port int, certPEM, keyPEM []byte) (stop func()) {
	t.Helper()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, text, 0o600))
		return path
	}
	cert, key := write("cert.pem", certPEM), write("key.pem", keyPEM)
	config := write("rsyslog.conf", fmt.Appendf(nil, `
global(workDirectory=%q defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile=%[2]q defaultNetstreamDriverCertFile=%[2]q defaultNetstreamDriverKeyFile=%[3]q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="%[4]d")
action(type="omfile" file=%[5]q template="RSYSLOG_SyslogProtocol23Format")
`, dir, cert, key, port, filepath.Join(dir, "received.log")))
	path, err := exec.LookPath("rsyslogd")
	if err != nil {
		path = "/usr/sbin/rsyslogd"
	}
	cmd := exec.Command(path, "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("rsyslogd: %v (tools/need rsyslogd installs it)", err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("rsyslogd ended with %v: %s", err, said.String())
		}
	}
	t.Cleanup(stop)
	await(t, "rsyslogd listens", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return stop
}

// TestRsyslogUnderstands: the receiver that most sites run takes every message as it was meant, over TLS, and misses none when
// it is started again.
func TestRsyslogUnderstands(t *testing.T) {
	dir := t.TempDir()
	ports, err := freeport.Pick(1, "127.0.0.1")
	must(t, err)
	_, certPEM, keyPEM := certificate(t)
	stop := rsyslog(t, dir, ports[0], certPEM, keyPEM)
	s, _ := running(t, SyslogConfig{Address: fmt.Sprintf("127.0.0.1:%d", ports[0]), TLS: trusting(t, certPEM)})
	r := newRecorder(t, Config{Syslog: s})
	must(t, r.Record(create(1)))
	must(t, r.Note(Notice{At: start, Kind: "gate", Fields: []Field{{"state", "closed"}, {"host", `"é], x=`}}, Text: "the passive kt02\ncan not be reached", Grave: true}))
	must(t, r.Record(kms.Event{At: start, Result: kms.AuditOK, Op: kms.AuditCreateKey, Key: "100 % <34>1\n<34>1 - -", Principal: alice, Extra: strings.Repeat("x", 2*maxText)}))
	received := func() (texts []string) {
		text, _ := os.ReadFile(filepath.Join(dir, "received.log"))
		for line := range strings.Lines(string(text)) {
			m, err := rfc5424.NewParser(rfc5424.WithBestEffort()).Parse([]byte(strings.TrimSuffix(line, "\n")))
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if m := m.(*rfc5424.SyslogMessage); m.Appname != nil && *m.Appname == "keytrusteed" {
				texts = append(texts, *m.Message)
			}
		}
		return texts
	}
	await(t, "three messages in its file", func() bool { return len(received()) == 3 })
	stop()
	must(t, r.Note(Notice{At: start, Kind: "gate", Fields: []Field{{"state", "open"}}}))
	rsyslog(t, dir, ports[0], certPEM, keyPEM)
	await(t, "the fourth, after its return", func() bool { return len(received()) >= 4 })
	seen := received()
	for _, line := range content(t, r) {
		if text := line[len(stamp)+1:]; !slices.Contains(seen, text) {
			t.Errorf("rsyslogd has no %q among\n%s", text, strings.Join(seen, "\n"))
		}
	}
	if s.Lost() != 0 {
		t.Errorf("%d messages are said to be lost", s.Lost())
	}
}
