package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keytrustee/internal/freeport"
	"keytrustee/interop"
)

// stage is the pair and the client that the scenes are played with.
type stage struct {
	dir      string // holds everything, and is removed at the end
	pair     pair
	toolkit  *interop.Toolkit
	client   *interop.Client
	expected []byte // the material of version 0 of the key demo, once it was read
}

// pair is what the demo reads of pair.json.
type pair struct {
	KMSURI string `json:"kms_uri"`
	CAFile string `json:"ca_file"`
	Nodes  []node
}

type node struct {
	Name string
	URL  string
}

// open prepares the stock client and starts the pair.
func open(ctx context.Context) (*stage, error) {
	fmt.Println("Keytrustee keeps encryption keys on two hosts, so that the loss of one loses no key.\n" +
		"You see a real pair on this machine (active 127.0.0.1, passive 127.0.0.2, each with a PostgreSQL of its own), and the\n" +
		"unmodified Hadoop client. The first run fetches that client with Maven.")
	toolkit, err := interop.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "keytrustee-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, toolkit: toolkit}
	if err := s.raise(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) raise(ctx context.Context) error {
	fmt.Println("\n=== Two hosts are set up")
	ports, err := freeport.Pick(3, "127.0.0.1", "127.0.0.2")
	if err != nil {
		return err
	}
	if err := s.ktadmin(ctx, "up", "--port", strconv.Itoa(ports[0]), "--db-port", strconv.Itoa(ports[1]), "--cluster-port", strconv.Itoa(ports[2])); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "pair", "pair.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &s.pair); err != nil {
		return err
	}
	fmt.Println("The client's configuration names both hosts, hadoop.security.key.provider.path = " + s.pair.KMSURI +
		",\nand trusts the pair's own certificate authority.")
	s.client, err = s.toolkit.NewClient(ctx, filepath.Join(s.dir, "client"), s.pair.KMSURI, s.pair.CAFile)
	return err
}

// close ends the pair and removes what the demo has made.
func (s *stage) close() error {
	fmt.Println("\n=== The end")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(s.ktadmin(ctx, "down"), os.RemoveAll(s.dir))
}

// ktadmin runs `ktadmin dev` on the pair.
func (s *stage) ktadmin(ctx context.Context, args ...string) error {
	args = append([]string{"dev"}, append(args, "--dir", filepath.Join(s.dir, "pair"))...)
	fmt.Println("$ bin/ktadmin " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "bin/ktadmin", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ktadmin %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// shell runs `hadoop key` in a JVM of its own and shows what it prints.
func (s *stage) shell(ctx context.Context, args []string) (printed string, status int, err error) {
	fmt.Println("$ hadoop key " + strings.Join(args, " "))
	printed, status, err = s.client.Shell(ctx, args...)
	before, failure, failed := strings.Cut(printed, "Executing command failed")
	if failed {
		fmt.Printf("    (%d lines of the command's usage)\n", strings.Count(before, "\n"))
		before = "Executing command failed" + failure
	}
	for line := range strings.Lines(before) {
		fmt.Print("    " + line)
	}
	return printed, status, err
}

// material reads version 0 of the key demo with the Java API, in a JVM of its own.
func (s *stage) material(ctx context.Context, uri string) ([]byte, error) {
	fmt.Printf("Java: KeyProviderFactory.get(%q).getKeyVersion(\"demo@0\")\n", uri)
	driver, err := s.client.StartDriver(ctx, os.Stdout)
	if err != nil {
		return nil, err
	}
	var version interop.KeyVersion
	err = driver.Do(interop.Call{URI: uri, User: "hdfs", Op: "version", Name: "demo@0"}, &version)
	if err := errors.Join(err, driver.Close()); err != nil {
		return nil, err
	}
	if len(version.Material) != 32 {
		return nil, fmt.Errorf("demo@0 has %d bytes, not 32", len(version.Material))
	}
	fmt.Println("    256 bits")
	return version.Material, nil
}

// compare checks that every copy is what was read first.
func (s *stage) compare(copies ...[]byte) error {
	if s.expected == nil {
		s.expected = copies[0]
	}
	for _, c := range copies {
		if !bytes.Equal(c, s.expected) {
			return errors.New("the key is not the same everywhere")
		}
	}
	fmt.Println("    the same as everywhere")
	return nil
}

func (s *stage) uri(n node) string {
	return "kms://" + strings.Replace(n.URL, "://", "@", 1) + "/kms"
}
