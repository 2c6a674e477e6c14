package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// LoadWithRecovery opens every KEK of confdir with text, the private half of the recovery key, where no host's root key is at hand.
// It needs of confdir what is no secret: the wraps, the public half of the recovery key and the cluster's authority. It fails as
// Load does, and with an *UnrecoverableError if a KEK is not wrapped to the recovery key. Neither text nor what it stands for is
// kept: a Keyring that was opened so makes proofs of its root (ProveRoot) once confdir has a root key of its own.
func LoadWithRecovery(confdir, text string) (*Keyring, error) {
	root, err := ParseRecovery(text)
	if err != nil {
		return nil, err
	}
	public, err := ReadRecovery(confdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this cluster has no recovery key, so none can open it")
	} else if err != nil {
		return nil, err
	}
	mine := root.Public().Fingerprint()
	if its := public.Fingerprint(); its != mine {
		return nil, fmt.Errorf("this is a recovery key, but not this cluster's: it is %s, and the cluster's is %s", mine, its)
	}
	if err := checkWrapped(confdir, mine); err != nil {
		return nil, err
	}
	k := &Keyring{confdir: confdir}
	if k.cluster, k.keks, err = openAll(confdir, root); err != nil {
		return nil, err
	}
	k.newest = newest(k.keks)
	return k, nil
}

// UnrecoverableError means that KEKs are not wrapped to the recovery key: it does not open what was sealed with them.
type UnrecoverableError struct {
	Fingerprint string   // of the recovery key
	KEKs        []string // their ids, sorted
}

func (e *UnrecoverableError) Error() string {
	return fmt.Sprintf("the recovery key %s opens not everything: there is no wrap for it of the key-encryption keys %s", e.Fingerprint, strings.Join(e.KEKs, ", "))
}

// Hint is what the operator can do.
func (e *UnrecoverableError) Hint() string {
	return "only the root key of a host opens what was sealed with these; keep both hosts, and a backup with a wrap for the recovery key if there is one"
}

// checkWrapped returns an *UnrecoverableError if a KEK of confdir, or all there are, has no wrap for that root.
func checkWrapped(confdir, fingerprint string) error {
	wraps, err := ReadWraps(confdir)
	if err != nil {
		return err
	}
	wrapped := map[string]bool{}
	for _, w := range wraps {
		wrapped[w.KEK] = wrapped[w.KEK] || w.Recipient == fingerprint
	}
	var without []string
	for id, ok := range wrapped {
		if !ok {
			without = append(without, id)
		}
	}
	if len(without) == 0 {
		return nil // without any wrap, nothing opens either
	}
	slices.Sort(without)
	return &UnrecoverableError{fingerprint, without}
}
