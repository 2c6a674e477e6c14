package backup

import (
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestMaking: whoever looks whether a backup is being made sees it, and is in nobody's way.
func TestMaking(t *testing.T) {
	file := filepath.Join(pgtest.Dir(t), "lock")
	making := func(want bool) {
		t.Helper()
		if got, err := Making(file); got != want || err != nil {
			t.Errorf("being made: %t, %v", got, err)
		}
	}
	making(false)
	release, err := lock(t.Context(), file, false)
	if err != nil {
		t.Fatal(err)
	}
	making(true)
	if _, err := lock(t.Context(), file, false); err == nil || !strings.Contains(err.Error(), "a backup of this host is being made already, by process ") {
		t.Errorf("a second one: %v", err)
	}
	release()
	making(false)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				Making(file) // which is true or false
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 500 {
		release, err := lock(t.Context(), file, false)
		if err != nil {
			t.Fatalf("while somebody looks: %v", err)
		}
		release()
	}
}
