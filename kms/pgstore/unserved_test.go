package pgstore

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestUnservedReadsAreToldInTens(t *testing.T) {
	var log bytes.Buffer
	var u unserved
	at := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for _, after := range []time.Duration{0, time.Second, 9 * time.Second, 10 * time.Second, 11 * time.Second, time.Hour} {
		u.tell(slog.New(slog.NewTextHandler(&log, nil)), at.Add(after), errors.New("gone"))
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		_, count, _ := strings.Cut(strings.TrimSpace(line), "reads=")
		got = append(got, count)
	}
	if want := "1 error=gone,3 error=gone,2 error=gone"; strings.Join(got, ",") != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
