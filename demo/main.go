package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	stage, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if ended := stage.close(); err == nil {
			err = ended
		}
	}()
	for _, scene := range scenes {
		fmt.Printf("\n=== %s\n%s\n", scene.title, scene.why)
		if err := scene.play(ctx, stage); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	fmt.Println("\nAll of it was as promised. Try it yourself: bin/ktadmin dev up --dir /tmp/pair, and README.md.")
	return nil
}
