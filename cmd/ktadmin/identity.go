package main

import (
	"os"
	"strings"

	"golang.org/x/term"

	"keytrustee/backup"
)

// identities reads what opens a backup. A passphrase that is wanted is in the file, or is asked for on the terminal, a few times.
func identities(text, passphraseFile string) (backup.Identities, error) {
	ids, err := backup.ParseIdentities(text)
	switch {
	case err != nil:
		return ids, err
	case !ids.Locked() && passphraseFile != "":
		return ids, usagef("--identity-passphrase-file: the identity has no passphrase; leave the flag out")
	case !ids.Locked():
		return ids, nil
	case passphraseFile != "":
		passphrase, err := readSecretFile("--identity-passphrase-file", passphraseFile)
		if err != nil {
			return ids, err
		}
		return ids, ids.Unlock([]byte(strings.TrimRight(passphrase, "\r\n")))
	case !term.IsTerminal(int(os.Stdin.Fd())):
		return ids, usagef("--identity-passphrase-file: the identity has a passphrase, and there is no terminal to ask for it; name a file that holds it, such as /dev/fd/3")
	}
	for tries := 3; ; tries-- {
		passphrase, err := readSecret("", "Passphrase of the OpenPGP key: ")
		if err != nil {
			return ids, err
		}
		if err := ids.Unlock([]byte(passphrase)); err == nil || tries == 1 {
			return ids, err
		}
		os.Stderr.WriteString("That is not it.\n")
	}
}
