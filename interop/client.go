package interop

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"keytrustee/internal/cached"
)

// Client is the toolkit with a site's configuration: a core-site.xml that names the key provider and a trust store.
type Client struct {
	toolkit *Toolkit
	conf    string
}

const trustStorePassword = "changeit" // guards nothing: the store holds a public certificate

type property struct {
	Name  string `xml:"name"`
	Value string `xml:"value"`
}

type configuration struct {
	XMLName    xml.Name   `xml:"configuration"`
	Properties []property `xml:"property"`
}

// NewClient writes the configuration into dir, which it makes, and returns a client that uses it: its provider is kmsURI, and it
// trusts the authority whose certificate is in caFile (PEM), nobody else.
func (t *Toolkit) NewClient(ctx context.Context, dir, kmsURI, caFile string) (*Client, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	store := filepath.Join(dir, "trust.jks")
	if err := os.Remove(store); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := cached.Run(ctx, dir, "keytool", "-importcert", "-noprompt", "-alias", "keytrustee", "-file", caFile,
		"-keystore", store, "-storetype", "JKS", "-storepass", trustStorePassword); err != nil {
		return nil, err
	}
	site, err := xml.MarshalIndent(configuration{Properties: []property{
		{"hadoop.security.key.provider.path", kmsURI},
		{"ssl.client.truststore.location", store},
		{"ssl.client.truststore.password", trustStorePassword},
		{"ssl.client.truststore.type", "jks"},
	}}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "core-site.xml"), site, 0o644); err != nil {
		return nil, err
	}
	return &Client{toolkit: t, conf: dir}, nil
}

func (c *Client) java(ctx context.Context, class string, args ...string) *exec.Cmd {
	args = append([]string{"-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", c.conf + ":" + c.toolkit.classPath, class}, args...)
	return exec.CommandContext(ctx, "java", args...)
}

// Shell runs `hadoop key` with args in a JVM of its own and returns all that it printed and its exit status. The error is nil
// whatever that status is.
func (c *Client) Shell(ctx context.Context, args ...string) (printed string, status int, err error) {
	var out bytes.Buffer
	cmd := c.java(ctx, "org.apache.hadoop.crypto.key.KeyShell", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return out.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return out.String(), 0, fmt.Errorf("running KeyShell: %w", err)
	}
	return out.String(), 0, nil
}
