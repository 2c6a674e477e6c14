package rest_test

import (
	"log/slog"
	"strconv"
	"testing"
)

// testLogger shows a server's log in the test's output.
func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func itoa(n int) string { return strconv.Itoa(n) }
