package auditlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"

	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/kms/audit"
)

// Receiver is the receiver of syslog that c names; nil if it names none. Nothing is sent before it runs.
func Receiver(c *config.Config, log *slog.Logger) (*audit.Syslog, error) {
	address, overTLS, err := c.SyslogReceiver()
	if err != nil || address == "" {
		return nil, err
	}
	s := audit.SyslogConfig{Address: address, Host: c.ExternalAddress, Logger: log}
	if !overTLS {
		return audit.NewSyslog(s), nil
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s.TLS = &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if c.SyslogCA == "" {
		return audit.NewSyslog(s), nil
	}
	text, err := os.ReadFile(c.SyslogCA)
	if err != nil {
		return nil, fmt.Errorf("syslog_ca: %w", err)
	}
	s.TLS.RootCAs = x509.NewCertPool()
	if !s.TLS.RootCAs.AppendCertsFromPEM(text) {
		return nil, &host.HintedError{Err: fmt.Errorf("syslog_ca: %s holds no certificate in PEM", c.SyslogCA), Hint: "give the file of the authority that signed the receiver's certificate"}
	}
	return audit.NewSyslog(s), nil
}

// Background runs f until the function it returns is called, and has it end then.
func Background(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f(ctx)
	}()
	return func() { cancel(); <-ended }
}
