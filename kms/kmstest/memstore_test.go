package kmstest_test

import (
	"testing"

	"keytrustee/kms"
	"keytrustee/kms/kmstest"
)

func TestMemStore(t *testing.T) {
	kmstest.TestStore(t, func(t *testing.T) kms.Store { return kmstest.NewMemStore() })
}
