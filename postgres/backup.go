package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// BaseBackupOptions say what to copy, and where to.
type BaseBackupOptions struct {
	ConnString string   // of the source, as a role that may replicate; it shows in the process table, so it holds no password
	Slot       string   // the replication slot to stream through; empty: none
	CreateSlot bool     // make it first; an error if it exists
	Target     string   // an empty or absent directory
	RunAs      *OSUser  // who owns the copy; nil: this process's user
	Lock       *os.File // what makes the copy, and its children, have it open until they end; nil: there is none
}

// BaseBackup copies a running server's data directory, with the log that makes it consistent and a manifest of SHA-256
// sums. When it returns nil the copy is on the disk, owned by RunAs, and not verified; of a standby it has the signal
// file too, so whoever starts it calls SetSignal first. After an error Target is as it was; a slot that was created may
// be there. A *PagesError says that the source is damaged. progress may be nil; it is called about once a second, total is an estimate and may grow.
func BaseBackup(ctx context.Context, inst Installation, o BaseBackupOptions, progress func(done, total int64)) (err error) {
	if err := errors.Join(o.RunAs.Check(), o.RunAs.CheckReach(o.Target)); err != nil {
		return err
	}
	undo, err := o.RunAs.takeEmpty(o.Target)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copying a database to %s: %w", o.Target, err), undo())
		}
	}()
	args := []string{"-d", o.ConnString, "-D", o.Target, "-X", "stream", "-c", "fast", "--manifest-checksums=SHA256", "--progress", "--no-password"}
	if o.Slot != "" {
		args = append(args, "-S", o.Slot)
	} else {
		args = append(args, "--no-slot")
	}
	if o.CreateSlot {
		args = append(args, "-C")
	}
	cmd := holding(o.Lock, o.RunAs.command(ctx, inst.Path("pg_basebackup"), args...))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	text, rerr := readProgress(stderr, progress)
	switch werr := cmd.Wait(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case werr != nil:
		return programError("pg_basebackup", text, werr.Error())
	}
	return rerr
}

var progressPattern = regexp.MustCompile(`^ *(\d{1,15})/(\d{1,15}) kB \(`)

// readProgress reads pg_basebackup's standard error to its end, reports the lines that say how far it is, and returns
// the others.
func readProgress(r io.Reader, progress func(done, total int64)) (string, error) {
	var rest strings.Builder
	lines := bufio.NewScanner(r)
	lines.Split(splitProgress)
	for lines.Scan() {
		m := progressPattern.FindStringSubmatch(lines.Text())
		if m == nil {
			rest.WriteString(lines.Text() + "\n")
		} else if progress != nil {
			done, _ := strconv.ParseInt(m[1], 10, 64) // up to 15 digits each
			total, _ := strconv.ParseInt(m[2], 10, 64)
			progress(done<<10, total<<10)
		}
	}
	return rest.String(), lines.Err()
}

// splitProgress is bufio.ScanLines, for lines that may end with a carriage return alone.
func splitProgress(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// VerifyBackup compares a base backup that was never started with its manifest, and parses its log. A *DamageError names
// the files that differ. It changes nothing.
func VerifyBackup(ctx context.Context, inst Installation, dir string, runAs *OSUser) error {
	cmd := runAs.command(ctx, inst.Path("pg_verifybackup"), "--quiet", dir)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, found := errors.AsType[*exec.ExitError](err); !found {
		return fmt.Errorf("running pg_verifybackup: %w", err)
	}
	return parseDamage(dir, string(out))
}

var damagePattern = regexp.MustCompile(`^pg_verifybackup: error: (?:[^":]*\bfile )?"([^"]+)"`)

// parseDamage reads what pg_verifybackup says of a backup that it found bad.
func parseDamage(dir, out string) *DamageError {
	e := &DamageError{Dir: dir, Text: lastLines(out, 3)}
	for line := range strings.Lines(out) {
		if m := damagePattern.FindStringSubmatch(line); m != nil && !slices.Contains(e.Files, m[1]) {
			e.Files = append(e.Files, m[1])
		}
	}
	return e
}

// DamageError means that a base backup is not what its manifest says.
type DamageError struct {
	Dir   string
	Files []string // relative to Dir; none where the fault is not one file's
	Text  string   // what pg_verifybackup says
}

func (e *DamageError) Error() string {
	if len(e.Files) == 0 {
		return fmt.Sprintf("the base backup in %s is damaged: %s", e.Dir, e.Text)
	}
	const most = 3
	names, more := strings.Join(e.Files[:min(most, len(e.Files))], ", "), ""
	if n := len(e.Files) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("the base backup in %s differs from its manifest in %s%s: %s", e.Dir, names, more, e.Text)
}
