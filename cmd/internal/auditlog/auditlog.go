// Package auditlog opens the audit log of the host that a program runs on, and keeps in it what an operator's commands do.
//
//	auditlog.go  the file, and Notice: a command as a line of it
//	receiver.go  the receiver of syslog that the settings name
//	command.go   Command: what a program does that is no daemon
package auditlog

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keytrustee/host"
	"keytrustee/kms/audit"
)

// Path is where the host keeps its audit log.
func Path(h *host.Host) string { return filepath.Join(h.LogDir, "kms-audit.log") }

// Notice is what an operator did on the host of that name, as the audit log has it.
func Notice(act host.Act, name string) audit.Notice {
	return audit.Notice{At: time.Now(), Kind: "act", Text: act.Error, Grave: act.Error != "", Fields: []audit.Field{
		{Name: "state", Value: string(act.Stage)}, {Name: "command", Value: strings.TrimPrefix(act.Command, "/v1/")},
		{Name: "uid", Value: strconv.FormatUint(uint64(act.UID), 10)}, {Name: "id", Value: act.ID},
		{Name: "request", Value: act.Request}, {Name: "result", Value: act.Result}, {Name: "host", Value: name}}}
}
