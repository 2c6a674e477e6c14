package interop_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestPassiveCannotForward: the passive can not reach the active, which reaches the passive all the same. The stock client begins at either
// host, and each of its writes succeeds.
func TestPassiveCannotForward(t *testing.T) {
	pair := pairtest.New(t)
	driver := newDriver(t, newClient(t, pair))
	for _, c := range []struct {
		name   string
		listen func(net.Listener)
	}{
		{"refused", func(l net.Listener) { l.Close() }},
		{"no answer", func(net.Listener) {}}, // connections come about and nobody is there
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(pair.Active.Address, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c.listen(l)
			misdirect(t, pair, l.Addr().(*net.TCPAddr).Port)
			before := notForwarded(t, pair)
			for range 4 { // a client takes turns
				key := pairtest.NewKey()
				var made interop.KeyVersion
				if err := driver.Do(interop.Call{URI: pair.KMSURI, User: "hdfs", Op: "create", Name: key, Bits: 128}, &made); err != nil {
					t.Errorf("create: %v", err)
				} else if made.VersionName != key+"@0" {
					t.Errorf("created %s instead of %s@0", made.VersionName, key)
				}
			}
			if n := notForwarded(t, pair) - before; n == 0 {
				t.Error("no write began at the passive")
			} else {
				t.Logf("%d of 4 writes began at the passive", n)
			}
			begun := time.Now()
			a := pair.Passive.Create(t, pairtest.NewKey())
			t.Logf("the passive alone: %v", a)
			if a.Status != http.StatusServiceUnavailable || a.Class != "org.apache.hadoop.ipc.StandbyException" || time.Since(begun) > 10*time.Second {
				t.Errorf("the passive says %v", a)
			}
		})
	}
}

// misdirect lets the passive's daemon look for the active's at another port.
func misdirect(t *testing.T, pair *pairtest.Pair, port int) {
	t.Helper()
	pair.Passive.Kill(t, pairtest.Keytrusteed)
	file := filepath.Join(pair.Passive.Home, "node", "state.json")
	state, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`"cluster_port": \d+`).ReplaceAllString(string(state), fmt.Sprintf(`"cluster_port": %d`, port))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	pair.Passive.Start(t)
	pairtest.Await(t, 10*time.Second, "writes are open", func() bool { return pair.Active.Writable(t) })
}

func notForwarded(t *testing.T, pair *pairtest.Pair) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(pair.Passive.Home, "log", "keytrusteed.out"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), "a write was not forwarded")
}
