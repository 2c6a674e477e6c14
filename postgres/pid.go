package postgres

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Pid returns the number of the server's process and whether it runs: it is alive, and it works in Data. A leftover
// postmaster.pid whose number another process has by now is not believed.
func (s *Server) Pid() (pid int, running bool) {
	content, err := os.ReadFile(filepath.Join(s.Data, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err = strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil || !s.owns(pid) {
		return 0, false
	}
	return pid, true
}

// owns reports whether the process is alive, runs postgres, and works in Data, as every process of the server does.
func (s *Server) owns(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(proc, "exe"))                   // fails for one that is dead and was not waited for
	if err != nil || !strings.HasPrefix(filepath.Base(exe), "postgres") { // an upgrade leaves "postgres (deleted)"
		return false
	}
	data, err := os.Stat(s.Data)
	if err != nil {
		return false
	}
	cwd, err := os.Stat(filepath.Join(proc, "cwd"))
	return err == nil && os.SameFile(data, cwd)
}

// processes returns all processes of the server, also orphans whose postmaster was killed.
func (s *Server) processes() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && s.owns(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
