package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"keytrustee/host"
	"keytrustee/kms/seal"
)

func newRootKeyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "root-key", Short: "Root keys and the recovery key"}
	cmd.AddCommand(newConfirmRecoveryCommand(a), newRecoverRootCommand(a))
	return cmd
}

func newConfirmRecoveryCommand(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "confirm-recovery",
		Short: "Prove that somebody holds the recovery key",
		Long: "confirm-recovery opens the cluster's keys with the recovery key and notes that this was possible. The key is kept nowhere, but for what is\n" +
			"derived from it for backups: with that they show that a host of this cluster has made them. The passive gets it from the active.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "key-file", "", "file that holds the recovery key (default: standard input)")
	cmd.RunE = func(*cobra.Command, []string) error {
		key, err := readSecret(file, "Recovery key: ") // as the user who called: the file may be theirs alone
		if err != nil {
			return err
		}
		c, err := a.load()
		if err != nil {
			return err
		}
		h := hostOf(c)
		var s host.Status
		err = a.audited(c, "root-key/confirm-recovery", struct{}{}, func() (any, error) {
			if err := h.ConfirmRecovery(key, time.Now()); err != nil {
				return nil, err
			}
			s, err = h.Status()
			return s.Recovery, err
		})
		if err != nil {
			return err
		}
		backups := "those of this host show from now on who made them"
		if a.shareBackupKey(h) {
			backups = "those of both hosts show from now on who made them"
		}
		return a.result(s.Recovery, []row{{"recovery key", s.Recovery.Fingerprint}, {"confirmed", stamp(*s.Recovery.Confirmed)}, {"backups", backups}})
	}
	return cmd
}

// shareBackupKey gives the other host what backups are authenticated with, and reports whether it is on the way to it. What can not be
// done now the next backup of the active does.
func (a *app) shareBackupKey(h *host.Host) bool {
	shared, err := h.ShareBackupKey(a.cmd.Context())
	if err != nil {
		a.say("note: the other host does not get yet what its backups show who made them with: %v. ktadmin backup create on the active tries again", err)
	}
	return shared
}

func newRecoverRootCommand(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Make a new root key for this host, whose own is lost, with the recovery key",
		Long: "recover opens the cluster's keys with the recovery key, makes a root key for this host, and closes them to it. It is for a host\n" +
			"whose root.key is gone or opens nothing, and whose disk is otherwise there: its database is not touched, nothing has to be stopped,\n" +
			"and no key is lost. What lies in the place of root.key is moved aside. The recovery key is kept nowhere.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "recovery-key", "", "file that holds the recovery key (default: standard input)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := readSecret(file, "Recovery key: ") // as the user who called
		if err != nil {
			return err
		}
		c, err := a.load()
		if err != nil {
			return err
		}
		var made struct {
			RootKey string `json:"root_key"`
			Aside   string `json:"moved_aside"`
		}
		err = a.audited(c, "root-key/recover", struct{}{}, func() (any, error) {
			aside, err := hostOf(c).RecoverRoot(cmd.Context(), key, time.Now())
			if err != nil {
				return nil, err
			}
			root, err := seal.LoadRoot(seal.RootPath(c.Confdir))
			if err != nil {
				return nil, err
			}
			made.RootKey, made.Aside = root.Public().Fingerprint(), aside
			return made, nil
		})
		if err != nil {
			return err
		}
		rows := []row{{"root key", made.RootKey}}
		if made.Aside != "" {
			rows = append(rows, row{"moved aside", made.Aside})
		}
		return a.result(made, rows)
	}
	return cmd
}

// readSecret reads a secret from the file, or without one from a terminal, unseen, or from standard input.
func readSecret(file, prompt string) (string, error) {
	if file != "" && file != "-" {
		return readSecretFile("the secret", file)
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		os.Stderr.WriteString(prompt)
		text, err := term.ReadPassword(int(os.Stdin.Fd()))
		os.Stderr.WriteString("\n")
		return string(text), err
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if line == "" && err != nil {
		return "", usagef("standard input is no terminal, and holds nothing: %w", err)
	}
	return line, nil
}

// readSecretFile reads what, which may be the flag that names the file.
func readSecretFile(what, file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", usagef("%s: the file is not there: %w", what, err)
	} else if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return string(text), nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
