package twohosts

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"keytrustee/internal/machine"
	"keytrustee/interop"
)

// works checks that the stock Hadoop client, which is neither host, creates keys at both and reads each of them from both. It returns
// that client.
func (s *site) works(t *testing.T) *client {
	t.Helper()
	for _, h := range s.hosts() {
		h.Run(t, "sudo ktadmin status")
	}
	c := s.newClient(t)
	for key, place := range map[string]string{"both": uri(s.hosts()...), "active": uri(s.active), "passive": uri(s.passive)} {
		var made interop.KeyVersion
		c.must(place, interop.Call{Op: "create", Name: key, Bits: 256}, &made)
		if made.VersionName != key+"@0" || len(made.Material) != 32 {
			t.Fatalf("%s made %s with %d bytes", place, made.VersionName, len(made.Material))
		}
		c.keys[key] = made.Material
		var eek interop.EEK
		c.must(place, interop.Call{Op: "generate", Name: key}, &eek)
		var deks [][]byte
		for _, h := range s.hosts() {
			var dek interop.KeyVersion
			c.must(uri(h), interop.Call{Op: "decrypt", EEK: &eek}, &dek)
			c.hasKeys(h)
			deks = append(deks, dek.Material)
		}
		if len(deks[0]) == 0 || !bytes.Equal(deks[0], deks[1]) {
			t.Fatalf("an EEK of %s is decrypted to two DEKs", key)
		}
		t.Logf("%s: created at %s, read from both hosts, an EEK decrypted by both", made.VersionName, place)
	}
	return c
}

// uri names the hosts as a site does.
func uri(hosts ...*machine.Host) string {
	var all []string
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return "kms://https@" + strings.Join(all, ";") + ":11371/kms"
}

type client struct {
	t      *testing.T
	driver *interop.Driver
	keys   map[string][]byte // the material of each that was acknowledged
}

// hasKeys checks that the host serves every key that was acknowledged.
func (c *client) hasKeys(h *machine.Host) {
	c.t.Helper()
	for key, material := range c.keys {
		var read interop.KeyVersion
		c.must(uri(h), interop.Call{Op: "current", Name: key}, &read)
		if !bytes.Equal(read.Material, material) {
			c.t.Fatalf("%s has another %s than was made", h.Name, key)
		}
	}
}

// creates creates a key at the host, as soon as that is possible again.
func (c *client) creates(h *machine.Host, key string) {
	c.t.Helper()
	var made interop.KeyVersion
	c.eventually("a key is created", func() error {
		return c.do(uri(h), interop.Call{Op: "create", Name: key, Bits: 256}, &made)
	})
	c.keys[key] = made.Material
}

// eventually returns once try succeeds, which it has to within 20 s.
func (c *client) eventually(what string, try func() error) {
	c.t.Helper()
	begun := time.Now()
	for tries := 1; ; tries++ {
		err := try()
		if err == nil {
			c.t.Logf("%s after %v, at try %d", what, time.Since(begun).Round(time.Millisecond), tries)
			return
		}
		if time.Since(begun) > 20*time.Second {
			c.t.Fatalf("not within 20 s: %s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// newClient starts the stock client in the clients' network.
func (s *site) newClient(t *testing.T) *client {
	t.Helper()
	toolkit, err := interop.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conf := t.TempDir()
	c, err := toolkit.NewClient(t.Context(), conf, uri(s.active),
		s.active.File("/var/lib/keytrustee/.keytrustee/.ssl/ssl-cert-keytrustee-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.JavaAtClients(t)
	driver, err := c.StartDriver(context.WithoutCancel(t.Context()), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{t, driver, map[string][]byte{}}
}

func (c *client) do(uri string, call interop.Call, value any) error {
	call.URI, call.User = uri, "hdfs"
	return c.driver.Do(call, value)
}

func (c *client) must(uri string, call interop.Call, value any) {
	c.t.Helper()
	if err := c.do(uri, call, value); err != nil {
		c.t.Fatalf("%s %s at %s: %v", call.Op, call.Name, uri, err)
	}
}
