package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// WALEnd returns the end of the last valid record in the data directory, and its timeline. It asks no server, and that
// may run or not: on a standby it is the end of what has arrived whole, replayed or not; of a running primary it may lie
// after the flushed position. What came after a torn record, or was left in a recycled file, does not count.
func WALEnd(ctx context.Context, inst Installation, data string) (LSN, Timeline, error) {
	for range 3 {
		before, err := ReadControl(ctx, inst, data)
		if err != nil {
			return 0, 0, err
		}
		end, tli, err := walEnd(ctx, inst, data, before)
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		after, cerr := ReadControl(ctx, inst, data)
		if cerr != nil {
			return 0, 0, cerr
		}
		// A checkpoint may have recycled what was being read. Where none came between, what was found stands.
		if after.Redo == before.Redo || err == nil && end >= after.Redo {
			if err != nil {
				return 0, 0, fmt.Errorf("finding the end of the log in %s: %w", data, err)
			}
			return end, tli, nil
		}
	}
	return 0, 0, fmt.Errorf("finding the end of the log in %s: it moves too fast", data)
}

// walEnd reads the newest timeline at hand from where it branched off, or the control file's own from its redo position.
func walEnd(ctx context.Context, inst Installation, data string, c Control) (LSN, Timeline, error) {
	newer, err := descendants(data, c)
	if err != nil {
		return 0, 0, err
	}
	for _, b := range newer {
		if !exists(segmentPath(data, b.Timeline, b.Until-b.Until%segmentSize)) {
			continue // its history file has arrived, its log has not
		}
		end, err := lastRecord(ctx, inst, data, b.Timeline, b.Until)
		if errors.Is(err, errNoRecord) {
			end, err = b.Until, nil
		}
		return end, b.Timeline, err
	}
	end, err := lastRecord(ctx, inst, data, c.Timeline, c.Redo)
	return end, c.Timeline, err
}

// descendants returns the timelines that the history files at hand let come from c's, each with the position at which it
// began (Until of its last parent), newest first.
func descendants(data string, c Control) ([]branch, error) {
	paths, err := filepath.Glob(filepath.Join(data, "pg_wal", "????????.history"))
	if err != nil {
		return nil, err
	}
	var found []branch
	for _, path := range paths {
		n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), ".history"), 16, 32)
		if err != nil || Timeline(n) <= c.Timeline {
			continue
		}
		a, err := readAncestry(data, Timeline(n))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(a.parents, func(b branch) bool { return b.Timeline == c.Timeline && b.Until >= c.Redo }) {
			found = append(found, branch{a.own, a.parents[len(a.parents)-1].Until})
		}
	}
	slices.SortFunc(found, func(a, b branch) int { return int(int64(b.Timeline) - int64(a.Timeline)) })
	return found, nil
}

var errNoRecord = errors.New("no valid record begins there")

// lastRecord returns the end of the last of the valid records that follow each other from start on.
func lastRecord(ctx context.Context, inst Installation, data string, tli Timeline, start LSN) (LSN, error) {
	d := walDump{inst, data, tli, start - start%segmentSize}
	// Without an end pg_waldump waits 5 s for a segment that is not there, in vain.
	for exists(segmentPath(data, tli, d.limit)) {
		d.limit += segmentSize
	}
	// A pass that prints nothing is twenty times as fast, and leaves the second one little to print. What it says is a
	// hint only: wherever a valid record begins, the second pass ends at the same place.
	_, hint, err := d.read(ctx, start, "--quiet")
	if err != nil {
		return 0, err
	}
	last, _, err := d.read(ctx, max(start, hint))
	if errors.Is(err, errNoRecord) {
		last, _, err = d.read(ctx, start)
	}
	if err != nil {
		return 0, err
	}
	return parseRecordEnd(last)
}

// walDump reads the log of a timeline up to limit, which is as far as there are segments.
type walDump struct {
	inst  Installation
	data  string
	tli   Timeline
	limit LSN
}

var complaintPattern = regexp.MustCompile(`error in WAL record at ([0-9A-F]+/[0-9A-F]+):`)

// read returns what pg_waldump prints of the last record, and where the error that ended it was, if one did.
// errNoRecord if there is no valid record from start on.
func (d walDump) read(ctx context.Context, start LSN, options ...string) (record string, at LSN, err error) {
	var self *OSUser
	// It is told the segments: left to itself it learns their size from whichever file it meets first, and one that was made
	// ahead holds nothing yet.
	first := segmentPath(d.data, d.tli, start-start%segmentSize)
	last := segmentPath(d.data, d.tli, max(d.limit-1, start)/segmentSize*segmentSize)
	args := append(options, "-p", filepath.Join(d.data, "pg_wal"), "-s", start.String(), "-e", d.limit.String(),
		filepath.Base(first), filepath.Base(last))
	cmd := self.command(ctx, d.inst.Path("pg_waldump"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, err
	}
	if err := cmd.Start(); err != nil {
		return "", 0, fmt.Errorf("running pg_waldump: %w", err)
	}
	record, rerr := lastLine(stdout, "rmgr: ")
	werr := cmd.Wait()
	if rerr != nil {
		return "", 0, rerr
	}
	// The log has no end mark: unless it fills its segment, reading ends with an error. This one says that no further
	// record is valid, others that it could not be read.
	complaint := lastLines(stderr.String(), 1)
	if m := complaintPattern.FindStringSubmatch(complaint); m != nil {
		at, err = ParseLSN(m[1])
	} else if strings.Contains(complaint, "could not find a valid record after") || strings.Contains(complaint, "header specifies 0 bytes") {
		err = errNoRecord
	} else if werr != nil {
		err = fmt.Errorf("pg_waldump: %s (%w)", complaint, werr)
	}
	if err == nil && record == "" && len(options) == 0 {
		err = errNoRecord
	}
	return record, at, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lastLine reads r to its end and returns the beginning of the last line with that prefix.
func lastLine(r io.Reader, prefix string) (string, error) {
	b := bufio.NewReader(r)
	var last []byte
	for {
		line, more, err := b.ReadLine()
		if err == io.EOF {
			return string(last), nil
		} else if err != nil {
			return "", err
		}
		if bytes.HasPrefix(line, []byte(prefix)) {
			last = append(last[:0], line...)
		}
		for more && err == nil {
			_, more, err = b.ReadLine()
		}
	}
}

var recordPattern = regexp.MustCompile(`^rmgr: (\S+) +len \(rec/tot\): +\d+/ *(\d+), tx: +\d+, lsn: ([0-9A-F]+/[0-9A-F]+), prev [0-9A-F/]+, desc: (\S+)`)

// parseRecordEnd returns where the record that a line of pg_waldump describes ends.
func parseRecordEnd(line string) (LSN, error) {
	m := recordPattern.FindStringSubmatch(line)
	if m == nil {
		return 0, fmt.Errorf("pg_waldump: %q is no record", line)
	}
	length, err := strconv.ParseUint(m[2], 10, 32)
	if err != nil {
		return 0, err
	}
	start, err := ParseLSN(m[3])
	if err != nil {
		return 0, err
	}
	if m[1] == "XLOG" && m[4] == "SWITCH" { // fills its segment
		return start - start%segmentSize + segmentSize, nil
	}
	return recordEnd(start, length), nil
}

// The log is cut into pages, each with a header, a longer one at a segment's beginning.
const (
	pageSize          = 8192
	pageHeader        = 24
	segmentPageHeader = 40
	recordAlignment   = 8
)

// recordEnd returns the end of a record of that length, padding included, that begins at start.
func recordEnd(start LSN, length uint64) LSN {
	pos := uint64(start)
	for {
		room := pageSize - pos%pageSize
		if length <= room {
			end := pos + length
			return LSN((end + recordAlignment - 1) &^ (recordAlignment - 1))
		}
		length -= room
		pos += room
		if pos%segmentSize == 0 {
			pos += segmentPageHeader
		} else {
			pos += pageHeader
		}
	}
}
