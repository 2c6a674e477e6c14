package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"keytrustee/internal/durable"
)

// SegmentStart is where the segment begins that holds the byte at lsn.
func SegmentStart(lsn LSN) LSN { return lsn - lsn%segmentSize }

// SegmentEnd is where the segment ends that holds the byte at lsn.
func SegmentEnd(lsn LSN) LSN { return SegmentStart(lsn) + segmentSize }

// ReadSegment returns the bytes of the log of that timeline from start, where a segment begins, to the segment's end or to end,
// whichever is first, and the name of the file that holds them. ErrWALGone if they are not there.
func ReadSegment(data string, tli Timeline, start, end LSN) (name string, content []byte, err error) {
	if start%segmentSize != 0 || start >= end {
		return "", nil, fmt.Errorf("reading the log from %s to %s: no segment begins there, or it is empty", start, end)
	}
	end = min(end, start+segmentSize)
	a, err := readAncestry(data, tli)
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	for _, held := range a.holding(end) {
		path := segmentPath(data, held, start)
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return "", nil, err
		}
		defer f.Close()
		if _, err := io.Copy(&b, io.NewSectionReader(f, 0, int64(end-start))); err != nil {
			return "", nil, err
		}
		return filepath.Base(path), b.Bytes(), checkSegment(f, start) // looked at afterwards, as hashSegment does
	}
	return "", nil, fmt.Errorf("reading the log from %s to %s: %w", start, end, ErrWALGone)
}

var segmentPattern = regexp.MustCompile(`^[0-9A-F]{24}$`)

// WriteSegment makes content, the beginning of a segment, that segment's file in the data directory, whose server does not run.
// What follows content in it is empty. It is durable when WriteSegment returns nil.
func WriteSegment(data, name string, content []byte) error {
	if !segmentPattern.MatchString(name) || len(content) > segmentSize {
		return fmt.Errorf("writing the segment %q with %d bytes: it is none", name, len(content))
	}
	whole := make([]byte, segmentSize)
	copy(whole, content)
	return durable.WriteFile(filepath.Join(data, "pg_wal", name), whole, 0o600)
}

// Forked returns where the timeline began: the position at which it left its parent. Zero for timeline 1.
func Forked(data string, tli Timeline) (LSN, error) {
	a, err := readAncestry(data, tli)
	if err != nil || len(a.parents) == 0 {
		return 0, err
	}
	return a.parents[len(a.parents)-1].Until, nil
}
