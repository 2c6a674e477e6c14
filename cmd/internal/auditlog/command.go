package auditlog

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"keytrustee/cmd/internal/thishost"
	"keytrustee/host"
	"keytrustee/internal/config"
	"keytrustee/internal/durable"
	"keytrustee/kms/audit"
)

// reach is how long a command waits for the receiver of syslog when it has ended.
const reach = 2 * time.Second

// Command carries out do, a command of the user uid that no daemon is asked for, on the host that c describes. The audit log has it before, and how
// it ended: the attempt is on the disk when do is called, and a command that can not be noted is not carried out. What was asked for and what do
// returns become JSON; neither holds a secret. missing, which may be nil, is why the end could not be noted, or the receiver of syslog was not told.
func Command(c *config.Config, uid int, command string, request any, do func() (result any, err error)) (missing, err error) {
	self := thishost.From(c)
	// A receiver that is wrong is the daemon's to refuse: here it would keep an operator from what is wanted at night.
	syslog, untold := Receiver(c, slog.New(slog.DiscardHandler))
	if syslog != nil {
		stop := Background(syslog.Run)
		defer func() {
			for end := time.Now().Add(reach); time.Now().Before(end); time.Sleep(reach / 100) {
				if _, away := syslog.Trouble(); away == nil {
					break
				}
			}
			_, away := syslog.Trouble()
			stop()
			if lost := syslog.Lost(); lost > 0 && missing == nil {
				missing = fmt.Errorf("the receiver of syslog was not told of it (%d messages): %w", lost, away)
			}
		}()
	}
	act := host.Act{ID: rand.Text()[:12], Stage: host.ActAttempted, UID: uint32(uid), Command: command}
	asked, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	act.Request = string(asked)
	recorder, err := open(self, syslog)
	if err == nil {
		defer recorder.Close()
		err = recorder.Note(Notice(act, self.Name))
	}
	if err != nil {
		return nil, &host.HintedError{Err: fmt.Errorf("the audit log can not be written, so the command is not carried out: %w", err),
			Hint: "look at the disk and the permissions of " + self.LogDir + "; nothing was changed"}
	}
	result, err := do()
	act.Request, act.Stage = "", host.ActDone
	if err != nil {
		act.Stage, act.Error = host.ActFailed, err.Error()
	} else if text, failed := json.Marshal(result); failed == nil && result != nil {
		act.Result = string(text)
	}
	if noted := recorder.Note(Notice(act, self.Name)); noted != nil {
		return fmt.Errorf("how it ended is missing in the audit log: %w", noted), err
	}
	if untold != nil {
		untold = fmt.Errorf("the receiver of syslog was not told of it: %w", untold)
	}
	return untold, err
}

// open opens the audit log of a host, whose directory need not be there yet.
func open(self *host.Host, syslog *audit.Syslog) (*audit.Recorder, error) {
	if err := durable.MkdirAll(self.LogDir, 0o700); err != nil {
		return nil, err
	}
	return audit.New(audit.Config{Path: Path(self), Syslog: syslog})
}
