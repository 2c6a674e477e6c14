package host

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"keytrustee/certs"
	"keytrustee/replication"
)

// TokenLife is how long a join token may be used, unless told otherwise.
const TokenLife = time.Hour

// newToken makes a join token and stores its hash. While a passive is confirmed it is refused, unless the token replaces.
func (a *Admitter) newToken(ctx context.Context, replace bool, life time.Duration) (*certs.Token, error) {
	state := a.pair.State()
	switch {
	case state.Duty != replication.Active:
		return nil, hinted("make the token on the active", "%s is the passive", state.Self)
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
	conn, err := a.host.connect(ctx, a.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	now := a.now()
	token := certs.NewToken(a.host.ClusterAddress(), certs.FingerprintOf(authority), now.Add(cmp.Or(life, TokenLife)))
	if err := storeToken(ctx, conn, token, replace, now); err != nil {
		return nil, err
	}
	a.log.Info("a join token was made", "token", tokenID(token.Hash()), "expires", token.Expires, "replaces", replace)
	return token, nil
}

// storedToken is a row of control.join_tokens.
type storedToken struct {
	id       string
	replaces bool
	expires  time.Time
	used     *time.Time
	usedBy   *string
}

// tokenID is the name of a token in the table and in logs; it does not help to guess the token.
func tokenID(hash string) string { return hash[:12] }

// storeToken makes the token known. Only its hash is kept. Tokens that nobody can use any more go.
func storeToken(ctx context.Context, conn *pgx.Conn, t *certs.Token, replaces bool, now time.Time) error {
	hash, err := hex.DecodeString(t.Hash())
	if err != nil {
		return err
	}
	return replication.Control(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from control.join_tokens where expires < $1", now.Add(-30*24*time.Hour)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "insert into control.join_tokens (id, hash, replaces, created, expires) values ($1, $2, $3, $4, $5)",
			tokenID(t.Hash()), hash, replaces, now, t.Expires)
		return err
	})
}

// checkToken returns the stored token of that secret, if the host with that root key may join with it now. While an
// admission is pending, the host that used the token may try again with it: its attempt broke off.
func checkToken(ctx context.Context, conn *pgx.Conn, secret, root string, pending bool, now time.Time) (storedToken, error) {
	hash, err := hex.DecodeString(certs.HashSecret(secret))
	if err != nil {
		return storedToken{}, err
	}
	var t storedToken
	err = conn.QueryRow(ctx, "select id, replaces, expires, used, used_by from control.join_tokens where hash = $1", hash).
		Scan(&t.id, &t.replaces, &t.expires, &t.used, &t.usedBy)
	const another = "make another one with ktadmin join-token on the active"
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return t, hinted(another, "the active does not know this join token")
	case err != nil:
		return t, fmt.Errorf("looking up a join token: %w", err)
	case t.used != nil && !(pending && t.usedBy != nil && *t.usedBy == root):
		return t, hinted(another, "this join token was used at %s; each is good for one host, once", stamp(*t.used))
	case !now.Before(t.expires):
		return t, hinted(another, "this join token expired at %s", stamp(t.expires))
	}
	return t, nil
}

func useToken(ctx context.Context, conn *pgx.Conn, id, root string, now time.Time) error {
	return replication.Control(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update control.join_tokens set used = coalesce(used, $2), used_by = $3 where id = $1", id, now, root)
		return err
	})
}
