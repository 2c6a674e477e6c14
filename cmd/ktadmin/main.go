// Command ktadmin is the operator's tool: one command a file, each from flags to one call to text.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"keytrustee/internal/spare"
	"keytrustee/internal/undumped"
)

func main() {
	spare.Session()
	if err := undumped.Set(); err != nil { // it reads identities and recovery keys, and starts servers as the same user out of files of others
		os.Exit(explain(os.Stderr, nil, err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
