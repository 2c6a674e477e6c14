package main

import (
	"slices"

	"github.com/spf13/cobra"

	"keytrustee/host"
	"keytrustee/replication"
)

func newRestoreCommand(a *app) *cobra.Command {
	var f joinFlags
	var b backupFlags
	cmd := &cobra.Command{
		Use:   "restore --from-survivor ADDRESS --token-file FILE | --from-backup FILE --identity FILE --recovery-key FILE [--from-dump]",
		Short: "Rebuild the active on its own host from the passive that survived it, or on a bare host from a backup where none has",
		Long: "With --from-survivor it runs on the host of an active whose data is destroyed, or is an older copy, under the same name. The passive has every\n" +
			"key that was acknowledged: its database is copied, verified, and goes on here on a timeline of its own. Data that is still here is moved\n" +
			"aside, never deleted. It is refused while the active answers, or while the passive is not whole. The token comes from ktadmin join-token\n" +
			"on the passive.\n\n" +
			"With --from-backup it runs on a bare host, when both hosts are lost: what was acknowledged after the backup was begun is lost with them. It\n" +
			"takes an identity of one of the backup's recipients, and the recovery key of the cluster, which also shows that a host of the cluster made\n" +
			"the backup; one that does not show it wants --sha256. Without --i-confirm it says whether that could be\n" +
			"done, and what would be, and changes nothing. It is refused while a host of the pair answers; one that joined later is asked with\n" +
			"--also-ask. The second host joins afterwards.\n" +
			"Where there is no PostgreSQL of the backup's major version, or with --from-dump, the keys come from the logical dump in the backup.\n\n" +
			"With --abort a restore that has not ended is ended; one from a survivor on either host.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.active, "from-survivor", "", "address of the passive that survived")
	cmd.Flags().BoolVar(&f.abort, "abort", false, "end a restore that has not ended")
	b.addTo(cmd)
	f.addTo(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case f.abort:
			return a.abortJoin(f)
		case f.active != "" && b.file != "":
			return usagef("--from-survivor and --from-backup exclude each other: a survivor has everything")
		case b.file != "":
			return a.rebuild(f, b)
		case b.any():
			return usagef("--from-backup is missing: name the file of the backup")
		case f.active == "":
			return usagef("--from-survivor is missing: name the address of the passive that survived; if none has, name a backup: --from-backup FILE")
		}
		return a.join(f, host.Restore)
	}
	return cmd
}

// backupFlags are the flags of a restore from a backup.
type backupFlags struct {
	file, identity, passphrase, recoveryKey, sha256, confirm string
	alsoAsk                                                  []string
	fromDump                                                 bool
}

// any reports whether one of them was given.
func (b *backupFlags) any() bool {
	return b.file != "" || b.identity+b.passphrase != "" || b.recoveryKey != "" || b.sha256 != "" || b.confirm != "" || len(b.alsoAsk) > 0 || b.fromDump
}

func (b *backupFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&b.file, "from-backup", "", "file of a backup of one of the two hosts, both of which are lost")
	flags.StringVar(&b.identity, "identity", "", "file that holds an identity of one of the backup's recipients")
	flags.StringVar(&b.passphrase, "identity-passphrase-file", "", "file with the passphrase of the identity, if it is an OpenPGP key that has one (default: asked for on a terminal)")
	flags.StringVar(&b.recoveryKey, "recovery-key", "", "file that holds the recovery key of the cluster (default: asked for on a terminal)")
	addSHA256(flags, &b.sha256)
	flags.StringSliceVar(&b.alsoAsk, "also-ask", nil, "address of a host that joined after the backup was made, which is asked too whether it lives; may be given more than once")
	flags.BoolVar(&b.fromDump, "from-dump", false, "take the keys from the logical dump in the backup, into a new database, and leave its base backup alone")
	flags.StringVar(&b.confirm, "i-confirm", "", `what the command without it says, word for word: "NAME is powered off", with the name of the other host`)
}

// rebuild makes this host the active out of a backup, or says what would be done.
func (a *app) rebuild(f joinFlags, b backupFlags) error {
	if f.tokenFile != "" {
		return usagef("--token-file: a restore from a backup wants no token, for there is nobody who could give one")
	}
	if b.identity == "" {
		return usagef("--identity is missing: name the file with the identity of one of the backup's recipients")
	}
	if err := checkSHA256(b.sha256); err != nil {
		return err
	}
	if slices.Contains(b.alsoAsk, "") {
		return usagef("--also-ask: an address is empty")
	}
	r := &rebuilding{app: a, joinFlags: f, backupFlags: b}
	defer r.close()
	if err := r.open(); err != nil { // as the user who called: the files may be theirs alone
		return err
	}
	start, err := a.prepareStart(f.noStart, true)
	if err != nil {
		return err
	}
	if err := a.become(r.config); err != nil {
		return err
	}
	o, err := hostOf(r.config).Rebuild(a.cmd.Context(), r.options())
	if err != nil {
		return err
	}
	if b.confirm == "" {
		return a.rebuildable(o)
	}
	if err := a.rebuilt(r); err != nil {
		return err
	}
	return start()
}

// rebuildable says that, and how, the pair could be rebuilt, or what stands against it.
func (a *app) rebuildable(o replication.Operated) error {
	if err := allFound(o); err != nil {
		return err
	}
	return a.operated(o)
}
