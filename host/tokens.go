package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"keytrustee/certs"
	"keytrustee/internal/durable"
	"keytrustee/replication"
)

// TokenLife is how long a join token may be used, unless told otherwise.
const TokenLife = time.Hour

// tokenMemory is how long a token that nobody can use any more is remembered, so that its refusal can say why.
const tokenMemory = 30 * 24 * time.Hour

// newToken makes a join token and stores its hash. On the active it is for a passive, and refused while one is confirmed, unless
// the token replaces. On a passive it is for its active, to be restored, and refused while that answers.
func (a *Admitter) newToken(ctx context.Context, replace bool, life time.Duration) (*certs.Token, error) {
	state := a.pair.State()
	restores := state.Duty == replication.Passive
	switch why := a.pair.RestoreRefusal(); {
	case restores && why != "":
		return nil, hinted("on a passive a token is for the restore of its active; one with which a host joins is made on the active", "%s", why)
	case state.Fenced != nil:
		return nil, &replication.RefusedError{Sentence: state.Self + " is fenced: " + state.Fenced.Detail}
	case state.Peer != nil && a.pair.Report().PeerAnswers && !replace:
		return nil, hinted("to replace it, use ktadmin join-token --replace", "%s has a passive, %s, and it answers", state.Self, state.Peer.Name)
	}
	if err := a.awaitDatabase(ctx); err != nil {
		return nil, err
	}
	authority, err := a.host.authorityCertificate()
	if err != nil {
		return nil, err
	}
	now := a.now()
	token := certs.NewToken(a.host.ClusterAddress(), certs.FingerprintOf(authority), now.Add(cmp.Or(life, TokenLife)))
	if err := a.tokens.store(token, storedToken{Replaces: replace, Restores: restores}, now); err != nil {
		return nil, err
	}
	a.log.Info("a join token was made", "token", tokenID(token.Hash()), "expires", token.Expires, "replaces", replace, "restores", restores)
	return token, nil
}

// storedToken is what a host keeps of a join token that it made: its hash, never the token.
type storedToken struct {
	ID       string     `json:"id"`
	Hash     string     `json:"hash"`               // hex SHA-256 of the secret
	Replaces bool       `json:"replaces,omitempty"` // a passive that is confirmed
	Restores bool       `json:"restores,omitempty"` // the active, from this passive
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	Used     *time.Time `json:"used,omitempty"`
	UsedBy   string     `json:"used_by,omitempty"` // fingerprint of the root key of the host that used it
}

// tokenID is the name of a token in the file and in logs; it does not help to guess the token.
func tokenID(hash string) string { return hash[:12] }

// joinTokens are the join tokens that this host made, in a file of its node directory: the host that makes one may be a
// passive, whose database can not be written. Its methods may be called concurrently.
type joinTokens struct {
	file string
	mu   sync.Mutex // held while the file is read and replaced
}

func tokensOf(h *Host) *joinTokens {
	return &joinTokens{file: filepath.Join(h.NodeDir(), "join-tokens.json")}
}

func (s *joinTokens) load() ([]storedToken, error) {
	text, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the join tokens: %w", err)
	}
	var all []storedToken
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, hinted("remove it and make another token with ktadmin join-token", "reading the join tokens: %s: %w", s.file, err)
	}
	return all, nil
}

// change replaces the file by what apply makes of it.
func (s *joinTokens) change(apply func([]storedToken) []storedToken) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.load()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(apply(all), "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(s.file, append(text, '\n'), 0o600)
}

// store makes the token known, and forgets those that nobody could use for long.
func (s *joinTokens) store(t *certs.Token, stored storedToken, now time.Time) error {
	stored.ID, stored.Hash, stored.Created, stored.Expires = tokenID(t.Hash()), t.Hash(), now.UTC(), t.Expires.UTC()
	return s.change(func(all []storedToken) []storedToken {
		all = slices.DeleteFunc(all, func(t storedToken) bool { return t.Expires.Before(now.Add(-tokenMemory)) })
		return append(all, stored)
	})
}

// check returns the stored token of that secret, if the host with that root key may join with it now. While an admission
// is pending, the host that used the token may try again with it: its attempt broke off.
func (s *joinTokens) check(secret, root string, pending bool, now time.Time) (storedToken, error) {
	s.mu.Lock()
	all, err := s.load()
	s.mu.Unlock()
	if err != nil {
		return storedToken{}, err
	}
	const another = "make another one with ktadmin join-token on the host that this one joins"
	hash := certs.HashSecret(secret)
	i := slices.IndexFunc(all, func(t storedToken) bool { return t.Hash == hash })
	if i < 0 {
		return storedToken{}, hinted(another, "the host that was asked does not know this join token")
	}
	switch t := all[i]; {
	case t.Used != nil && !(pending && t.UsedBy == root):
		return t, hinted(another, "this join token was used at %s; each is good for one host, once", stamp(*t.Used))
	case !now.Before(t.Expires):
		return t, hinted(another, "this join token expired at %s", stamp(t.Expires))
	default:
		return t, nil
	}
}

// use notes that the host with that root key has used the token.
func (s *joinTokens) use(id, root string, now time.Time) error {
	return s.change(func(all []storedToken) []storedToken {
		for i := range all {
			if t := &all[i]; t.ID == id {
				if t.Used == nil {
					at := now.UTC()
					t.Used = &at
				}
				t.UsedBy = root
			}
		}
		return all
	})
}

// usedBy reports whether the host with that root key has used the token with that hash.
func (s *joinTokens) usedBy(hash, root string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.load()
	return err == nil && slices.ContainsFunc(all, func(t storedToken) bool { return t.Hash == hash && t.Used != nil && t.UsedBy == root && root != "" })
}
