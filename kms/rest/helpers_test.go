package rest_test

import (
	"log/slog"
	"testing"
)

// testLogger shows a server's log in the test's output.
func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
