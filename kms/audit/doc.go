// Package audit keeps the audit log: kms.Recorder on a file, in the text form of Hadoop's kms-audit.log.
//
//	line.go      an event as a line
//	recorder.go  Recorder: Record is durable when it returns, Access is aggregated and may be lost
//	file.go      the file: appended to, synced, opened again after it failed or was moved away
package audit
