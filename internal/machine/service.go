package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unit is what a unit's file says: each key's values.
type unit map[string][]string

func unitFile(name string) string { return filepath.Join("/etc/systemd/system", name) }

func loadUnit(name string) (unit, error) {
	text, err := os.ReadFile(unitFile(name + ".service"))
	if err != nil {
		return nil, err
	}
	u := unit{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			u[key] = append(u[key], strings.Fields(value)...)
		}
	}
	return u, nil
}

func (u unit) get(key, otherwise string) string {
	if values := u[key]; len(values) > 0 {
		return values[0]
	}
	return otherwise
}

func (u unit) yes(key string) bool { return u.get(key, "no") == "yes" }

// runService is `service NAME start|stop`.
func runService() error { return control(os.Args[1], os.Args[2]) }

// runSystemctl is `systemctl start|stop|restart NAME…`, `systemctl enable --now NAME…` and `systemctl daemon-reload`. A host never boots, and
// its units are read each time that they are used.
func runSystemctl() error {
	verb, names := os.Args[1], os.Args[2:]
	switch {
	case verb == "daemon-reload" && len(names) == 0:
		return nil
	case verb == "enable" && len(names) > 1 && names[0] == "--now":
		verb, names = "start", names[1:]
	}
	for _, name := range names {
		if err := control(name, verb); err != nil {
			return err
		}
	}
	return nil
}

func control(name, verb string) error {
	u, err := loadUnit(name)
	if err != nil {
		return err
	}
	switch verb {
	case "start":
		return u.start(name)
	case "stop":
		return u.stop(name)
	case "restart":
		if err := u.stop(name); err != nil {
			return err
		}
		return u.start(name)
	}
	return fmt.Errorf("%s is neither start, stop nor restart", verb)
}

// pidFile is where a host finds the service's main process. It says nothing once that has ended.
func pidFile(name string) string { return "/run/" + name + ".pid" }

// LogFile is where a host finds what the service has written.
func LogFile(name string) string { return "/var/log/" + name + ".log" }

func running(name string) (pid int, ok bool) {
	text, err := os.ReadFile(pidFile(name))
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(text))
	return pid, err == nil && lives(pid)
}

// lives reports whether the process runs. One that has ended, which init takes note of in a moment, does not: a service that was killed can
// be started at once.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	state := stat[bytes.LastIndexByte(stat, ')')+1:] // the name before may hold anything
	return err == nil && !bytes.HasPrefix(state, []byte(" Z"))
}

// start starts the unit's command line with what systemd gives it, and returns when the unit counts as started: Type=exec once the
// program is executed, Type=notify once it says so.
func (u unit) start(name string) error {
	if _, ok := running(name); ok {
		return nil
	}
	log, err := os.OpenFile(LogFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	e, err := u.prepare()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("@notify-%s-%d", name, os.Getpid()) // that of the service's earlier life may still be heard
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return err
	}
	defer socket.Close()
	if u.get("Type", "") == "notify" {
		e.Env = append(e.Env, "NOTIFY_SOCKET="+address)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	refused, executed, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"unit"}
	cmd.Env = []string{"EXECUTION=" + string(text)}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{executed}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return err
	}
	executed.Close()
	if why, err := io.ReadAll(refused); err != nil || len(why) > 0 {
		return fmt.Errorf("%s was not executed: %s", name, why)
	}
	if err := os.WriteFile(pidFile(name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		return err
	}
	if u.get("Type", "") != "notify" {
		return nil
	}
	return awaitReady(name, cmd, socket)
}

// awaitReady returns when the service that cmd has started says that it is ready, and leaves somebody behind who hears what it says next.
func awaitReady(name string, cmd *exec.Cmd, socket *net.UnixConn) error {
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		socket.Close()
	}()
	socket.SetReadDeadline(time.Now().Add(30 * time.Second))
	for buffer := make([]byte, 4096); ; {
		n, err := socket.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("%s ended: %w; see %s", name, <-ended, LogFile(name))
		case err != nil:
			return fmt.Errorf("%s is not ready: %w", name, err)
		case bytes.Contains(buffer[:n], []byte("READY=1")):
			return listenOn(socket, cmd.Process.Pid)
		}
	}
}

// listenOn leaves somebody behind who hears what the service goes on to say, as one does that executes itself anew.
func listenOn(socket *net.UnixConn, pid int) error {
	file, err := socket.File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"notified", strconv.Itoa(pid)}
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// runNotified hears what a service says, until it has ended.
func runNotified() error {
	pid, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	conn, err := net.FilePacketConn(os.NewFile(3, "socket"))
	if err != nil {
		return err
	}
	for buffer := make([]byte, 4096); unix.Kill(pid, 0) == nil; {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := conn.ReadFrom(buffer); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

// stop ends the service as the unit says and waits for its end. One that does not run is stopped already.
func (u unit) stop(name string) error {
	pid, ok := running(name)
	if !ok {
		return nil
	}
	if err := unix.Kill(pid, unix.SignalNum(u.get("KillSignal", "SIGTERM"))); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := running(name); !ok {
			return os.Remove(pidFile(name))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not stop", name)
		}
	}
}
