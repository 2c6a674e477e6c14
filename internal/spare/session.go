package spare

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Session has the session that this process leads take what others leave, with all that it will ever start, if this process was started to do
// that. It begins the program anew, and so is called before anything else; a process that is not dumpable could not do it.
func Session() {
	if session, err := unix.Getsid(0); err != nil || session != os.Getpid() || !Used(0) || !sessionsCount() {
		return
	}
	if _, err := unix.Setsid(); err == nil { // who leads one can begin none
		return // this is the program begun anew
	}
	if lighten(os.Getpid()) != nil {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	runtime.LockOSThread() // for good: what is said of a thread holds for the program that takes its place
	if keep() == nil {
		unix.Exec(program, os.Args, os.Environ())
	}
}

// audited is what the kernel calls the machine.
var audited = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// keep keeps what this thread starts in its session: setsid does nothing, and says that it did. Each server process of PostgreSQL begins a
// session, which would count as much as any other. It does so to be able to signal what it starts together with it, and signals the process
// alone anyhow. (seccomp(2); postmaster.c, signal_child)
func keep() error {
	machine, ok := audited[runtime.GOARCH]
	if !ok {
		return unix.ENOSYS
	}
	const (
		load, isEqual, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		call, arch            = 0, 4 // where they are in struct seccomp_data
	)
	filter := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: isEqual, K: machine, Jf: 3},
		{Code: load, K: call},
		{Code: isEqual, K: unix.SYS_SETSID, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO}, // with no error
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	// Who may not gain rights by a program may do this without any.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(&program)
	return err
}
