package interop_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestRepeats: the connection of the stock client breaks when both hosts have its write and before it is told. It delivers the write
// again, up to six times by itself, here and through the other host, and all of that is one write.
func TestRepeats(t *testing.T) {
	pair := pairtest.New(t)
	s := &repeats{pair: pair, relay: newRelay(t, pair), driver: newDriver(t, newClient(t, pair)), databases: map[*pairtest.Node]*pgx.Conn{}}
	for _, n := range pair.Nodes {
		s.databases[n] = n.SQL(t)
	}
	both := s.relay.uri(pair.Nodes...)
	for _, op := range []operation{
		{op: "create", audit: "CREATE_KEY", kind: "created"},
		{op: "roll", audit: "ROLL_NEW_VERSION", kind: "rolled"},
		{op: "delete", audit: "DELETE_KEY", kind: "deleted"},
	} {
		t.Run(op.op, func(t *testing.T) {
			for _, reset := range []bool{false, true} {
				s.once(t, op, pair.Active, reset)
				s.once(t, op, pair.Passive, reset)
				s.fiveTimes(t, op, both, reset)
			}
			s.betweenDeliveries(t, op, both)
			s.everyTime(t, op, both)
		})
	}
}

type repeats struct {
	pair      *pairtest.Pair
	relay     *relay
	driver    *interop.Driver
	databases map[*pairtest.Node]*pgx.Conn
}

type operation struct {
	op          string
	audit, kind string // as the audit, as the table of changes call it
}

// call is one write of the stock client, and what came of it.
type call struct {
	*repeats
	*testing.T
	operation
	key     string
	release func()
	done    chan struct{}

	result interop.KeyVersion // after done
	err    error
}

// begin lets the stock client write, while nobody is told of any write.
func (s *repeats) begin(t *testing.T, op operation, uri string) *call {
	t.Helper()
	c := &call{repeats: s, T: t, operation: op, key: pairtest.NewKey(), done: make(chan struct{})}
	if op.op != "create" {
		if a := s.pair.Active.Create(t, c.key); a.Status != http.StatusCreated {
			t.Fatalf("preparing: %v", a)
		}
	}
	c.release = s.pair.HoldAnswers(t, s.databases[s.pair.Passive])
	c.again(uri)
	return c
}

// again makes the same call.
func (c *call) again(uri string) {
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		var result *interop.KeyVersion
		c.err = c.driver.Do(interop.Call{URI: uri, User: "hdfs", Op: c.op, Name: c.key, Bits: 128}, &result)
		if result != nil {
			c.result = *result
		}
	}()
}

// lose breaks the connection of the first n deliveries, each when it has arrived and both hosts have the write, and returns where.
func (c *call) lose(n int, reset bool) (where []string) {
	c.Helper()
	for i := range n {
		c.arrived(i + 1)
		if i == 0 {
			for _, host := range c.pair.Nodes {
				pairtest.Await(c, 5*time.Second, "the "+host.Name+" has the write", func() bool { return c.changes(host) == 1 })
			}
		}
		where = append(where, c.relay.breakOff(c.T, reset))
	}
	c.Logf("%s %s: on both hosts, and %d times without an answer, reset %t: %v", c.op, c.key, n, reset, where)
	return where
}

// arrived returns when n deliveries have come to the active.
func (c *call) arrived(n int) {
	c.Helper()
	pairtest.Await(c, 5*time.Second, fmt.Sprintf("delivery %d of %s %s", n, c.op, c.key), func() bool {
		return c.audited("ATTEMPT", "") >= n
	})
}

// succeeded checks that the client was told of one success, of what both hosts hold.
func (c *call) succeeded(deliveries int) {
	c.Helper()
	<-c.done
	if c.err != nil {
		c.Fatalf("%s %s: %v", c.op, c.key, c.err)
	}
	if n := c.audited("ATTEMPT", ""); n != deliveries {
		c.Errorf("%s: %d deliveries, want %d", c.op, n, deliveries)
	}
	// One made it and was not heard. Each that was given the success after that is a repeat; what the passive was given for a client that
	// had gone it gave back.
	if all, again := c.audited("OK", ""), c.audited("OK", "Repeat:true"); all != again+1 || again < 1 || again >= deliveries {
		c.Errorf("%s: %d successes on record, %d of them repeats", c.op, all, again)
	}
	for _, n := range c.pair.Nodes {
		if made := c.changes(n); made != 1 {
			c.Errorf("%s was done %d times on the %s", c.op, made, n.Name)
		}
		number := map[string]int{"created": 0, "rolled": 1}[c.kind]
		a, material := n.Version(c, c.key, number)
		if c.kind == "deleted" {
			if a := n.Do(c, http.MethodGet, "/kms/v1/key/"+c.key+"/_metadata", nil, nil); a.Status != http.StatusOK || strings.Contains(string(a.Body), "cipher") {
				c.Errorf("after the deletion the %s says %v %s", n.Name, a, a.Body)
			}
			continue
		}
		stored, err := base64.RawURLEncoding.DecodeString(material)
		if err != nil || c.result.VersionName != fmt.Sprintf("%s@%d", c.key, number) || len(stored) != 16 || !bytes.Equal(stored, c.result.Material) {
			c.Errorf("%s: the client was given %s, the %s has other material, or none: %v, %v", c.op, c.result.VersionName, n.Name, a, err)
		}
	}
}

func (c *call) notYet() {
	c.Helper()
	select {
	case <-c.done:
		c.Fatalf("%s %s is over before anybody could be told: %v", c.op, c.key, c.err)
	default:
	}
}

func (s *repeats) once(t *testing.T, op operation, n *pairtest.Node, reset bool) {
	t.Helper()
	c := s.begin(t, op, s.relay.uri(n))
	c.lose(1, reset)
	c.arrived(2)
	other := c.bob()
	c.notYet()
	c.release()
	c.succeeded(2)
	c.exists(other)
}

// fiveTimes is all that a stock client of today endures.
func (s *repeats) fiveTimes(t *testing.T, op operation, uri string, reset bool) {
	t.Helper()
	c := s.begin(t, op, uri)
	c.lose(5, reset)
	c.arrived(6)
	other := c.bob()
	c.notYet()
	c.release()
	c.succeeded(6)
	c.exists(other)
}

// betweenDeliveries: the outcome is known while no delivery is there to be told.
func (s *repeats) betweenDeliveries(t *testing.T, op operation, uri string) {
	t.Helper()
	c := s.begin(t, op, uri)
	c.lose(4, true) // here the client pauses for 100 ms and more
	c.release()
	c.succeeded(5)
}

// everyTime: the client gives up. Its user's own next call is told of the write that was done.
func (s *repeats) everyTime(t *testing.T, op operation, uri string) {
	t.Helper()
	c := s.begin(t, op, uri)
	c.lose(6, true)
	<-c.done
	if java := (*interop.JavaError)(nil); !errors.As(c.err, &java) {
		t.Fatalf("%s, never answered: %v", op.op, c.err)
	}
	t.Logf("the client gives up: %v", c.err)
	c.release()
	if op.op == "create" {
		c.exists(c.bob())
	}
	c.again(uri)
	c.succeeded(7)
}

// bob creates a key of that name too, now. He waits until it is known whether there is one.
func (c *call) bob() <-chan pairtest.Answer {
	answer := make(chan pairtest.Answer, 1)
	if c.op != "create" {
		return nil
	}
	go func() { answer <- c.pair.Active.CreateAs(c, "bob", c.key) }()
	pairtest.Await(c, 5*time.Second, "bob's creation has arrived", func() bool { return c.audited("ATTEMPT", "user=bob]") > 0 })
	return answer
}

func (c *call) exists(other <-chan pairtest.Answer) {
	c.Helper()
	if other == nil {
		return
	}
	if a := <-other; a.Status != http.StatusConflict || !strings.Contains(a.Message, "hdfs") {
		c.Errorf("another user's creation of that name: %v; want 409 that names the maker", a)
	}
}

// audited counts the active's audit lines of the call: by hdfs, or those that contain more.
func (c *call) audited(result, more string) int {
	c.Helper()
	if more == "" {
		more = "user=hdfs]"
	}
	data, err := os.ReadFile(filepath.Join(c.pair.Active.Home, "log", "kms-audit.log"))
	if err != nil {
		c.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " "+result+"[op="+c.audit+", key="+c.key+", ") && strings.Contains(line, more) {
			count++
		}
	}
	return count
}

// changes counts how often the host's database says that the write was done.
func (c *call) changes(n *pairtest.Node) (count int) {
	c.Helper()
	err := c.databases[n].QueryRow(c.Context(), "SELECT count(*) FROM key_change c JOIN key k ON k.id = c.key_id WHERE k.name = $1 AND c.kind = $2", c.key, c.kind).Scan(&count)
	if err != nil {
		c.Fatal(err)
	}
	return count
}
