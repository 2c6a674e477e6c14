package peer_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/replication"
	"keytrustee/replication/peer"
)

// cluster is an authority and the certificates that it gave.
type cluster struct {
	t         *testing.T
	authority *certs.Authority
}

// reloader returns the files of a node of the cluster.
func (c *cluster) reloader(name string) *certs.Reloader {
	c.t.Helper()
	key, keyPEM, err := certs.NewKey()
	if err != nil {
		c.t.Fatal(err)
	}
	der, err := certs.NewCSR(key, name)
	if err != nil {
		c.t.Fatal(err)
	}
	csr, err := certs.ParseCSR(der)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := c.authority.Sign(csr, certs.Cluster, name, []string{name}, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	dir := c.t.TempDir()
	files := certs.Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	for path, content := range map[string][]byte{files.Cert: cert, files.Key: keyPEM, files.CA: c.authority.CertPEM()} {
		if err := durable.WriteFile(path, content, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	r, err := certs.NewReloader(files, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	a, err := certs.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t, a}
}

// node is a half of a pair that answers, and nothing else.
type node struct {
	state  replication.State
	answer func(context.Context, replication.Ask) replication.Answer
}

func (n *node) State() replication.State { return n.state }

func (n *node) Answer(ctx context.Context, q replication.Ask) replication.Answer {
	return n.answer(ctx, q)
}

func (n *node) Boundary(context.Context) (replication.Boundary, error) {
	return replication.Boundary{}, errors.New("the database does not run")
}

func (n *node) Follow(_ context.Context, f replication.Follow) error {
	if f.Active != "start" {
		return fmt.Errorf("follows %s", f.Active)
	}
	return nil
}

func (n *node) Report() replication.Report {
	return replication.Report{Status: replication.Status{Self: n.state.Self}, Sentence: "in order"}
}

func (n *node) Operate(_ context.Context, c replication.Command) (replication.Operated, error) {
	if c.Act != replication.ActHold {
		return replication.Operated{}, &replication.RefusedError{Sentence: "not that"}
	}
	return replication.Operated{Host: n.state.Self, Sentence: c.Note}, nil
}

func (n *node) Takeover(_ context.Context, t replication.Takeover) (replication.TakeoverAnswer, error) {
	return replication.TakeoverAnswer{Step: t.ID}, nil
}

// listen serves s as kt02 and returns how to reach it.
func (c *cluster) listen(s *peer.Server) replication.Peer {
	c.t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.reloader("kt02").ClusterServer())
	if err != nil {
		c.t.Fatal(err)
	}
	web := &http.Server{Handler: s, ErrorLog: nil}
	go web.Serve(l)
	c.t.Cleanup(func() { web.Close() })
	return replication.Peer{Name: "kt02", Address: "127.0.0.1", ClusterPort: l.Addr().(*net.TCPAddr).Port}
}

func (c *cluster) client(name string) *peer.Client {
	r := c.reloader(name)
	client := peer.NewClient(func(node string) *tls.Config { return r.ClusterClient(func() string { return node }) })
	c.t.Cleanup(client.Close)
	return client
}

func (c *cluster) server() *peer.Server {
	return &peer.Server{NodeName: certs.NodeName, Node: &node{
		state: replication.State{Self: "kt02", Epoch: replication.Epoch{Number: 4, ID: "e"}, Peer: &replication.Peer{Name: "kt01"}},
		answer: func(_ context.Context, q replication.Ask) replication.Answer {
			return replication.Answer{Nonce: q.Nonce, Name: "kt02", Rows: [][]byte{{1, 2}}}
		}}}
}
