//go:build faults

package seam

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Reached stops this process (SIGSTOP) at the point that KEYTRUSTEE_STOP_AT names, and returns when it was told to go on.
func Reached(point string) {
	if point != os.Getenv("KEYTRUSTEE_STOP_AT") {
		return
	}
	on, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(on, syscall.SIGCONT)
	signal.Notify(ends, syscall.SIGTERM)
	defer signal.Stop(on)
	defer signal.Stop(ends)
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		panic(err)
	}
	<-on // another thread may have taken the signal, and this one a step
	select {
	case <-ends:
		time.Sleep(100 * time.Millisecond) // whoever ends this process knows of it too before it goes on
	default:
	}
}

// Now is wrong by the duration that the file holds which KEYTRUSTEE_CLOCK names: tests make a host's clock jump without changing the
// machine's. Without that file it is right.
func Now() time.Time {
	now := time.Now()
	text, err := os.ReadFile(os.Getenv("KEYTRUSTEE_CLOCK"))
	if err != nil {
		return now
	}
	wrong, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	return turned(now, wrong)
}

// turned changes what t says the date is, and leaves alone the reading of the monotonic clock that it also has, as a clock that is set
// does. Package time can not do that: this knows that a Time begins with a flag, 33 bits of seconds and 30 of nanoseconds.
func turned(t time.Time, by time.Duration) time.Time {
	const second, mask = 30, 1<<30 - 1
	word := (*uint64)(unsafe.Pointer(&t))
	date := int64(*word<<1>>1>>second)*int64(time.Second) + int64(*word&mask) + int64(by)
	*word = 1<<63 | uint64(date/int64(time.Second))<<second | uint64(date%int64(time.Second))
	return t
}

func init() {
	now := time.Now()
	for _, by := range []time.Duration{time.Hour, -1001 * time.Hour, 1, -1} {
		if then := turned(now, by); then.Sub(now) != 0 || !then.Round(0).Equal(now.Round(0).Add(by)) {
			panic("this Go keeps the time in another way than the tag faults knows")
		}
	}
}
