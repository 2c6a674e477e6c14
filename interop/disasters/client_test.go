package disasters

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// client is the stock Hadoop client.
type client struct {
	*testing.T
	pair   *pairtest.Pair
	driver *interop.Driver
	keys   map[string][]byte // the material of each that was acknowledged
}

func newClient(t *testing.T, p *pairtest.Pair) *client {
	t.Helper()
	toolkit, err := interop.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	site, err := toolkit.NewClient(t.Context(), t.TempDir(), p.KMSURI, p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	p.JavaAtClients(t)
	driver, err := site.StartDriver(context.WithoutCancel(t.Context()), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{t, p, driver, map[string][]byte{}}
}

// creates creates n keys.
func (c *client) creates(n int) {
	c.Helper()
	for range n {
		name := pairtest.NewKey()
		var made interop.KeyVersion
		if err := c.driver.Do(interop.Call{URI: c.pair.KMSURI, User: "hdfs", Op: "create", Name: name, Bits: 256}, &made); err != nil {
			c.Fatalf("creating %s: %v", name, err)
		}
		c.keys[name] = made.Material
	}
}

// reads reads every key that was acknowledged, by way of the hosts given and no other.
func (c *client) reads(hosts ...*pairtest.Node) {
	c.Helper()
	for _, n := range hosts {
		uri := fmt.Sprintf("kms://https@%s:11371/kms", n.Address)
		for name, material := range c.keys {
			var read interop.KeyVersion
			if err := c.driver.Do(interop.Call{URI: uri, User: "hdfs", Op: "current", Name: name}, &read); err != nil {
				c.Fatalf("reading %s from %s: %v", name, n.Name, err)
			}
			if !bytes.Equal(read.Material, material) {
				c.Fatalf("%s serves another %s than was acknowledged", n.Name, name)
			}
		}
	}
	c.Logf("%d keys are read", len(c.keys))
}

// isWhole awaits a confirmed pair, in which every key is read from either host and new ones are made.
func (c *client) isWhole() {
	c.Helper()
	pairtest.Await(c.T, 30*time.Second, "writes are open", func() bool { return c.pair.Active.Writable(c.T) })
	c.creates(2)
	for _, n := range c.pair.Nodes {
		for name := range c.keys {
			pairtest.Await(c.T, 10*time.Second, n.Name+" serves "+name, func() bool {
				a, _ := n.Version(c.T, name, 0)
				return a.Status == 200
			})
		}
	}
	c.reads(c.pair.Nodes...)
	c.pair.SameContents(c.T)
}
