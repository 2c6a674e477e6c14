package replication

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestConsole: what an operator is told to paste reaches this host's PostgreSQL, and SQL in quotes arrives as it was written. Without
// a server that it knows, it is as the pages have it.
func TestConsole(t *testing.T) {
	want := `runuser -u keytrustee -- psql -h /run/keytrustee -p 11381 -U ktsuper -d postgres -c "select pg_wal_replay_resume()"`
	if got := (State{}).peerConsole().run(resumeReplay); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := wordings[ReplayPaused].remedy; !strings.HasSuffix(got, want) {
		t.Errorf("the reason says %s", got)
	}
	server := newServer(t, nil)
	m := newLone(t, func(c *Config) { c.Server = server })
	command := m.console().run("select 'it''s ' || current_user")
	if os.Getuid() != 0 { // who may not become another user is this one already
		command = strings.TrimPrefix(command, "runuser -u "+server.Admins[0]+" -- ")
	}
	shell := exec.CommandContext(pgtest.Context(t), "sh", "-c", command)
	shell.Env = append(os.Environ(), "PATH="+strings.TrimSuffix(server.Path("psql"), "/psql")+":"+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "it's ktsuper") {
		t.Errorf("%s: %v, %s", command, err, out)
	}
	if do := (Status{console: m.console()}).impostor(); !strings.Contains(do, " -h "+server.Socket+" ") || !strings.Contains(do, "pg_terminate_backend(PID)") {
		t.Errorf("an impostor is told of with %s", do)
	}
}
