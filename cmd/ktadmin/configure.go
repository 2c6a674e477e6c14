package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
)

// load reads the configuration of an initialized host and becomes the service's user.
func (a *app) load() (*config.Config, error) {
	c, err := config.Load(a.confdir)
	if err != nil {
		return nil, err
	}
	return c, a.become(c)
}

// hostOf is the host that the configuration describes.
func hostOf(c *config.Config) *host.Host {
	h := thishost.From(c)
	h.Settings = c
	return h
}

// adminOf asks the daemon of the host that the configuration describes.
func adminOf(c *config.Config) host.AdminClient {
	return host.AdminClient{Socket: hostOf(c).AdminSocket()}
}

// absolute makes a path of the command line independent of where this process stands.
func absolute(paths ...*string) error {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// override sets a field where the flag was given.
func override[T comparable](field *T, given T) {
	var zero T
	if given != zero {
		*field = given
	}
}

// fqdn is this host's full name, or the best there is.
func fqdn(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil || strings.Contains(name, ".") {
		return name
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if full, err := net.DefaultResolver.LookupCNAME(ctx, name); err == nil && strings.HasPrefix(full, name+".") {
		return strings.TrimSuffix(full, ".")
	}
	return name
}

// applyDBConnect understands the original's --db-connect, such as postgresql://localhost:11381/keytrustee?host=/tmp: what
// it says of port and socket directory. The original's /tmp means the service's own socket directory.
func applyDBConnect(c *config.Config, text string) error {
	if text == "" {
		return nil
	}
	bad := func(what string) error {
		return usagef("--db-connect: %s; write postgresql://localhost:PORT/keytrustee?host=SOCKETDIR", what)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return bad("it is no URL")
	case u.Scheme != "postgresql" && u.Scheme != "postgres":
		return bad("it does not begin with postgresql://")
	case u.User != nil:
		return bad("a user or password has no place in it, for the database takes neither")
	case u.Hostname() != "" && u.Hostname() != "localhost" && !isLoopback(u.Hostname()):
		return bad("the database is always on this host, not on " + u.Hostname())
	case u.Path != "/"+host.Database && u.Path != "" && u.Path != "/":
		return bad("the database is called " + host.Database)
	}
	if u.Port() != "" {
		if c.DBPort, err = strconv.Atoi(u.Port()); err != nil {
			return bad("its port is not a number")
		}
	}
	if dir := u.Query().Get("host"); dir != "" && dir != "/tmp" {
		c.SocketDir = dir
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
