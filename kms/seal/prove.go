package seal

import (
	"context"
	"crypto/sha256"
	"strconv"
	"time"

	"keytrustee/kms"
)

// Proofs. Both hosts compute the same MAC, each with what it has opened itself; equal MACs prove that both can. A proof
// tells nothing of the key that made it and is good for its challenge only.

// ProveRoot opens all KEKs anew, from the root key in its file and not from memory, and returns a MAC of challenge under
// them. Two hosts return the same only if the same KEKs opened on both. When it fails, what is open can still be read; the
// caller closes the gate.
func (k *Keyring) ProveRoot(ctx context.Context, challenge []byte) ([]byte, error) {
	cluster, fresh, err := k.unwrap(ctx)
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, id := range sortedIDs(fresh) {
		all.Write(mac(fresh[id].derive("prove root 1"), bind(cluster, id, string(challenge))))
	}
	return all.Sum(nil), nil
}

// ProveVersion opens v, as it was read from this host's own database, and returns a MAC of its id and binding under a key
// that only the KEK and the opened material give. The stored check value has no part in it.
func (k *Keyring) ProveVersion(v kms.SealedVersion, binding []byte) ([]byte, error) {
	key, cluster, err := k.kek(v.KEK)
	if err != nil {
		return nil, err
	}
	material, err := openVersion(key, cluster, v)
	if err != nil {
		return nil, err
	}
	return mac(key.derive("prove version 1", material...), bind(cluster, key.id, v.ID.String(), string(binding))), nil
}

// ProveChange is ProveVersion for a change that made no version: a MAC of all that c says, and of binding, under the newest
// KEK.
func (k *Keyring) ProveChange(c kms.Change, binding []byte) []byte {
	key, cluster := k.sealing()
	return mac(key.derive("prove change 1"), bind(cluster, key.id, c.ID.String(), c.KeyID.String(), strconv.Itoa(c.Seq),
		string(c.Kind), c.Version.String(), c.At.UTC().Format(time.RFC3339Nano), c.By, c.From, c.RequestID, string(binding)))
}
