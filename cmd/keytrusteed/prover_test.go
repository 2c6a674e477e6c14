package main

import "testing"

// TestProofForgets: a proof that has left this host may be acknowledged at once; what the caches said of names before it is
// forgotten by then.
func TestProofForgets(t *testing.T) {
	forgotten := 0
	p := &prover{forget: func() { forgotten++ }}
	if _, err := p.Prove(t.Context(), nil, nil); err != nil || forgotten != 1 {
		t.Errorf("forgotten %d times, %v", forgotten, err)
	}
}
