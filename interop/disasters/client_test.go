package disasters

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
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

func newClient(t testing.TB, p *pairtest.Pair) *client {
	t.Helper()
	ctx := context.Background()
	toolkit, err := interop.Prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	site, err := toolkit.NewClient(ctx, t.TempDir(), p.KMSURI, p.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	p.JavaAtClients(t)
	c := &client{pair: p, keys: map[string][]byte{}}
	if c.driver, err = site.StartDriver(ctx, os.Stderr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.driver.Close(); err != nil {
			t.Errorf("the client: %v", err)
		}
	})
	return c
}

// do makes a call that must succeed.
func (c *client) do(call interop.Call, value any) {
	c.Helper()
	if err := c.driver.Do(call, value); err != nil {
		c.Fatalf("%s of %s: %v", call.Op, call.Name, err)
	}
}

// at is how the client reaches one host, and no other.
func (c *client) at(n *pairtest.Node) (uri string) {
	return fmt.Sprintf("kms://https@%s:11371/kms", n.Address)
}

// creates creates n keys.
func (c *client) creates(n int) {
	c.Helper()
	for _, k := range c.createsLater(n) {
		c.keys[k.name] = k.material
	}
}

type key struct {
	name     string
	material []byte
}

// createsLater creates n keys that are not among those that are looked for.
func (c *client) createsLater(n int) (keys []key) {
	c.Helper()
	for range n {
		var made interop.KeyVersion
		name := pairtest.NewKey()
		c.do(interop.Call{URI: c.pair.KMSURI, User: "hdfs", Op: "create", Name: name, Bits: 256}, &made)
		keys = append(keys, key{name, made.Material})
	}
	return keys
}

// reads reads every key that was acknowledged, by way of the hosts given and no other.
func (c *client) reads(hosts ...*pairtest.Node) {
	c.Helper()
	for _, n := range hosts {
		c.readsBy(c.at(n))
	}
}

// readsBySite reads every key as clients do, who know both hosts.
func (c *client) readsBySite() { c.Helper(); c.readsBy(c.pair.KMSURI) }

func (c *client) readsBy(uri string) {
	c.Helper()
	for name, material := range c.keys {
		var read interop.KeyVersion
		c.do(interop.Call{URI: uri, User: "hdfs", Op: "current", Name: name}, &read)
		if !bytes.Equal(read.Material, material) {
			c.Fatalf("%s is served with another material than was acknowledged, by %s", name, uri)
		}
	}
	c.Logf("%d keys are read by %s", len(c.keys), uri)
}

// awaitsAt returns when the host serves every key.
func (c *client) awaitsAt(n *pairtest.Node) {
	c.Helper()
	for name := range c.keys {
		pairtest.Await(c.T, 15*time.Second, n.Name+" serves "+name, func() bool {
			a, _ := n.Version(c.T, name, 0)
			return a.Status == http.StatusOK
		})
	}
}

// lacks makes sure that no host has the keys, and that they are not what a list shows.
func (c *client) lacks(keys []key) {
	c.Helper()
	for _, n := range c.pair.Nodes {
		var names []string
		c.do(interop.Call{URI: c.at(n), User: "hdfs", Op: "names"}, &names)
		for _, k := range keys {
			c.pair.Active.MustNotServe(c.T, k.name)
			if slices.Contains(names, k.name) {
				c.Errorf("%s lists %s, which was lost", n.Name, k.name)
			}
			var read *interop.KeyVersion
			if err := c.driver.Do(interop.Call{URI: c.at(n), User: "hdfs", Op: "current", Name: k.name}, &read); err == nil && read != nil {
				c.Errorf("%s serves %s, which was lost", n.Name, k.name)
			}
		}
		if len(names) != len(c.keys) {
			c.Errorf("%s lists %d keys, want %d", n.Name, len(names), len(c.keys))
		}
	}
}

// isWhole awaits a confirmed pair, in which every key is read from either host and new ones are made.
func (c *client) isWhole() {
	c.Helper()
	pairtest.Await(c.T, 30*time.Second, "writes are open", func() bool { return c.pair.Active.Writable(c.T) })
	c.creates(2)
	for _, n := range c.pair.Nodes {
		c.awaitsAt(n)
	}
	c.reads(c.pair.Nodes...)
	c.pair.SameContents(c.T)
}
