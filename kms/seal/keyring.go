package seal

import (
	"context"
	"fmt"
	"sync"

	"keytrustee/kms"
)

// Keyring holds the KEKs that this host has opened with its root key. It is a kms.Sealer, and it makes the proofs that
// the peer asks for. It may be used concurrently.
type Keyring struct {
	confdir string

	mu      sync.RWMutex // guards what follows, never for longer than to copy it
	cluster string
	keks    map[string]*kek
	newest  *kek // seals
}

// Load opens every KEK of confdir that is wrapped to its root key. It fails if there is none, if a wrap was altered or not
// made by a host of the cluster, or if it does not open.
func Load(confdir string) (*Keyring, error) {
	k := &Keyring{confdir: confdir}
	if _, _, err := k.unwrap(context.Background()); err != nil {
		return nil, err
	}
	return k, nil
}

// Cluster is the id of the cluster whose KEKs these are.
func (k *Keyring) Cluster() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.cluster
}

// unwrap reads the root key from its file, opens all KEKs anew, from disk and not from memory, and returns them. When it
// returns nil, the Keyring holds what it found, KEKs that came new to confdir included. When it fails, the Keyring is as
// it was, so that what is open can still be read. It fails also when a KEK that is open no longer stands in confdir, or is
// another.
func (k *Keyring) unwrap(ctx context.Context) (cluster string, fresh map[string]*kek, err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	root, err := LoadRoot(RootPath(k.confdir))
	if err != nil {
		return "", nil, err
	}
	cluster, fresh, err = openAll(k.confdir, root)
	if err != nil {
		return "", nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster != "" && k.cluster != cluster {
		return "", nil, fmt.Errorf("%s belongs to cluster %s now, it was %s", k.confdir, cluster, k.cluster)
	}
	for id, old := range k.keks {
		if f := fresh[id]; f == nil || f.secret != old.secret {
			return "", nil, fmt.Errorf("key-encryption key %s is in use and %s holds no wrap of it for root key %s", id, k.confdir,
				root.Public().Fingerprint())
		}
	}
	k.cluster, k.keks, k.newest = cluster, fresh, newest(fresh)
	return cluster, fresh, nil
}

// openAll opens the KEKs that are wrapped to root, of which there is at least one.
func openAll(confdir string, root *Root) (cluster string, keks map[string]*kek, err error) {
	trust, err := loadAuthority(confdir)
	if err != nil {
		return "", nil, err
	}
	wraps, err := ReadWraps(confdir)
	if err != nil {
		return "", nil, err
	}
	keks = make(map[string]*kek)
	for _, w := range wraps {
		if w.Recipient != root.Public().Fingerprint() {
			continue
		}
		if cluster != "" && w.Cluster != cluster {
			return "", nil, fmt.Errorf("%s holds key-encryption keys of two clusters, %s and %s", confdir, cluster, w.Cluster)
		}
		opened, err := w.open(root, trust)
		if err != nil {
			return "", nil, err
		}
		cluster, keks[w.KEK] = w.Cluster, opened
	}
	if len(keks) == 0 {
		return "", nil, fmt.Errorf("no key-encryption key in %s is wrapped to root key %s; the other host can issue one", confdir,
			root.Public().Fingerprint())
	}
	return cluster, keks, nil
}

func newest(keks map[string]*kek) *kek {
	var n *kek
	for _, k := range keks {
		if n == nil || k.made.After(n.made) || k.made.Equal(n.made) && k.id > n.id {
			n = k
		}
	}
	return n
}

// WrapFor closes every KEK of the Keyring to another root key, in the name of the host that by is. It writes nothing.
func (k *Keyring) WrapFor(to Public, by Signer) ([]Wrap, error) {
	k.mu.RLock()
	cluster, keks := k.cluster, k.keks // maps are replaced, never changed
	k.mu.RUnlock()
	var wraps []Wrap
	for _, id := range sortedIDs(keks) {
		w, err := wrapKEK(keks[id], cluster, to, by)
		if err != nil {
			return nil, err
		}
		wraps = append(wraps, w)
	}
	return wraps, nil
}

// ConfirmRecovery proves that text is the private half of the recovery key of confdir: every KEK in use opens with it.
func (k *Keyring) ConfirmRecovery(text string) error {
	recovered, err := LoadWithRecovery(k.confdir, text)
	if err != nil {
		return err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for id, mine := range k.keks {
		if o := recovered.keks[id]; o == nil || o.secret != mine.secret {
			return fmt.Errorf("key-encryption key %s is not wrapped to the recovery key", id)
		}
	}
	return nil
}

// kek returns the KEK of that id, or the error that the caller shows.
func (k *Keyring) kek(id string) (*kek, string, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found := k.keks[id]; found != nil {
		return found, k.cluster, nil
	}
	return nil, "", kms.NotReadyError("", kms.ReasonRootKeyMismatch, fmt.Sprintf(
		"this host has no key-encryption key %s, so it can not open what was sealed with it", id))
}

func (k *Keyring) sealing() (*kek, string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.newest, k.cluster
}
