package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Control is what a data directory's control file (global/pg_control) says.
type Control struct {
	SystemID  uint64   // made by initdb; base backups of a database have it too
	State     string   // PostgreSQL's words, such as "in production", "shut down", "in archive recovery"
	Timeline  Timeline // of the latest checkpoint
	Redo      LSN      // where recovery would begin
	Checksums bool     // pages have checksums
}

// ReadControl reads the control file of the data directory, whose server may run or not.
func ReadControl(ctx context.Context, inst Installation, data string) (Control, error) {
	var c Control
	var err error
	for range 3 { // a running server may be writing it at that moment
		var out []byte
		var self *OSUser
		out, err = run(ctx, self.command(ctx, inst.Path("pg_controldata"), "-D", data))
		if err != nil {
			return Control{}, fmt.Errorf("reading the control file of %s: %w", data, err)
		}
		if c, err = parseControl(string(out)); err == nil {
			return c, nil
		}
	}
	return Control{}, fmt.Errorf("reading the control file of %s: %w", data, err)
}

var errControlDamaged = errors.New("its checksum does not fit its content")

// parseControl reads the output of pg_controldata in the C locale.
func parseControl(out string) (Control, error) {
	fields := map[string]string{}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "WARNING: Calculated CRC checksum") {
			return Control{}, errControlDamaged
		}
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	var faults []error
	number := func(name string, bits int) uint64 {
		n, err := strconv.ParseUint(fields[name], 10, bits)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %q is no number", name, fields[name]))
		}
		return n
	}
	position := func(name string) LSN {
		lsn, err := ParseLSN(fields[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
		return lsn
	}
	c := Control{
		SystemID:  number("Database system identifier", 64),
		State:     fields["Database cluster state"],
		Timeline:  Timeline(number("Latest checkpoint's TimeLineID", 32)),
		Redo:      position("Latest checkpoint's REDO location"),
		Checksums: number("Data page checksum version", 32) != 0,
	}
	if n := number("Bytes per WAL segment", 64); len(faults) == 0 && n != segmentSize {
		faults = append(faults, fmt.Errorf("its WAL segments have %d bytes, and only %d is supported", n, segmentSize))
	}
	return c, errors.Join(faults...)
}
