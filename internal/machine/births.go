package machine

import (
	"runtime"
	"sync"
)

var (
	parent sync.Once
	births = make(chan func())
)

// runParent starts processes on one thread, for as long as this process lives.
func runParent() {
	runtime.LockOSThread()
	for birth := range births {
		birth()
	}
}
