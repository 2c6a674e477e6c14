package peer

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"keytrustee/replication"
)

const prefix = "/cluster/v1/"

const maxBody = 1 << 20 // of what the daemons say to each other; a forwarded request has limits of its own

// Node is this host's half of the pair, as the peer may call it; replication.Monitor is one.
type Node interface {
	Answer(ctx context.Context, q replication.Ask) replication.Answer
	Boundary(ctx context.Context) (replication.Boundary, error)
	Follow(ctx context.Context, f replication.Follow) error
	Report() replication.Report
	Operate(ctx context.Context, c replication.Command) (replication.Operated, error)
	Takeover(ctx context.Context, t replication.Takeover) (replication.TakeoverAnswer, error)
	State() replication.State
}

// Server serves the cluster listener. Node and NodeName are required.
type Server struct {
	Node Node
	// NodeName returns the name of the node that a verified certificate identifies.
	NodeName func(*x509.Certificate) (string, bool)
	Forward  http.Handler // gets the client's request as the client sent it, and from nobody but the peer
	Join     http.Handler // gets everything below join/, from anybody
	// Hand is told what became of a result that was handed to the peer.
	Hand   func(ctx context.Context, r HandReport) error
	Logger *slog.Logger // nil: slog.Default()

	turnedAway sync.Map // what was logged: each caller's first
}

// HandReport says what became of the result that was handed over under a number.
type HandReport struct {
	Number uint64 `json:"number"`
	Told   bool   `json:"told"` // the client has the first byte; otherwise the result is returned
}

// ServeHTTP serves what the peer asks, and nobody but the peer: the client's certificate, which the listener's TLS has
// verified against the cluster's authority, must name it. It does no cleaning of paths, for keys have every name.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok {
		fail(w, http.StatusNotFound, "nothing here; the cluster protocol is below "+prefix)
		return
	}
	if strings.HasPrefix(path, "join/") && s.Join != nil {
		s.Join.ServeHTTP(w, r)
		return
	}
	name, err := s.caller(r)
	if err != nil {
		s.turnAway(w, r, name, err)
		return
	}
	if strings.HasPrefix(path, "forward/") && s.Forward != nil {
		r.RequestURI = strings.TrimPrefix(r.RequestURI, prefix+"forward") // what a name was escaped as stands here alone
		http.StripPrefix(prefix+"forward", s.Forward).ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodPost {
		fail(w, http.StatusMethodNotAllowed, "only POST")
		return
	}
	s.call(w, r, name, path)
}

// call answers a call of the peer, whose name the certificate has said.
func (s *Server) call(w http.ResponseWriter, r *http.Request, name, path string) {
	switch path {
	case "heartbeat":
		serve(w, r, 12*time.Second, func(ctx context.Context, q replication.Ask) (replication.Answer, error) {
			if q.From != name {
				return replication.Answer{}, fmt.Errorf("%s asks in the name of %s", name, q.From)
			}
			return s.Node.Answer(ctx, q), nil
		})
	case "boundary":
		serve(w, r, time.Minute, func(ctx context.Context, _ struct{}) (replication.Boundary, error) { return s.Node.Boundary(ctx) })
	case "follow":
		serve(w, r, 10*time.Second, func(ctx context.Context, f replication.Follow) (struct{}, error) {
			return struct{}{}, s.Node.Follow(ctx, f)
		})
	case "report":
		serve(w, r, 5*time.Second, func(context.Context, struct{}) (replication.Report, error) { return s.Node.Report(), nil })
	case "operate":
		serve(w, r, time.Minute, func(ctx context.Context, c replication.Command) (replication.Operated, error) {
			if c.Relay != name {
				return replication.Operated{}, fmt.Errorf("%s relays a command in the name of %q", name, c.Relay)
			}
			return s.Node.Operate(ctx, c)
		})
	case "takeover":
		serve(w, r, time.Minute, func(ctx context.Context, t replication.Takeover) (replication.TakeoverAnswer, error) {
			t.Source, _, _ = net.SplitHostPort(r.RemoteAddr)
			return s.Node.Takeover(ctx, t)
		})
	case "hand":
		serve(w, r, 5*time.Second, func(ctx context.Context, h HandReport) (struct{}, error) {
			if s.Hand == nil {
				return struct{}{}, errors.New("this host hands nothing over")
			}
			return struct{}{}, s.Hand(ctx, h)
		})
	default:
		fail(w, http.StatusNotFound, "no such call: "+path)
	}
}

// turnAway refuses a caller that is not the peer. A node of this cluster, name not empty, learns the epoch, so that one that
// was replaced knows it.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, name string, why error) {
	level := slog.LevelDebug
	if _, again := s.turnedAway.LoadOrStore(name+": "+why.Error(), true); !again {
		level = slog.LevelWarn
	}
	s.log().Log(r.Context(), level, "a caller was turned away", "from", r.RemoteAddr, "path", r.URL.Path, "error", why)
	body := refusal{Error: why.Error()}
	if name != "" {
		epoch := s.Node.State().Epoch
		body.Epoch = &epoch
	}
	respond(w, http.StatusForbidden, body)
}

// caller is the name of the peer that calls; with an error, that of the node that calls, if it is one of this cluster.
func (s *Server) caller(r *http.Request) (string, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", errors.New("no certificate of this cluster was shown")
	}
	name, ok := s.NodeName(r.TLS.PeerCertificates[0])
	if !ok {
		return "", errors.New("the certificate names no node of this cluster")
	}
	state := s.Node.State()
	why := fmt.Errorf("%s is not the peer of %s", name, state.Self)
	peers := []*replication.Peer{state.Peer}
	if state.Pending != nil {
		peers = append(peers, &state.Pending.Peer)
	}
	for _, p := range peers {
		if p == nil || p.Name != name {
			continue
		}
		if p.ShownBy(r.TLS.PeerCertificates[0]) {
			return name, nil
		}
		why = fmt.Errorf("what calls itself %s shows another key than the %s that joined", name, name)
	}
	return name, why
}

func (s *Server) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// serve decodes a question, calls f, and encodes its answer; within limit, as far as f heeds its context.
func serve[Q, A any](w http.ResponseWriter, r *http.Request, limit time.Duration, f func(context.Context, Q) (A, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	var q Q
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, "the body: "+err.Error())
		return
	}
	a, err := f(ctx, q)
	if err != nil {
		_, refused := errors.AsType[*replication.RefusedError](err)
		respond(w, http.StatusConflict, refusal{Error: err.Error(), Refused: refused})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a) // a failure is the connection's, and the caller sees it
}

// refusal is the body of every answer but 200.
type refusal struct {
	Error string             `json:"error"`
	Epoch *replication.Epoch `json:"epoch,omitempty"`
	// Refused: it was a *replication.RefusedError.
	Refused bool `json:"refused,omitempty"`
}

func fail(w http.ResponseWriter, status int, text string) { respond(w, status, refusal{Error: text}) }

func respond(w http.ResponseWriter, status int, body refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
