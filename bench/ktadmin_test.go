package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keytrustee/replication/pairtest"
)

// The line on standard error with which the first phase of a backup ends: the file is written, and on the disk.
const written = "reading the backup back…"

// created is a backup that was made.
type created struct {
	Name    string
	Size    int64
	written effort // from nothing to the file
	proven  effort // from the file to the backup
	peak    peak
}

// create makes a backup of the host, as an operator or the hour does.
func (y *yard) create(b *testing.B) (c created) {
	b.Helper()
	stdout, stages, peak := y.run(b, exec.Command(y.ktadmin, "backup", "create", "-o", "json", "--confdir", y.host.Confdir))
	must(b, json.Unmarshal(stdout, &c))
	for _, s := range stages.said {
		if s.line == written {
			c.written, c.proven = effort{s.after, c.Size}, effort{stages.took - s.after, c.Size}
		}
	}
	if c.written.took == 0 {
		b.Fatalf("ktadmin backup create does not say when the file is written: %v", stages.said)
	}
	c.peak = peak
	return c
}

// keep moves a backup off its host.
func (y *yard) keep(b *testing.B, name string) (path string) {
	b.Helper()
	path = filepath.Join(y.dir, "kept.ktb")
	must(b, os.Rename(filepath.Join(y.host.Home, "backups", name+".ktb"), path))
	return path
}

// restore makes the host anew out of a backup, and stops the clock when it serves. Both hosts of the pair are down, and stay so after it.
func (y *yard) restore(b *testing.B, p *pairtest.Pair, backup, known string) (effort, peak) {
	b.Helper()
	n, other := y.host, y.host.Other()
	must(b, os.RemoveAll(n.Home))
	begun := time.Now()
	_, _, peak := y.run(b, exec.Command(y.ktadmin, "dev", "run", n.Name, "--dir", p.Dir, "--", "restore", "--from-backup", backup, "--identity", y.identity,
		"--recovery-key", filepath.Join(other.Home, "recovery.key"), "--i-confirm", other.Name+" is powered off", "--no-start"))
	n.Start(b)
	pairtest.Await(b, time.Minute, "the restored host serves", func() bool { _, material := n.Version(b, known, 0); return material != "" })
	took := time.Since(begun)
	info, err := os.Stat(backup)
	must(b, err)
	n.Stop(b)
	return effort{took, info.Size()}, peak
}

// stages are what a command said on standard error, when, and how long it took.
type stages struct {
	said []stage
	took time.Duration
}

type stage struct {
	line  string
	after time.Duration
}

func (s stage) String() string {
	return fmt.Sprintf("%q after %v", s.line, s.after.Round(time.Millisecond))
}

// run runs ktadmin to its end.
func (y *yard) run(b *testing.B, cmd *exec.Cmd) (stdout []byte, s stages, p peak) {
	b.Helper()
	var out, said bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	must(b, err)
	begun := time.Now()
	must(b, cmd.Start())
	watched := watchMemory(cmd.Process.Pid)
	lines := bufio.NewScanner(io.TeeReader(stderr, &said))
	for lines.Scan() {
		s.said = append(s.said, stage{strings.TrimPrefix(lines.Text(), "ktadmin: "), time.Since(begun)})
	}
	err = cmd.Wait()
	s.took = time.Since(begun)
	p = watched()
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &said)
	}
	b.Logf("ktadmin %s: %v in all, %v; %v", strings.Join(cmd.Args[1:3], " "), s.took.Round(time.Millisecond), s.said, p)
	return out.Bytes(), s, p
}
