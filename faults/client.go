package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// How long a client waits. A write's answer is promised within 10 s, so that one which waits longer has seen a host that hangs; a reader
// has another host to ask, and that the first one is well and says nothing for so long is held against it (boundOf).
const (
	writePatience = 12 * time.Second
	readPatience  = 3 * time.Second
)

// Host is where clients find one host of the pair.
type Host struct {
	Name string
	URL  string
}

// caller delivers requests as one user. It may not be used concurrently.
type caller struct {
	number int
	http   *http.Client
	record *Recorder
}

func newCaller(number int, roots *x509.CertPool, dial dialer, record *Recorder) *caller {
	return &caller{number: number, record: record, http: &http.Client{
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func loadRoots(caFile string) (*x509.CertPool, error) {
	authority, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	return roots, nil
}

// wish is what a client wants, before it is delivered anywhere.
type wish struct {
	kind      Kind
	key       string
	number    int
	requestID string
	material  []byte
}

// deliver asks one host, and records what came of it.
func (c *caller) deliver(ctx context.Context, to Host, w wish) Op {
	o := Op{Client: c.number, Host: to.Name, Kind: w.kind, Key: w.key, Number: w.number, RequestID: w.requestID}
	if w.material != nil {
		o.Given = HashOf(w.material)
	}
	patience := readPatience
	if w.kind.writes() {
		patience = writePatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	request, err := w.request(ctx, to, "client"+strconv.Itoa(c.number))
	if err != nil {
		panic(err) // what we ask for can always be written down
	}
	o.Invoked = c.record.Now()
	status, body, err := c.roundTrip(request)
	o.Returned = c.record.Now()
	switch {
	case err != nil && !sent:
		o.Outcome, o.Answer = Unsent, err.Error()
	case err != nil:
		o.Outcome, o.Answer = Unknown, err.Error()
	default:
		understand(&o, status, body)
	}
	return c.record.Op(o)
}

func (c *caller) roundTrip(request *http.Request) (status int, body []byte, err error) {
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func (w wish) request(ctx context.Context, to Host, user string) (*http.Request, error) {
	method, path, query, content := http.MethodGet, "/kms/v1/key/"+url.PathEscape(w.key), url.Values{"user.name": {user}}, map[string]any(nil)
	switch w.kind {
	case Create:
		method, path = http.MethodPost, "/kms/v1/keys"
		content = map[string]any{"name": w.key, "cipher": "AES/CTR/NoPadding", "length": 128}
	case Roll:
		method, content = http.MethodPost, map[string]any{}
	case Delete:
		method = http.MethodDelete
	case Undelete:
		method, path = http.MethodPost, "/kms/v1/trustee/key/"+url.PathEscape(w.key)
		query.Set("trusteeOp", "undelete")
	case Current:
		path += "/_currentversion"
	case Versions:
		path += "/_versions"
	case Version:
		path = "/kms/v1/keyversion/" + url.PathEscape(w.key+"@"+strconv.Itoa(w.number))
	}
	var body io.Reader
	if content != nil {
		if w.material != nil {
			content["material"] = base64.RawURLEncoding.EncodeToString(w.material)
		}
		text, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, to.URL+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if w.requestID != "" {
		request.Header.Set("X-Keytrustee-Request-Id", w.requestID)
	}
	return request, nil
}

// understand puts an answer into the words of a history.
func understand(o *Op, status int, body []byte) {
	o.Answer = strconv.Itoa(status)
	switch {
	case status == http.StatusOK || status == http.StatusCreated:
		o.Outcome = Done
		if err := o.readVersions(body); err != nil {
			o.Outcome, o.Answer = Unknown, err.Error()
		}
	case status == http.StatusServiceUnavailable:
		var refusal struct {
			Keytrustee struct{ Reason string }
		}
		json.Unmarshal(body, &refusal)
		o.Answer += " " + refusal.Keytrustee.Reason
		o.Outcome = Refused
		if r := refusal.Keytrustee.Reason; r == "outcome_unknown" || r == "" {
			o.Outcome = Unknown
		}
	case status == http.StatusNotFound || status == http.StatusConflict || status == http.StatusBadRequest:
		o.Outcome = Failed
	default: // such as 500
		o.Outcome = Unknown
	}
}

// readVersions reads what a success shows.
func (o *Op) readVersions(body []byte) error {
	if o.Kind == Delete || o.Kind == Undelete {
		return nil
	}
	type version struct{ VersionName, Material string }
	var all []version
	if o.Kind == Versions {
		if err := json.Unmarshal(body, &all); err != nil {
			return err
		}
	} else {
		var one version
		if err := json.Unmarshal(body, &one); err != nil {
			return err
		}
		if one.VersionName != "" {
			all = append(all, one)
		}
	}
	for _, v := range all {
		material, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(v.Material, "="))
		if err != nil {
			return fmt.Errorf("material of %s: %w", v.VersionName, err)
		}
		_, digits, _ := strings.Cut(v.VersionName, "@")
		number, err := strconv.Atoi(digits)
		if err != nil || len(material) == 0 {
			return errors.New("no version, or no material: " + v.VersionName)
		}
		o.Served = append(o.Served, Served{number, HashOf(material)})
	}
	if len(all) == 0 {
		if o.Kind.writes() {
			return errors.New("a success without a version")
		}
		o.Outcome = Absent
	}
	return nil
}
