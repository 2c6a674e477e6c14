package hazards_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"keytrustee/postgres"
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
			known, material := p.Active.MustCreate(t)
			p.Passive.Kill(t)
			expose := imitate(t, p, program, name)
			pairtest.Await(t, 10*time.Second, "PostgreSQL takes the impostor for the passive", func() bool {
				return query[int](t, admin, "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'", name) > 0
			})
			stays(t, 2*time.Second, "no write is acknowledged", func() error {
				return acknowledged(p.Active.Create(t, pairtest.NewKey())) // the first may be one that nobody can know the end of

			})
			if p.Active.MustServe(t, known) != material {
				t.Error("another key is served")
			}
			p.Active.MustRefuse(t, "identity_mismatch", "passive_unreachable", "passive_daemon_down")

			p.Passive.Start(t) // beside the impostor
			_, sentence := p.Active.AwaitComplaint(t, "identity_mismatch")
			if !strings.Contains(sentence, "pg_stat_replication") {
				t.Errorf("who finds the impostor with this? %s", sentence)
			}
			stays(t, time.Second, "no write is acknowledged beside an impostor", func() error {
				return acknowledged(p.Active.Create(t, pairtest.NewKey()))
			})
			expose()
			p.AwaitOpen(t, time.Now())
		})
	}
}

// imitate lets a program of PostgreSQL's own stream from the active under that name, as its administrator may, until expose is called, or the
// end of the test.
func imitate(t *testing.T, p *pairtest.Pair, program, name string) (expose func()) {
	t.Helper()
	installation, err := postgres.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dsn := p.Active.AdminDSN + " application_name='" + name + "'"
	args := []string{"runuser", "-u", "keytrustee", "--", installation.Path(program), "-d", dsn, "-D", "/tmp/" + strings.ToLower(rand.Text())}
	if program == "pg_basebackup" {
		args = append(args, "--max-rate=32k", "--checkpoint=fast") // as slow as it can be made
	} else {
		args = append(args, "--synchronous", "--no-loop") // it reports what it has flushed
		p.Active.Run(t, "install", "-d", "-o", "keytrustee", args[8])
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Active.Run(t, args...)
	}()
	expose = sync.OnceFunc(func() {
		pairtest.Await(t, 10*time.Second, "the impostor is gone", func() bool {
			conn, err := p.Active.Connect(context.Background())
			if err != nil {
				return false
			}
			defer conn.Close(context.Background())
			execute(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = $1", name)
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
	})
	t.Cleanup(expose)
	return expose
}
