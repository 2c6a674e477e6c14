package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peak is the most memory that a command and the processes below it have had.
type peak struct {
	ktadmin  int64 // of its process: VmHWM, all that is resident, shared libraries and all
	programs int64 // of the programs of PostgreSQL that it runs, at one moment: PSS, so that what they share counts once
	postgres int64 // of the server that it starts, at one moment: PSS
}

// watchMemory looks at a process and all below it until the returned function is called.
func watchMemory(pid int) (stop func() peak) {
	end, ended := make(chan struct{}), make(chan peak)
	go func() {
		var p peak
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			p.look(pid)
			select {
			case <-end:
				ended <- p
				return
			case <-tick.C:
			}
		}
	}()
	return func() peak { close(end); return <-ended }
}

// look takes in what is there now.
func (p *peak) look(root int) {
	var programs, postgres int64
	for pid, name := range family(root) {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		switch name {
		case "ktadmin":
			p.ktadmin = max(p.ktadmin, field(filepath.Join(proc, "status"), "VmHWM"))
		case "postgres":
			postgres += field(filepath.Join(proc, "smaps_rollup"), "Pss")
		default:
			programs += field(filepath.Join(proc, "smaps_rollup"), "Pss")
		}
	}
	p.programs, p.postgres = max(p.programs, programs), max(p.postgres, postgres)
}

func (p peak) String() string {
	return fmt.Sprintf("ktadmin %d MiB, programs %d MiB, postgres %d MiB", p.ktadmin>>20, p.programs>>20, p.postgres>>20)
}

// family is a process and all below it, with their names.
func family(root int) map[int]string {
	parent, name := map[int]int{}, map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		open, closing := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		if err != nil || open < 0 || closing < 0 {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:open])))
		fields := strings.Fields(string(text[closing+1:]))
		parent[pid], _ = strconv.Atoi(fields[1])
		name[pid] = string(text[open+1 : closing])
	}
	below := map[int]string{}
	for pid := range parent {
		for at := pid; at > 1; at = parent[at] {
			if at == root {
				below[pid] = name[pid]
				break
			}
		}
	}
	return below
}

// field is a number of kB in a file of /proc, in bytes; 0 where the process has ended.
func field(path, name string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}
