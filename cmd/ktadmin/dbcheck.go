package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/kms"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
	"keytrustee/postgres"
)

// checked is the result of db check.
type checked struct {
	Node  string     `json:"node"`
	At    time.Time  `json:"at"`
	From  *time.Time `json:"made_since,omitempty"` // from when on versions are listed
	Files string     `json:"files,omitempty"`      // what a base backup met; empty: every page of every file is as it was written
	pgstore.Survey
}

func newDBCheckCommand(a *app) *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use:   "check [--since TIME]",
		Short: "Read every page of this host's database, and open every version of every key",
		Long: "check reads the whole of this host's database from its disk, on either host, while it runs, and changes nothing. It says which pages are damaged,\n" +
			"how many versions of keys are whole, that is read and opened with this host's root key, and names those that are not. --since lists the\n" +
			"versions that were made since a moment, such as the time when a backup was begun: what that backup may lack. It holds no secret, but the\n" +
			"names of keys. It ends with 0 when nothing is damaged.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&since, "since", "", "list the versions made since then, such as 2026-11-30T15:00:00Z")
	cmd.RunE = func(*cobra.Command, []string) error {
		var from time.Time
		if since != "" {
			var err error
			if from, err = time.Parse(time.RFC3339, since); err != nil {
				return usagef("--since: give a time as 2026-11-30T15:00:00Z")
			}
		}
		return a.checkDB(from)
	}
	return cmd
}

func (a *app) checkDB(since time.Time) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	ring, err := seal.Load(c.Confdir)
	if err != nil {
		return err
	}
	server, err := hostOf(c).Server(a.cmd.Context())
	if err != nil {
		return err
	}
	if _, runs := server.Pid(); !runs {
		return &postgres.SetupError{Problem: "PostgreSQL does not run on this host", Remedy: "start it: service keytrustee-db start"}
	}
	found := checked{Node: hostOf(c).Name, At: time.Now().UTC().Truncate(time.Second)}
	if !since.IsZero() {
		found.From = &since
	}
	a.say("reading every page…")
	if err := server.StreamBaseBackup(a.cmd.Context(), io.Discard); a.cmd.Context().Err() != nil {
		return context.Cause(a.cmd.Context())
	} else if err != nil {
		found.Files = err.Error()
	}
	a.say("opening every version…")
	found.Survey, err = survey(a.cmd.Context(), server, ring, since)
	if err != nil {
		return err
	}
	if err := a.result(found, checkedRows(found)); err != nil {
		return err
	}
	return found.err()
}

func survey(ctx context.Context, server *postgres.Server, ring *seal.Keyring, since time.Time) (s pgstore.Survey, err error) {
	conn, err := pgx.Connect(ctx, server.ConnString(host.Database))
	if err != nil {
		return s, &postgres.SetupError{Problem: "PostgreSQL does not let this process in", Err: err, Remedy: "look at its log: journalctl -u keytrustee-db"}
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		s, err = pgstore.TakeSurvey(ctx, tx, func(v kms.SealedVersion) error {
			_, err := ring.Open(v)
			return err
		}, since)
		return err
	})
	return s, err
}

// damagedError: db check has found something.
type damagedError struct{ what string }

func (e *damagedError) Error() string { return e.what }

func (e *damagedError) Hint() string {
	return "keep this disk: what it still has may be nowhere else. ktadmin status says whether the other host has everything, and what to do; " +
		"if the other host is lost, do as docs/runbook/data-damaged.md says"
}

func (c checked) err() error {
	switch {
	case len(c.Lost) > 0:
		return &damagedError{fmt.Sprintf("the data of %s is damaged: %d versions of keys are not whole", c.Node, len(c.Lost))}
	case c.Files != "" || len(c.Pages) > 0:
		return &damagedError{fmt.Sprintf("not all files of %s were read as they were written; every version of a key was", c.Node)}
	}
	return nil
}

// checkedRows is c for people. Those that are not whole are named up to a number; those that were made since a moment all, for they are what
// is compared later.
func checkedRows(c checked) []row {
	files := "every page of every file is as it was written"
	if c.Files != "" {
		files = c.Files
	}
	rows := []row{{"node", c.Node}, {"files", files}}
	if len(c.Pages) > 0 {
		var names []string
		for _, p := range c.Pages {
			names = append(names, p.String())
		}
		rows = append(rows, row{"keys lie in", "damaged pages: " + strings.Join(names, "; ")})
	}
	rows = append(rows, row{"whole", fmt.Sprintf("%d versions of %d keys", c.Versions, c.Keys)})
	const most = 20
	rows = append(rows, row{"not whole", fmt.Sprintf("%d versions", len(c.Lost))})
	for i, v := range c.Lost {
		if i == most {
			rows = append(rows, row{"", fmt.Sprintf("and %d more: all of them with -o json", len(c.Lost)-most)})
			break
		}
		rows = append(rows, row{"", versionText(v)})
	}
	if c.From != nil {
		rows = append(rows, row{"made since", fmt.Sprintf("%s: %d versions", stamp(*c.From), len(c.Since))})
		for _, v := range c.Since {
			rows = append(rows, row{"", versionText(v)})
		}
	}
	return rows
}

func versionText(v pgstore.Surveyed) string {
	name, at, why := "id "+v.ID, "made at a time that is not known", "whole"
	if v.Name != "" {
		name = v.Name.Quoted()
	}
	if !v.At.IsZero() {
		at = "made at " + stamp(v.At)
	}
	if v.Why != "" {
		why = v.Why
	}
	return name + ", " + at + ": " + why
}
