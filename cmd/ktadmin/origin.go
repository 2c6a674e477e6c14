package main

import (
	"encoding/hex"
	"fmt"

	"github.com/spf13/pflag"

	"keytrustee/backup"
	"keytrustee/host"
	"keytrustee/kms/seal"
)

// addSHA256 is the flag of who knows which file a host has made.
func addSHA256(flags *pflag.FlagSet, sum *string) {
	flags.StringVar(sum, "sha256", "", "SHA-256 of the file, as ktadmin backup show says it on the host that made it; necessary where the backup does not show itself who made it")
}

// checkSHA256 refuses what can be no SHA-256.
func checkSHA256(sum string) error {
	if raw, err := hex.DecodeString(sum); sum != "" && (err != nil || len(raw) != 32) {
		return usagef("--sha256: a SHA-256 has 64 hexadecimal digits")
	}
	return nil
}

// originBy is what a backup has to show, with the recovery key and what is known of the file.
func originBy(recovery *seal.Root, sum string) (backup.Origin, error) {
	key, err := recovery.BackupKey()
	return backup.Origin{Key: key, SHA256: sum}, err
}

// fitsRecovery refuses a backup that the recovery key of that fingerprint does not open, before it is unpacked. What the backup says of itself nobody
// has vouched for yet.
func fitsRecovery(m backup.Manifest, fingerprint string) error {
	switch m.RecoveryKey {
	case fingerprint:
		return nil
	case "":
		return &host.HintedError{Err: fmt.Errorf("there was no recovery key when the backup was made, so only the root keys of the hosts open what is in it"),
			Hint: "make a recovery key on a host of the pair (ktadmin init --recovery-key-out FILE), and a new backup"}
	}
	return &host.HintedError{Err: fmt.Errorf("this is the recovery key %s, and the backup's is %q", fingerprint, m.RecoveryKey),
		Hint: fmt.Sprintf("take the recovery key of the cluster %q", m.Cluster)}
}
