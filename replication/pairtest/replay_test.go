package pairtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// ballast is more than 100 MiB of log that touches a few pages again and again: PostgreSQL accepts readers long before it has replayed it.
const ballast = `DO $$
DECLARE start pg_lsn := pg_current_wal_insert_lsn();
BEGIN
	SET synchronous_commit = local;
	WHILE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), start) < 110 * 1024 * 1024 LOOP
		UPDATE ballast SET n = n + 1;
		COMMIT;
	END LOOP;
END $$`

// longReplay gives the passive much to replay at its next start, and asks it every millisecond, from before its first moment, for a key that
// was acknowledged: it may say that it is starting, never that there is no such key.
func longReplay(t *testing.T, p *pairtest.Pair) {
	admin := p.Active.SQL(t)
	execute(t, admin, "CREATE TABLE ballast AS SELECT n FROM generate_series(1, 1000) n")
	execute(t, admin, "CHECKPOINT")
	p.AwaitReplay(t)
	execute(t, p.Passive.SQL(t), "CHECKPOINT") // replay begins here
	begin := p.Active.Position(t)
	execute(t, admin, ballast)
	name, material := p.Active.MustCreate(t)
	end := p.Active.Position(t)
	p.Passive.Kill(t)
	p.Active.Kill(t)

	done := make(chan struct{})
	var asking sync.WaitGroup
	said, unready := map[string]int{}, 0
	asking.Go(func() { said = askAlways(t, p.Passive, p.CAFile, name, material, done) })
	asking.Go(func() { unready = lackingInSQL(p.Passive, name, done) })
	p.Passive.Start(t, pairtest.Keytrusteed)
	begun := time.Now()
	p.Passive.Start(t, pairtest.PostgreSQL)
	pairtest.Await(t, 60*time.Second, "the passive serves the key", func() bool {
		_, got := p.Passive.Version(t, name, 0)
		return got == material
	})
	t.Logf("served %v after the start of a replay from %v to %v", time.Since(begun).Round(time.Millisecond), begin, end)
	close(done)
	asking.Wait()
	t.Logf("what it said: %v; PostgreSQL was asked %d times and had no such key", said, unready)
	if said["starting"] == 0 || said["served"] == 0 || unready == 0 {
		t.Error("it was never seen starting, or never serving, or PostgreSQL was never without the key: nothing was tested")
	}
	p.Up(t)
	execute(t, p.Active.SQL(t), "DROP TABLE ballast")
}

// askAlways asks for the key every millisecond, over a kept connection, and counts the answers.
func askAlways(t *testing.T, n *pairtest.Node, authority, name, material string, done <-chan struct{}) map[string]int {
	certificate, err := os.ReadFile(authority)
	if err != nil {
		t.Error(err)
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	counts := map[string]int{}
	for {
		select {
		case <-done:
			return counts
		case <-time.After(time.Millisecond):
		}
		response, err := client.Get(n.URL + "/kms/v1/keyversion/" + name + "@0?user.name=hdfs")
		if err != nil {
			counts["no answer"]++
			continue
		}
		var answer struct {
			Material        string
			RemoteException struct{ JavaClassName string }
			Keytrustee      struct{ Reason string }
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		switch {
		case err != nil:
			t.Errorf("%s with a body that is none: %v", response.Status, err)
		case response.StatusCode == http.StatusServiceUnavailable && answer.RemoteException.JavaClassName == "org.apache.hadoop.ipc.StandbyException":
			counts[answer.Keytrustee.Reason]++
		case response.StatusCode == http.StatusOK && answer.Material == material:
			counts["served"]++
		default:
			t.Errorf("an acknowledged key: %s %s", response.Status, answer.RemoteException.JavaClassName)
		}
	}
}

// lackingInSQL counts how often the host's PostgreSQL says, when it answers, that it has no such key.
func lackingInSQL(n *pairtest.Node, name string, done <-chan struct{}) (lacking int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		conn, err := n.Connect(ctx)
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		for there := 0; there == 0; {
			err = conn.QueryRow(ctx, "SELECT count(*) FROM key WHERE name = $1", name).Scan(&there)
			if err != nil {
				break
			}
			if there == 0 {
				lacking++
			}
		}
		conn.Close(context.Background())
		if err == nil {
			return lacking
		}
	}
	return lacking
}
