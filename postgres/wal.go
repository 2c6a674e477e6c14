package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// segmentSize is the length of a WAL segment; Init leaves PostgreSQL's default.
const segmentSize = 16 << 20

// ErrWALGone means that a part of the write-ahead log is not in the data directory (any more).
var ErrWALGone = errors.New("the write-ahead log is not there any more")

// HashWAL returns the SHA-256 of the log's bytes in [from, to) of that timeline. Bytes before the end of a valid record
// are the same on a primary and its standbys, so equal hashes mean one history. ErrWALGone if some are not there.
func HashWAL(data string, tli Timeline, from, to LSN) ([]byte, error) {
	if from >= to {
		return nil, fmt.Errorf("hashing the log from %s to %s: nothing lies between", from, to)
	}
	ancestry, err := readAncestry(data, tli)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	for from < to {
		end := min(to, from-from%segmentSize+segmentSize)
		if err := hashSegment(hash, data, ancestry, from, end); err != nil {
			return nil, fmt.Errorf("hashing the log from %s to %s: %w", from, end, err)
		}
		from = end
	}
	return hash.Sum(nil), nil
}

// hashSegment adds [from, to), which lies in one segment, to the hash.
func hashSegment(w io.Writer, data string, a ancestry, from, to LSN) error {
	start := from - from%segmentSize
	for _, tli := range a.holding(to) {
		f, err := os.Open(segmentPath(data, tli, start))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(w, io.NewSectionReader(f, int64(from-start), int64(to-from))); err != nil {
			return err
		}
		// Looked at afterwards: a file that was made ready for later use meanwhile says another address, or will.
		return checkSegment(f, start)
	}
	return ErrWALGone
}

// checkSegment returns ErrWALGone unless the file holds the segment that begins at start and not what it was recycled from.
func checkSegment(f *os.File, start LSN) error {
	var header [16]byte // magic, flags, timeline, address of the page
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return err
	}
	if LSN(binary.NativeEndian.Uint64(header[8:])) != start {
		return ErrWALGone
	}
	return nil
}

// FirstWAL returns where a comparison of the log before end begins: at the start of the segment before the one that end
// lies in, or, if that is not there, of that one itself. ErrWALGone if neither is.
func FirstWAL(data string, tli Timeline, end LSN) (LSN, error) {
	if end == 0 {
		return 0, ErrWALGone
	}
	ancestry, err := readAncestry(data, tli)
	if err != nil {
		return 0, err
	}
	there := func(start LSN) bool {
		return hashSegment(io.Discard, data, ancestry, start, min(end, start+segmentSize)) == nil
	}
	last := (end - 1) - (end-1)%segmentSize
	switch {
	case !there(last):
		return 0, fmt.Errorf("the segment before %s: %w", end, ErrWALGone)
	case last >= segmentSize && there(last-segmentSize):
		return last - segmentSize, nil
	}
	return last, nil
}

// History returns the timeline's history file, which names its ancestors; nil for timeline 1, which has none.
func History(data string, tli Timeline) ([]byte, error) {
	if tli == 1 {
		return nil, nil
	}
	content, err := os.ReadFile(historyPath(data, tli))
	if err != nil {
		return nil, fmt.Errorf("reading the history of timeline %s: %w", tli, err)
	}
	return content, nil
}

// branch is a timeline that was left at a position.
type branch struct {
	Timeline Timeline
	Until    LSN
}

// ancestry is a timeline with the ones it came from.
type ancestry struct {
	own     Timeline
	parents []branch // oldest first
}

// holding returns the timelines whose files may hold the bytes before to, the newest first: a timeline's first segment
// repeats its parent's bytes up to where it branched off.
func (a ancestry) holding(to LSN) []Timeline {
	tlis := []Timeline{a.own}
	for i := len(a.parents) - 1; i >= 0 && to <= a.parents[i].Until; i-- {
		tlis = append(tlis, a.parents[i].Timeline)
	}
	return tlis
}

func readAncestry(data string, tli Timeline) (ancestry, error) {
	content, err := History(data, tli)
	if err != nil {
		return ancestry{}, err
	}
	parents, err := parseHistory(content)
	if err != nil {
		return ancestry{}, fmt.Errorf("reading %s: %w", historyPath(data, tli), err)
	}
	return ancestry{own: tli, parents: parents}, nil
}

// parseHistory reads lines of a timeline, the position at which it was left, and a reason, separated by white space.
func parseHistory(content []byte) ([]branch, error) {
	var branches []branch
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("%q names no position", line)
		}
		tli, err := ParseTimeline(fields[0])
		if err != nil {
			return nil, err
		}
		until, err := ParseLSN(fields[1])
		if err != nil {
			return nil, err
		}
		if n := len(branches); n > 0 && (tli <= branches[n-1].Timeline || until < branches[n-1].Until) {
			return nil, fmt.Errorf("timeline %s at %s is out of order", tli, until)
		}
		branches = append(branches, branch{tli, until})
	}
	return branches, nil
}

// Descends reports whether timeline tli, whose log lies in data, is that other timeline or came from it, and up to which
// position the two are one. history is the other's own history file: a timeline of the same number that came about elsewhere
// has another one, and is not the same.
func Descends(data string, tli, other Timeline, history []byte) (until LSN, ok bool, err error) {
	own, err := History(data, tli)
	if err != nil {
		return 0, false, err
	}
	if tli == other {
		return ^LSN(0), bytes.Equal(own, history), nil
	}
	parents, err := parseHistory(own)
	if err != nil {
		return 0, false, fmt.Errorf("reading %s: %w", historyPath(data, tli), err)
	}
	theirs, err := parseHistory(history)
	if err != nil {
		return 0, false, fmt.Errorf("reading the history of timeline %s: %w", other, err)
	}
	i := slices.IndexFunc(parents, func(b branch) bool { return b.Timeline == other })
	if i < 0 || !slices.Equal(parents[:i], theirs) {
		return 0, false, nil
	}
	return parents[i].Until, true, nil
}

func segmentPath(data string, tli Timeline, start LSN) string {
	n := uint64(start) / segmentSize
	return filepath.Join(data, "pg_wal", fmt.Sprintf("%08X%08X%08X", uint32(tli), n>>8, n&0xff))
}

func historyPath(data string, tli Timeline) string {
	return filepath.Join(data, "pg_wal", fmt.Sprintf("%08X.history", uint32(tli)))
}
