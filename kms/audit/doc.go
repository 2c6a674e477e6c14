// Package audit keeps the audit log: kms.Recorder on a file, in the text form of Hadoop's kms-audit.log. Beside the events it
// takes notices, and it can send everything to a receiver of syslog too.
//
//	line.go      an event as a line
//	recorder.go  Recorder: Record is durable when it returns, Access is aggregated and may be lost
//	file.go      the file: appended to, synced, opened again after it failed or was moved away
//	notice.go    what happened to the host or the pair, as a line: the gate, a fence, an operator's act
//	syslog.go    Syslog: a bounded buffer, a connection that comes back, losses that are counted
//	message.go   a message of RFC 5424; wire.go: its connection
package audit
