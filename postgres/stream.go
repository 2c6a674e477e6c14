package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// StreamBaseBackup writes the data directory of the running server, primary or standby, to w as one tar, with the log that
// makes it consistent and a manifest of SHA-256 sums. Nothing of it touches a disk here. After an error w has a part. Every page is read from the
// disk: a *PagesError names those whose checksum does not fit, also where ctx ends before all are read.
func (s *Server) StreamBaseBackup(ctx context.Context, w io.Writer) (err error) {
	release, err := s.keepLog(ctx)
	if err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	defer release()
	// The log is fetched at the end, for a tar on standard output has no place for one that is streamed beside it.
	return s.pipe(ctx, nil, w, "pg_basebackup", "-d", s.ConnString("postgres"), "-D", "-", "--format=tar", "-X", "fetch", "-c", "fast",
		"--manifest-checksums=SHA256", "--no-password")
}

// keepLog makes the server keep its log from now on until release returns, or until this process ends.
func (s *Server) keepLog(ctx context.Context) (release func(), err error) {
	conn, err := pgx.Connect(ctx, s.ConnString("postgres"))
	if err != nil {
		return nil, err
	}
	end := func() { conn.Close(context.WithoutCancel(ctx)) }
	var id [8]byte
	rand.Read(id[:])
	name := "backup_" + hex.EncodeToString(id[:]) // none that the pair looks for
	if _, err := conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true, true)", name); err != nil {
		end()
		return nil, fmt.Errorf("keeping the log for it: %w", err)
	}
	return func() {
		defer end() // with which a temporary slot goes anyway, but some time after the session has said good-bye
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		conn.Exec(ctx, "select pg_drop_replication_slot($1)", name)
	}, nil
}

// DumpGlobals writes the roles of the server to w, as SQL and without passwords.
func (s *Server) DumpGlobals(ctx context.Context, w io.Writer) error {
	return s.pipe(ctx, nil, w, "pg_dumpall", "-d", s.ConnString("postgres"), "--globals-only", "--no-role-passwords", "--no-password")
}

// Dump writes a database to w in pg_dump's own format, as the snapshot that another session has exported sees it; of these tables of the schema
// public, which CopyTable copies, it has no rows. It waits for nobody who changes tables: that is an error after 10 s. A *PagesError names a page
// that can not be read.
func (s *Server) Dump(ctx context.Context, w io.Writer, db, snapshot string, without ...string) error {
	args := []string{"-d", s.ConnString(db), "--format=custom", "--compress=0", "--snapshot=" + snapshot, "--lock-wait-timeout=10s", "--no-password"}
	for _, table := range without {
		args = append(args, "--exclude-table-data="+inPublic(table))
	}
	return s.pipe(ctx, nil, w, "pg_dump", args...)
}

// pipe runs a program of the installation between r and w, which may be nil.
func (s *Server) pipe(ctx context.Context, r io.Reader, w io.Writer, program string, args ...string) error {
	cmd := s.RunAs.command(ctx, s.Path(program), args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = r, &stderr
	err := runInto(cmd, w)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if met := programError(program, stderr.String(), ""); Damaged(met) {
			return fmt.Errorf("%w; it was not read to the end: %w", met, context.Cause(ctx))
		}
		return context.Cause(ctx)
	}
	if _, ended := err.(*exec.ExitError); ended {
		return programError(program, stderr.String(), err.Error())
	}
	return fmt.Errorf("running %s: %w", program, err)
}

// pipeSize is how much of its output a program may be ahead of who reads it. With the 64 KiB of a pipe it waits half of the time.
const pipeSize = 1 << 20

// runInto is cmd.Run with w, which may be nil, as the standard output.
func runInto(cmd *exec.Cmd, w io.Writer) error {
	if w == nil {
		return cmd.Run()
	}
	from, to, err := os.Pipe()
	if err != nil {
		return err
	}
	unix.FcntlInt(to.Fd(), unix.F_SETPIPE_SZ, pipeSize) // where that is more than this user may have, it stays as it is
	cmd.Stdout = to
	err = cmd.Start()
	to.Close()
	if err != nil {
		from.Close()
		return err
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, from)
		from.Close() // a program that goes on is ended by it
		copied <- err
	}()
	return cmp.Or(cmd.Wait(), <-copied)
}

// BackupRange is the part of the log that a base backup needs to become consistent, as its manifest says: from start to end,
// which is on timeline.
func BackupRange(dir string) (start, end LSN, timeline Timeline, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "backup_manifest"))
	if err != nil {
		return 0, 0, 0, err
	}
	var manifest struct {
		Ranges []struct {
			Timeline Timeline
			Start    LSN `json:"Start-LSN"`
			End      LSN `json:"End-LSN"`
		} `json:"WAL-Ranges"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return 0, 0, 0, fmt.Errorf("the manifest of the base backup in %s: %w", dir, err)
	}
	if len(manifest.Ranges) == 0 {
		return 0, 0, 0, fmt.Errorf("the manifest of the base backup in %s names no part of the log", dir)
	}
	for i, r := range manifest.Ranges { // one for each timeline; PostgreSQL says in no order
		if i == 0 || r.Start < start {
			start = r.Start
		}
		if i == 0 || r.End > end {
			end, timeline = r.End, r.Timeline
		}
	}
	return start, end, timeline, nil
}
