package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"keytrustee/postgres"
	"keytrustee/replication/pairtest"
)

// yard is a pair with what is measured beside it. All of it lies on the same disk.
type yard struct {
	dir        string         // the user's
	ktadmin    string         // the program
	age        string         // the program
	host       *pairtest.Node // of which backups are made: the passive, as by the hour
	user       *postgres.OSUser
	inst       postgres.Installation
	recipients []string
	identity   string // a file
}

// newYard gives both hosts recipients, and a place to the programs that are called by hand.
func newYard(b *testing.B, p *pairtest.Pair) *yard {
	b.Helper()
	y := &yard{dir: filepath.Join(p.Dir, "bench"), ktadmin: filepath.Join(p.Dir, "bin", "ktadmin"), age: filepath.Join(p.Dir, "bin", "age"), host: p.Passive}
	var err error
	if y.user, err = postgres.LookupOSUser(p.User); err != nil {
		b.Fatal(err)
	}
	if y.inst, err = postgres.Find(b.Context()); err != nil {
		b.Fatal(err)
	}
	must(b, os.Mkdir(y.dir, 0o700))
	must(b, os.Chown(y.dir, y.user.UID, y.user.GID))
	program, err := os.ReadFile("../bin/age")
	if err != nil {
		b.Fatalf("%v: make bench builds it", err)
	}
	must(b, os.WriteFile(y.age, program, 0o755))
	for range 2 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			b.Fatal(err)
		}
		y.recipients = append(y.recipients, id.Recipient().String())
		y.identity = filepath.Join(y.dir, "identity")
		must(b, os.WriteFile(y.identity, []byte(id.String()+"\n"), 0o600))
	}
	must(b, os.Chown(y.identity, y.user.UID, y.user.GID))
	for _, n := range p.Nodes {
		f, err := os.OpenFile(settings(n), os.O_APPEND|os.O_WRONLY, 0)
		must(b, err)
		_, err = fmt.Fprintf(f, "backup_recipients: [%s]\n%s\n", strings.Join(y.recipients, ", "), scheduled("off"))
		must(b, errors.Join(err, f.Close()))
	}
	return y
}

// settings is the file of what is one host's own.
func settings(n *pairtest.Node) string { return filepath.Join(n.Home, "node", "node.yaml") }

func scheduled(when string) string { return fmt.Sprintf("backup_schedule: %q", when) }

// schedule has the daemon of the host make backups at these times, or none. It looks before long.
func (y *yard) schedule(b *testing.B, when string) {
	b.Helper()
	text, err := os.ReadFile(settings(y.host))
	must(b, err)
	text = regexp.MustCompile(`(?m)^backup_schedule: .*$`).ReplaceAll(text, []byte(scheduled(when)))
	must(b, os.WriteFile(settings(y.host), text, 0)) // whose file it is stays
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// machine is what the figures depend on.
func (y *yard) machine() string {
	model := "an unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d cores of %s, PostgreSQL %s, %s", runtime.NumCPU(), model, y.inst.Version, time.Now().UTC().Format(time.DateOnly))
}

// byUser is a program that is run as the pair's user.
func (y *yard) byUser(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	if os.Geteuid() != y.user.UID {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(y.user.UID), Gid: uint32(y.user.GID)}}
	}
	return cmd
}

// pipe backs up the host as one would by hand: pg_basebackup | age, into a file that is on the disk when the clock stops.
func (y *yard) pipe(b *testing.B) effort {
	b.Helper()
	path := filepath.Join(y.dir, "by-hand.tar.age")
	defer os.Remove(path)
	begun := time.Now()
	file, err := os.Create(path)
	must(b, err)
	defer file.Close()
	base := y.byUser(y.inst.Path("pg_basebackup"), "-d", y.host.AdminDSN, "-D", "-", "--format=tar", "-X", "fetch", "-c", "fast")
	encrypt := exec.Command(y.age)
	for _, r := range y.recipients {
		encrypt.Args = append(encrypt.Args, "-r", r)
	}
	read, write, err := os.Pipe()
	must(b, err)
	var said bytes.Buffer
	base.Stdout, encrypt.Stdin, encrypt.Stdout, base.Stderr, encrypt.Stderr = write, read, file, &said, os.Stderr
	must(b, errors.Join(base.Start(), encrypt.Start(), read.Close(), write.Close()))
	if err := errors.Join(base.Wait(), encrypt.Wait()); err != nil {
		b.Fatalf("pg_basebackup | age: %v: %s", err, &said)
	}
	must(b, file.Sync())
	took := time.Since(begun)
	info, err := file.Stat()
	must(b, err)
	return effort{took, info.Size()}
}

// copy is a plain copy of the host's data directory, every file of it on the disk when the clock stops.
func (y *yard) copy(b *testing.B) effort {
	b.Helper()
	path := filepath.Join(y.dir, "copy")
	defer os.RemoveAll(path)
	begun := time.Now()
	if out, err := exec.Command("cp", "-a", y.host.PGData, path).CombinedOutput(); err != nil {
		b.Fatalf("cp -a: %v: %s", err, out)
	}
	var size int64
	must(b, filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && !d.IsDir() {
			size += info.Size()
		}
		return errors.Join(err, f.Sync())
	}))
	return effort{time.Since(begun), size}
}
