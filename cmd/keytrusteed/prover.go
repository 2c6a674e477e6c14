package main

import (
	"context"

	"keytrustee/kms"
	"keytrustee/kms/pgstore"
	"keytrustee/kms/seal"
)

// prover is replication's Prover: this host's own database and its own root key.
type prover struct {
	ring  *seal.Keyring
	store *pgstore.Store
	// forget drops what the caches say of names. It runs before a proof leaves this host: once the active has it, it may
	// acknowledge the write, and a read here must not answer from before.
	forget func()
}

// ProveRoot opens all keys anew from the root key.
func (p *prover) ProveRoot(ctx context.Context, challenge []byte) ([]byte, error) {
	return p.ring.ProveRoot(ctx, challenge)
}

// Prove reads each row from this host's PostgreSQL and opens it.
func (p *prover) Prove(ctx context.Context, rows [][16]byte, bind []byte) ([][]byte, error) {
	proofs := make([][]byte, len(rows))
	for i, id := range rows {
		row, err := p.store.Row(ctx, kms.ID(id))
		if err != nil {
			return nil, err
		}
		if row.Version == nil {
			proofs[i] = p.ring.ProveChange(*row.Change, bind)
		} else if proofs[i], err = p.ring.ProveVersion(*row.Version, bind); err != nil {
			return nil, err
		}
	}
	p.forget()
	return proofs, nil
}
