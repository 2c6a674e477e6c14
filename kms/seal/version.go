package seal

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"keytrustee/kms"
)

var _ kms.Sealer = (*Keyring)(nil)

// Seal encrypts m for v under the newest KEK: AES-256-GCM with a key of the version's own, bound to all that v says. The
// check value is a MAC of the material.
func (k *Keyring) Seal(v kms.VersionRef, m kms.Material) (kms.SealedVersion, error) {
	if !m.Present() {
		return kms.SealedVersion{}, fmt.Errorf("sealing version %s: there is no material", v.Name.Quoted())
	}
	key, cluster := k.sealing()
	return kms.SealedVersion{
		VersionRef: v,
		KEK:        key.id,
		Sealed:     encrypt(versionKey(key, v.ID), m.Bytes(), versionBinding(cluster, key.id, v)),
		Check:      checkValue(key, v.ID, m.Bytes()),
	}, nil
}

// Open returns the material of v, as it was given to Seal. Whatever of v was altered, Created aside, it fails. A KEK that
// this host does not have is a *kms.ReadOnlyError.
func (k *Keyring) Open(v kms.SealedVersion) (kms.Material, error) {
	key, cluster, err := k.kek(v.KEK)
	if err != nil {
		return kms.Material{}, err
	}
	material, err := openVersion(key, cluster, v)
	if err != nil {
		return kms.Material{}, err
	}
	return kms.NewMaterial(material), nil
}

func openVersion(key *kek, cluster string, v kms.SealedVersion) ([]byte, error) {
	material, err := decrypt(versionKey(key, v.ID), v.Sealed, versionBinding(cluster, key.id, v.VersionRef))
	if err != nil {
		return nil, fmt.Errorf("version %s (%s): %w", v.Name.Quoted(), v.ID, errAltered)
	}
	if !hmac.Equal(v.Check, checkValue(key, v.ID, material)) {
		return nil, fmt.Errorf("version %s (%s): its check value differs: %w", v.Name.Quoted(), v.ID, errAltered)
	}
	if material == nil {
		material = []byte{}
	}
	return material, nil
}

var errAltered = errors.New("it was altered, or sealed for another version")

func versionKey(k *kek, version kms.ID) []byte { return k.derive("version 1 " + version.String()) }

func versionBinding(cluster, kekID string, v kms.VersionRef) []byte {
	return bind("keytrustee version 1", cluster, kekID, v.KeyID.String(), v.ID.String(), string(v.Key), string(v.Name),
		strconv.Itoa(v.Ordinal), v.Cipher)
}

func checkValue(k *kek, version kms.ID, material []byte) []byte {
	return mac(k.derive("check 1"), bind(version.String(), string(material)))
}

func sortedIDs(keks map[string]*kek) []string { return slices.Sorted(maps.Keys(keks)) }
