package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"

	"keytrustee/backup"
	"keytrustee/postgres/pgtest"
)

// rewritten begins a line that a terminal shows in place of the one before.
const rewritten = "\r\x1b[K"

// onTerminal runs ktadmin with standard input and standard error on a terminal of that width, and types what is to be
// typed when it shows that. It returns what the terminal got, without the carriage returns that it makes of the ends of lines itself.
func (b *backupHost) onTerminal(width uint16, when, typed string, args ...string) (stdout, shown string, status int) {
	b.Helper()
	there, here, err := pty.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer there.Close()
	defer here.Close()
	if err := pty.Setsize(here, &pty.Winsize{Rows: 24, Cols: width}); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("ktadmin", append(args, "--confdir", b.Confdir)...)
	var out bytes.Buffer
	cmd.Env = append(cmd.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = here, &out, here
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	here.Close()
	var seen bytes.Buffer
	buffer := make([]byte, 4096)
	for {
		n, err := there.Read(buffer)
		seen.Write(buffer[:n])
		if typed != "" && strings.Contains(seen.String(), when) {
			if _, err := there.WriteString(typed); err != nil {
				b.Fatal(err)
			}
			typed = ""
		}
		if err != nil {
			break // the other end is closed
		}
	}
	cmd.Wait() // of which the state tells
	return out.String(), strings.ReplaceAll(seen.String(), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}

// pieces are the lines that were rewritten, and the text that stayed.
func pieces(shown string) (lines []string, stayed string) {
	for i, piece := range strings.Split(shown, rewritten) {
		if i == 0 || strings.Contains(piece, "\n") { // what is rewritten never ends with a new line
			stayed += piece
			continue
		}
		lines = append(lines, piece)
	}
	return lines, stayed
}

// TestProgress: on a terminal one line is rewritten, as wide as there is room, and it is gone before a result, a note or an error;
// elsewhere, and for scripts, there are plain lines on standard error, and standard output has the result alone.
func TestProgress(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	b := newBackupHost(t)
	phases := []string{"dumping the database", "copying the database", "reading the backup back", "restoring it", "opening every version",
		"restoring its dump", "looking for every version in it"}

	const width = 30
	stdout, shown, status := b.onTerminal(width, "", "", "backup", "create")
	lines, stayed := pieces(shown)
	if status != exitOK || stayed != "" || !strings.HasSuffix(shown, rewritten) || !strings.HasPrefix(stdout, "backup ") {
		t.Errorf("status %d, %q stayed of %q, the result is %q", status, stayed, shown, stdout)
	}
	next := 0
	for _, line := range lines {
		if utf8.RuneCountInString(line) >= width {
			t.Errorf("%q is wrapped where there are %d columns", line, width)
		}
		if next < len(phases) && strings.HasPrefix(line, phases[next][:min(width-1, len(phases[next]))]) {
			next++
		}
	}
	if next != len(phases) {
		t.Errorf("%d of %d phases are shown: %q", next, len(phases), lines)
	}

	stdout, shown, status = b.onTerminal(100, "", "", "backup", "create", "-o", "json")
	var receipt backup.Receipt
	if err := json.Unmarshal([]byte(stdout), &receipt); err != nil || status != exitOK {
		t.Fatalf("status %d, the result is %q: %v", status, stdout, err)
	}
	plain := strings.Join(phases, "…\n") + "…\n"
	if !strings.HasPrefix(shown, plain) || strings.ContainsAny(shown, "\r\x1b") {
		t.Errorf("beside JSON there is %q", shown)
	}
	b.interrupted("copying the database", exitFailed)

	stdout, stderr, status := b.ktadmin("backup", "verify", receipt.Name, "-o", "json")
	if status != exitOK || json.Unmarshal([]byte(stdout), new(verified)) != nil || !strings.HasPrefix(stderr, "reading "+receipt.Name+"…\nnote: ") {
		t.Errorf("verify: %d, %q, %q", status, stdout, stderr)
	}
	if _, shown, status = b.onTerminal(100, "", "", "backup", "verify", receipt.Name); status != exitOK || !strings.Contains(shown, rewritten+"note: ") {
		t.Errorf("verify: %d, %q", status, shown)
	}
	target := filepath.Join(pgtest.Dir(t), "elsewhere")
	if _, shown, status = b.onTerminal(100, "", "", "backup", "ship", "--target", "file://"+target); status != exitFailed || !strings.Contains(shown, rewritten+"ktadmin: ") {
		t.Errorf("ship: %d, %q", status, shown)
	}
}

// interrupted interrupts a backup that a terminal shows to be in that phase, as Ctrl-C does.
func (b *backupHost) interrupted(phase string, want int) {
	b.Helper()
	stdout, shown, status := b.onTerminal(100, phase, "\x03", "backup", "create")
	_, stayed := pieces(shown)
	if status != want || stdout != "" || !strings.HasPrefix(stayed, "ktadmin: ") || !strings.HasSuffix(stayed, "\nhint: it was interrupted; repeating the command is safe\n") ||
		!strings.Contains(shown, rewritten+"ktadmin: ") {
		b.Errorf("interrupted: %d, %q, %q", status, stdout, shown)
	}
}
