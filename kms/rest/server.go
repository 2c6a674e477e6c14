package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"keytrustee/kms"
)

// Service is what rest calls; *kms.Service is the real one.
type Service interface {
	CreateKey(ctx context.Context, c kms.Call, r kms.CreateRequest) (kms.KeyVersion, *kms.Hand, error)
	RollNewVersion(ctx context.Context, c kms.Call, name kms.KeyName, m kms.Material) (kms.KeyVersion, *kms.Hand, error)
	DeleteKey(ctx context.Context, c kms.Call, name kms.KeyName) (*kms.Hand, error)
	UndeleteKey(ctx context.Context, c kms.Call, name kms.KeyName) (*kms.Hand, error)
	PurgeKey(ctx context.Context, c kms.Call, name kms.KeyName) (*kms.Hand, error)
	InvalidateCache(ctx context.Context, c kms.Call, name kms.KeyName) error

	KeyNames(ctx context.Context, p kms.Principal) ([]kms.KeyName, error)
	Metadata(ctx context.Context, p kms.Principal, name kms.KeyName) (kms.Metadata, error)
	KeysMetadata(ctx context.Context, p kms.Principal, names []kms.KeyName) ([]*kms.Metadata, error)
	CurrentKey(ctx context.Context, p kms.Principal, name kms.KeyName) (kms.KeyVersion, error)
	KeyVersion(ctx context.Context, p kms.Principal, name kms.VersionName) (kms.KeyVersion, error)
	KeyVersions(ctx context.Context, p kms.Principal, name kms.KeyName) ([]kms.KeyVersion, error)
	MayWrite(ctx context.Context) error
	Recent(ctx context.Context, p kms.Principal, kind kms.ChangeKind, name kms.KeyName) (kms.Change, bool)

	GenerateEEK(ctx context.Context, p kms.Principal, name kms.KeyName, n int) ([]kms.EncryptedKeyVersion, error)
	DecryptEEK(ctx context.Context, p kms.Principal, e kms.EncryptedKeyVersion) (kms.KeyVersion, error)
	ReencryptEEK(ctx context.Context, p kms.Principal, e kms.EncryptedKeyVersion) (kms.EncryptedKeyVersion, error)
	ReencryptEEKs(ctx context.Context, p kms.Principal, name kms.KeyName, es []kms.EncryptedKeyVersion) ([]kms.EncryptedKeyVersion, error)
}

// Authenticator names who sends a request. It may put headers into the answer, whatever that will be. An error that says
// LoginAgain() true is answered with 401, LoginAgain() false with 403; others as the table of errors says.
type Authenticator interface {
	Authenticate(answer http.Header, r *http.Request) (kms.Principal, error)
}

// Cluster knows where writes are done.
type Cluster interface {
	// Route is asked for each write, and again after a forward that failed; it does no I/O.
	Route() Route
}

// Route is where writes are done now.
type Route struct {
	Here      bool              // this host is the active
	ActiveURL string            // external address of the active, such as https://kt01.example.com:11371
	Transport http.RoundTripper // reaches the active's cluster listener; nil when Refusal is set
	// Refusal: the active is known to be gone, or this host is in no state to forward.
	Refusal *kms.ReadOnlyError
}

// Config is what a Server is made of.
type Config struct {
	Service Service       // required
	Clients Authenticator // of the public listener; required
	Peer    Authenticator // of the cluster listener; required by ClusterHandler
	Cluster Cluster       // nil: this host is the active, always

	// Assert says in h, to the active, that p sends the request; required where Cluster may forward.
	Assert func(h http.Header, p kms.Principal)
	// Hand tells the active what became of a result that it handed over; required where Cluster may forward.
	Hand func(ctx context.Context, number uint64, told bool) error
	// Fingerprint is the answer to GET /?a=fingerprint; empty: nobody asks.
	Fingerprint string

	Host            string        // this host's name, for the bodies of refusals; empty means "this host"
	ContextPath     string        // before /v1/…; empty means /kms
	ForwardDeadline time.Duration // how long a client waits for a forwarded write; 0 means 6.5 s
	HandDeadline    time.Duration // how long the active waits for the passive's report; 0 means 5 s
	Logger          *slog.Logger  // nil means slog.Default()
}

// The limits of a request.
const (
	maxHeader      = 64 << 10
	maxBody        = 4 << 20
	maxBatch       = 16 << 20         // of a batch of EEKs
	bodyDeadline   = 10 * time.Second // for the client to send its body
	answerDeadline = 10 * time.Second // for everything else
)

// Server makes the handlers. Its methods may be called concurrently.
type Server struct {
	Config
	prefix []string // the segments of every path of the protocol
	handed *handovers
}

// New returns a Server; it starts nothing.
func New(c Config) (*Server, error) {
	if c.Service == nil || c.Clients == nil {
		return nil, errors.New("rest.Config lacks Service or Clients")
	}
	if c.Cluster == nil {
		c.Cluster = alone{}
	} else if c.Assert == nil || c.Hand == nil {
		return nil, errors.New("rest.Config has a Cluster and lacks Assert or Hand")
	}
	if c.Host == "" {
		c.Host = "this host"
	}
	if c.ContextPath == "" {
		c.ContextPath = "/kms"
	}
	if c.ForwardDeadline == 0 {
		c.ForwardDeadline = 6500 * time.Millisecond
	}
	if c.HandDeadline == 0 {
		c.HandDeadline = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Server{Config: c, prefix: prefixOf(c.ContextPath), handed: newHandovers(c.HandDeadline)}, nil
}

// alone is the Cluster of a host that has no peer.
type alone struct{}

func (alone) Route() Route { return Route{Here: true} }

// PublicHandler serves clients. It looks at the request's own target, so it may be mounted below a prefix, but never
// behind an http.ServeMux.
func (s *Server) PublicHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.Clients, false) })
}

// ClusterHandler does the writes that the passive forwards. It believes what the passive says of the caller, so it must
// stand behind mutual TLS. It never forwards.
func (s *Server) ClusterHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.Peer, true) })
}

// Report is what the passive says of a result that it was handed under that number: a client was told, or it was returned
// before anybody could know. A number that was reported before, timed out or never existed changes nothing.
func (s *Server) Report(number uint64, told bool) { s.handed.report(number, told) }

// PublicServer returns the http.Server that h needs: HTTP/1.1 alone (of HTTP/2 nobody knows when a byte of one answer is on
// its way), and no ReadTimeout (at its end a client that waits would seem to have gone) but a bound on the body's arrival.
func PublicServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           inTime(h, bodyDeadline),
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
}
