package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// Driver is one JVM that calls Hadoop's Java API for us. It is not safe for concurrent use.
type Driver struct {
	cmd     *exec.Cmd
	calls   *json.Encoder
	stdin   io.Closer
	answers *bufio.Reader
}

// Call is one call of the KeyProvider API. Op names it; which other fields it reads is written in Driver.java.
type Call struct {
	URI  string `json:"uri"`  // the provider to call
	User string `json:"user"` // the user to call it as
	Op   string `json:"op"`

	Name        string            `json:"name,omitempty"`
	Names       []string          `json:"names,omitempty"`
	Cipher      string            `json:"cipher,omitempty"`
	Bits        int               `json:"bits,omitempty"`
	Description string            `json:"description,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Material    []byte            `json:"material,omitempty"`
	EEK         *EEK              `json:"eek,omitempty"`
	EEKs        []EEK             `json:"eeks,omitempty"`
}

// KeyVersion is org.apache.hadoop.crypto.key.KeyProvider.KeyVersion. Tests alone hold material in a field that prints.
type KeyVersion struct {
	Name        string `json:"name"`
	VersionName string `json:"versionName"`
	Material    []byte `json:"material"`
}

// Metadata is KeyProvider.Metadata; Created is in milliseconds.
type Metadata struct {
	Cipher      string            `json:"cipher"`
	Bits        int               `json:"bits"`
	Description string            `json:"description"`
	Attributes  map[string]string `json:"attributes"`
	Created     int64             `json:"created"`
	Versions    int               `json:"versions"`
}

// EEK is KeyProviderCryptoExtension.EncryptedKeyVersion.
type EEK struct {
	KeyName     string `json:"keyName"`
	VersionName string `json:"versionName"`
	IV          []byte `json:"iv"`
	Material    []byte `json:"material"`
}

// JavaError is an exception that the provider threw.
type JavaError struct {
	Class   string
	Message string
}

func (e *JavaError) Error() string { return e.Class + ": " + e.Message }

// StartDriver starts the JVM. It ends with ctx or with Close; what it logs goes to log.
func (c *Client) StartDriver(ctx context.Context, log io.Writer) (*Driver, error) {
	cmd := c.java(ctx, "keytrustee.interop.Driver")
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the Java driver: %w", err)
	}
	return &Driver{cmd: cmd, calls: json.NewEncoder(stdin), stdin: stdin, answers: bufio.NewReader(stdout)}, nil
}

// Do makes the call and decodes what it returned into value, unless that is nil. An exception is a *JavaError.
func (d *Driver) Do(call Call, value any) error {
	if err := d.calls.Encode(call); err != nil {
		return fmt.Errorf("calling %s: %w", call.Op, err)
	}
	line, err := d.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the answer to %s: %w", call.Op, err)
	}
	var answer struct {
		Value          json.RawMessage
		Error, Message string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", call.Op, err)
	}
	if answer.Error != "" {
		return &JavaError{Class: answer.Error, Message: answer.Message}
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

// Close lets the JVM end and waits for it.
func (d *Driver) Close() error {
	return errors.Join(d.stdin.Close(), d.cmd.Wait())
}
