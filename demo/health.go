package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// noticed returns when the survivor's health says for that reason that it takes no writes, and returns the sentence in which it says so to
// people. Until then, a second or two, a client may be told to try the other host.
func (s *stage) noticed(ctx context.Context, survivor node, reason string) (sentence string, err error) {
	authority, err := os.ReadFile(s.pair.CAFile)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()

	url := survivor.URL + "/v1/sys/health"
	fmt.Printf("Until the %s has noticed: curl --cacert %s %s\n", survivor.Name, s.pair.CAFile, url)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		var health struct {
			Writes struct{ Reason, Message string }
		}
		err := get(ctx, &client, url, &health)
		if err == nil && health.Writes.Reason == reason {
			fmt.Printf("    \"writes\": {\"open\": false, \"reason\": %q, …\n", reason)
			return health.Writes.Message, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the %s does not say %s: it says %q (%v)", survivor.Name, reason, health.Writes.Reason, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string, value any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(value)
}
