package seal

import (
	"encoding/hex"
	"fmt"
)

// boxMagic begins every box; the id of its KEK follows, 8 bytes, then what encrypt made.
const boxMagic = "ktbox1\x00\x00"

// SealBox encrypts a secret that is no key material, under the newest KEK. name is what the secret is, such as
// "authority"; a box opens under its own name only.
func (k *Keyring) SealBox(name string, secret []byte) ([]byte, error) {
	key, cluster := k.sealing()
	id, err := hex.DecodeString(key.id)
	if err != nil {
		return nil, err
	}
	return append([]byte(boxMagic+string(id)), encrypt(boxKey(key, name), secret, bind("keytrustee box 1", cluster, key.id, name))...), nil
}

// OpenBox returns what SealBox was given. A KEK that this host does not have is a *kms.ReadOnlyError.
func (k *Keyring) OpenBox(name string, box []byte) ([]byte, error) {
	head := len(boxMagic) + 8
	if len(box) < head || string(box[:len(boxMagic)]) != boxMagic {
		return nil, fmt.Errorf("box %q: not a sealed box", name)
	}
	key, cluster, err := k.kek(hex.EncodeToString(box[len(boxMagic):head]))
	if err != nil {
		return nil, err
	}
	secret, err := decrypt(boxKey(key, name), box[head:], bind("keytrustee box 1", cluster, key.id, name))
	if err != nil {
		return nil, fmt.Errorf("box %q: altered, or another box", name)
	}
	return secret, nil
}

func boxKey(k *kek, name string) []byte { return k.derive("box 1 " + name) }
