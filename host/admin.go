package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"keytrustee/replication"
)

// What ktadmin asks the daemon of its own host, over the admin socket.
const (
	tokenPath   = "/v1/join-token"
	enablePath  = "/v1/enable-sync"
	abandonPath = "/v1/abandon-join"
	statusPath  = "/v1/status"
)

// TokenRequest asks for a join token.
type TokenRequest struct {
	Replace bool          `json:"replace"`
	Life    time.Duration `json:"life"` // 0: TokenLife
}

// TokenAnswer is a join token. Token is a secret.
type TokenAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	// Restores: it is for the restore of the active from this passive.
	Restores bool `json:"restores,omitempty"`
}

// Admin serves the admin socket: root and the user that the daemon runs as may use it, told by the kernel.
type Admin struct {
	Host     *Host
	Pair     Pair
	Admitter *Admitter
	// Note keeps what an operator says to the daemon, before it is done and when it has ended; with an error nothing is done. nil:
	// nobody does.
	Note func(Act) error
	// Peer asks the other host for its own view of the pair. nil: it is not asked.
	Peer   func(context.Context) (replication.Report, error)
	Logger *slog.Logger
}

// enableLimit bounds how long enabling synchronous replication may take.
const enableLimit = patience + 20*time.Second

// handler is what the socket serves.
func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tokenPath, a.serveToken)
	mux.HandleFunc("POST "+enablePath, a.serveEnable)
	mux.HandleFunc("POST "+abandonPath, a.serveAbandon)
	mux.HandleFunc("GET "+statusPath, a.serveStatus)
	mux.HandleFunc("GET "+viewPath, a.serveView)
	mux.HandleFunc("POST "+clusterPath, a.serveOperate)
	audited := a.audited(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(callerKey{}).(uint32)
		if !ok || uid != 0 && uid != uint32(os.Geteuid()) {
			a.Logger.Warn("the admin socket was refused to a user", "uid", uid, "path", r.URL.Path)
			writeJSON(w, http.StatusForbidden, refusal{"only root and the user of the service may use the admin socket", "run ktadmin as root"})
			return
		}
		if age := requestAge(r); r.Method != http.MethodGet && age > commandLimit {
			a.refuse(w, hinted("nothing was changed; repeat the command, if it is still wanted", "the command was given %v ago, and waited for a keytrusteed that stood still", age.Round(time.Second)))
			return
		}
		audited.ServeHTTP(w, r)
	})
}

// commandLimit is how old a command may be when it is heard: whoever gave it may have given it up since, and the pair may be another.
const commandLimit = 10 * time.Second

// requestAge is how long ago ktadmin, which has the same clock, has sent r.
func requestAge(r *http.Request) time.Duration {
	sent, err := time.Parse(time.RFC3339Nano, r.Header.Get(sentHeader))
	if err != nil {
		return 0
	}
	return time.Since(sent)
}

type callerKey struct{}

// Run serves the socket until ctx ends.
func (a *Admin) Run(ctx context.Context) error {
	l, err := listenAdmin(a.Host.AdminSocket())
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(a.Logger.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if uid, err := callerUID(c); err == nil {
				return context.WithValue(ctx, callerKey{}, uid)
			}
			return ctx
		},
	}
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the admin socket: %w", err)
	}
	return nil
}

// listenAdmin takes the place of a socket that nobody listens at any more, and no other's.
func listenAdmin(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, hinted("stop it first", "another keytrusteed listens at %s", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// callerUID asks the kernel who is at the other end.
func callerUID(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if cerr != nil {
		return 0, cerr
	}
	return cred.Uid, nil
}

func (a *Admin) serveToken(w http.ResponseWriter, r *http.Request) {
	var q TokenRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&q); err != nil {
		writeJSON(w, http.StatusBadRequest, refusal{Error: "the request can not be read: " + err.Error()})
		return
	}
	token, err := a.Admitter.newToken(r.Context(), q.Replace, q.Life)
	if err != nil {
		a.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, TokenAnswer{token.Text(), token.Expires, a.Pair.State().Duty == replication.Passive})
}

func (a *Admin) serveAbandon(w http.ResponseWriter, r *http.Request) {
	if err := a.Pair.Abandon(r.Context(), ""); err != nil {
		a.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

func (a *Admin) serveEnable(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), enableLimit)
	defer cancel()
	if err := EnableSync(ctx, a.Pair); err != nil {
		a.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

func (a *Admin) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s, err := a.Host.Status()
	if err != nil {
		a.refuse(w, err)
		return
	}
	report := a.Pair.Report()
	s.Daemon, s.Report = true, &report
	writeJSON(w, http.StatusOK, s)
}

// refuse tells the operator, who is on this host and may know everything.
func (a *Admin) refuse(w http.ResponseWriter, err error) {
	a.Logger.Warn("ktadmin was refused", "error", err)
	no := refusal{Error: err.Error()}
	if hint, ok := errors.AsType[*HintedError](err); ok {
		no.Hint = hint.Hint
	}
	status := http.StatusInternalServerError
	if _, refused := errors.AsType[*replication.RefusedError](err); refused || no.Hint != "" {
		status = http.StatusConflict
	}
	writeJSON(w, status, no)
}
