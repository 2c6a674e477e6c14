package main

import (
	"context"
	"fmt"
	"strings"
)

type scene struct {
	title, why string
	play       func(context.Context, *stage) error
}

var scenes = []scene{
	{"A key is created", "One command of the stock Hadoop client. It succeeds only when both hosts have the key on disk and have opened it.",
		func(ctx context.Context, s *stage) error {
			return s.succeeds(ctx, "demo has been successfully created", "create", "demo", "-size", "256")
		}},
	{"Both hosts have it", "The same client, asking one host at a time.",
		func(ctx context.Context, s *stage) error {
			for _, n := range s.pair.Nodes {
				if err := s.succeeds(ctx, "demo", "list", "-provider", s.uri(n)); err != nil {
					return err
				}
			}
			return s.sameMaterial(ctx)
		}},
	{"The passive dies", "All its processes are killed. Two hosts or nothing: a key that only one host had could be lost, so none is made.\nReads go on.",
		func(ctx context.Context, s *stage) error {
			if err := s.ktadmin(ctx, "kill", "passive"); err != nil {
				return err
			}
			sentence, err := s.noticed(ctx, s.pair.Nodes[0], "passive_unreachable")
			if err != nil {
				return err
			}
			if err := s.refused(ctx, sentence, "create", "second", "-size", "256"); err != nil {
				return err
			}
			return s.served(ctx, s.pair.Nodes[0])
		}},
	{"The passive comes back", "It catches up by itself, and writes are taken again.",
		func(ctx context.Context, s *stage) error {
			if err := s.ktadmin(ctx, "start", "passive"); err != nil {
				return err
			}
			if err := s.ktadmin(ctx, "up"); err != nil { // returns when the pair is confirmed
				return err
			}
			return s.succeeds(ctx, "second has been successfully created", "create", "second", "-size", "256")
		}},
	{"The active dies", "The passive serves every read, also to a client that starts only now. It makes no key: nobody promotes himself.",
		func(ctx context.Context, s *stage) error {
			if err := s.ktadmin(ctx, "kill", "active"); err != nil {
				return err
			}
			sentence, err := s.noticed(ctx, s.pair.Nodes[1], "active_unreachable")
			if err != nil {
				return err
			}
			if err := s.served(ctx, s.pair.Nodes[1]); err != nil {
				return err
			}
			return s.refused(ctx, sentence, "create", "third", "-size", "256")
		}},
	{"The active comes back", "It compares its data with the passive's before it takes writes.",
		func(ctx context.Context, s *stage) error {
			if err := s.ktadmin(ctx, "start", "active"); err != nil {
				return err
			}
			if err := s.ktadmin(ctx, "up"); err != nil {
				return err
			}
			if err := s.succeeds(ctx, "third has been successfully created", "create", "third", "-size", "256"); err != nil {
				return err
			}
			return s.sameMaterial(ctx)
		}},
}

// succeeds runs `hadoop key` and checks that it ended with 0 and printed the text.
func (s *stage) succeeds(ctx context.Context, text string, args ...string) error {
	printed, status, err := s.shell(ctx, args)
	if err != nil {
		return err
	}
	if status != 0 || !strings.Contains(printed, text) {
		return fmt.Errorf("hadoop key %s ended with %d and without %q", strings.Join(args, " "), status, text)
	}
	return nil
}

// refused runs `hadoop key` and checks that it failed, and that it printed the sentence with which the survivor refuses.
func (s *stage) refused(ctx context.Context, sentence string, args ...string) error {
	printed, status, err := s.shell(ctx, args)
	if err != nil {
		return err
	}
	if status == 0 {
		return fmt.Errorf("hadoop key %s succeeded with one host", strings.Join(args, " "))
	}
	if sentence == "" || !strings.Contains(printed, sentence) {
		return fmt.Errorf("hadoop key %s did not print why: %q", strings.Join(args, " "), sentence)
	}
	return nil
}

// served checks that a client that starts now reads the key, through both hosts' names and from the survivor alone.
func (s *stage) served(ctx context.Context, survivor node) error {
	if err := s.succeeds(ctx, "demo", "list", "-metadata"); err != nil {
		return err
	}
	material, err := s.material(ctx, s.pair.KMSURI)
	if err != nil {
		return err
	}
	alone, err := s.material(ctx, s.uri(survivor))
	if err != nil {
		return err
	}
	return s.compare(material, alone)
}

// sameMaterial checks that both hosts hand out the same key.
func (s *stage) sameMaterial(ctx context.Context) error {
	for _, n := range s.pair.Nodes {
		material, err := s.material(ctx, s.uri(n))
		if err != nil {
			return err
		}
		if err := s.compare(material); err != nil {
			return err
		}
	}
	return nil
}
