package replication

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// StartID names the life of the process pid: the machine's boot, the pid, and the tick at which the kernel started it. It
// needs no SQL, so it also names a server that still recovers, and one that has ended and was not waited for.
func StartID(pid int) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The command's name, in parentheses, may hold anything; the 22nd field is the 20th after it.
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := bytes.Fields(after)
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	return fmt.Sprintf("%s/%d/%s", strings.TrimSpace(string(boot)), pid, fields[19]), nil
}
