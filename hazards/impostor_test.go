package hazards_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
	"keytrustee/replication/pairtest"
)

// TestH07Impostor: something streams under the passive's name, in other letters, while the passive is dead, and PostgreSQL takes it for the
// synchronous standby. No write is acknowledged on its word.
func TestH07Impostor(t *testing.T) {
	for _, program := range []string{"pg_receivewal", "pg_basebackup"} {
		t.Run(program, func(t *testing.T) {
			p := confirmed(t)
			admin := p.Active.SQL(t)
			name := strings.ToUpper(strings.Trim(query[string](t, admin, "SHOW synchronous_standby_names"), `"`))
			known, material := create(t, p.Active)
			p.Passive.Kill(t)
			imitate(t, p, program, name)
			pairtest.Await(t, 10*time.Second, "PostgreSQL takes the impostor for the passive", func() bool {
				return query[int](t, admin, "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'", name) > 0
			})
			stays(t, 2*time.Second, "no write is acknowledged", func() error {
				if a := p.Active.Create(t, pairtest.NewKey()); a.Status != 503 || a.Took > 2*time.Second {
					return fmt.Errorf("a create: %v", a)
				}
				return nil
			})
			if served(t, p.Active, known) != material {
				t.Error("another key is served")
			}
			refused(t, p.Active, "identity_mismatch", "passive_unreachable", "passive_daemon_down")

			p.Passive.Start(t) // beside the impostor
			_, sentence := awaitComplaint(t, p.Active, "identity_mismatch")
			if !strings.Contains(sentence, "pg_stat_replication") {
				t.Errorf("who finds the impostor with this? %s", sentence)
			}
			stays(t, 2*time.Second, "no write is acknowledged beside an impostor", func() error {
				if a := p.Active.Create(t, pairtest.NewKey()); a.Status != 503 {
					return fmt.Errorf("a create: %v", a)
				}
				return nil
			})
		})
	}
}

// imitate lets a program of PostgreSQL's own stream from the active under that name until the end of the test, as the administrator may.
func imitate(t *testing.T, p *pairtest.Pair, program, name string) {
	t.Helper()
	installation, err := postgres.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(p.Active.AdminDSN)
	if err != nil {
		t.Fatal(err)
	}
	dsn := postgres.ConnString("host", config.Host, "port", strconv.Itoa(p.Active.PGPort), "user", postgres.Superuser, "application_name", name)
	args := []string{"-d", dsn, "-D", pgtest.Dir(t)}
	if program == "pg_basebackup" {
		args = append(args, "--max-rate=32k", "--checkpoint=fast") // as slow as it can be made
	} else {
		args = append(args, "--synchronous") // it reports what it has flushed
	}
	cmd := exec.Command(installation.Path(program), args...)
	user, err := postgres.LookupOSUser(p.User)
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one of them has a child
	if user.UID != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(user.UID), Gid: uint32(user.GID)}
	}
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
}
