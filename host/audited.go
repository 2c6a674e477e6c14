package host

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Act is a command of an operator, to this host's daemon or carried out by ktadmin itself, as the audit log keeps it.
type Act struct {
	ID      string // ties the attempt to how it ended
	Stage   ActStage
	UID     uint32 // who gave it, by the kernel's word
	Command string // the path, or ktadmin's words with slashes
	Request string // what was asked for, as it was sent: there are no secrets in it
	Result  string // of one that was carried out, what it made: no secrets either
	Error   string // of a command that was refused or failed
}

// ActStage is how far an Act is.
type ActStage string

// The stages. A command is refused when nothing was changed.
const (
	ActAttempted ActStage = "attempt"
	ActDone      ActStage = "done"
	ActRefused   ActStage = "refused"
	ActFailed    ActStage = "failed"
)

// maxCommand bounds the request of a command in bytes.
const maxCommand = 64 << 10

// audited notes every command before it is carried out, and how it ended. One that can not be noted is not carried out.
// Questions are not noted.
func (a *Admin) audited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Note == nil || r.Method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		if err != nil {
			writeJSON(w, http.StatusBadRequest, refusal{Error: "the request can not be read: " + err.Error()})
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		uid, _ := r.Context().Value(callerKey{}).(uint32)
		act := Act{ID: rand.Text()[:12], Stage: ActAttempted, UID: uid, Command: r.URL.Path, Request: compact(body)}
		if err := a.note(act); err != nil {
			a.refuse(w, hinted("look at the disk and the permissions of its log directory", "the audit log can not be written, so no command is carried out: %w", err))
			return
		}
		answer := &witness{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if err := a.note(answer.ended(act)); err != nil {
			a.Logger.Error("how a command ended is missing in the audit log", "command", act.Command, "id", act.ID, "error", err)
		}
	})
}

// noteLimit is how long a note may take: on a disk that stands still it would take for ever.
const noteLimit = 5 * time.Second

func (a *Admin) note(act Act) error {
	done := make(chan error, 1)
	go func() { done <- a.Note(act) }()
	select {
	case err := <-done:
		return err
	case <-time.After(noteLimit):
		return fmt.Errorf("it has not taken a line for %v", noteLimit)
	}
}

// compact is the request on one line.
func compact(body []byte) string {
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return string(body)
	}
	return b.String()
}

// witness sees how a request was answered.
type witness struct {
	http.ResponseWriter
	status int
	body   []byte // of a refusal
}

func (w *witness) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *witness) Write(p []byte) (int, error) {
	if w.status != http.StatusOK && len(w.body) < maxCommand {
		w.body = append(w.body, p...)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (w *witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ended is act as it ended.
func (w *witness) ended(act Act) Act {
	act.Request = ""
	switch {
	case w.status == http.StatusOK:
		act.Stage = ActDone
		return act
	case w.status < http.StatusInternalServerError:
		act.Stage = ActRefused
	default:
		act.Stage = ActFailed
	}
	var no refusal
	if json.Unmarshal(w.body, &no) == nil && no.Error != "" {
		act.Error = no.Error
	} else {
		act.Error = fmt.Sprintf("status %d", w.status)
	}
	return act
}
