package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"keytrustee/kms"
)

// rulesFile is the file of a confdir that holds Hadoop's access rules.
const rulesFile = "kms-acls.xml"

// open is the Policy of a site without rules, Hadoop's own defaults: everybody may do everything, but purge, which Hadoop
// does not have and which nobody may do until a rule says so. Keys are open to everybody as well, each under its own
// name, so that rules that come later find it.
type open struct{}

var _ kms.Policy = open{}

// Load returns the Policy of a confdir. A confdir with access rules is refused: this version can not read them, and to
// ignore a rule would be to allow what it forbids.
func Load(confdir string) (kms.Policy, error) {
	path := filepath.Join(confdir, rulesFile)
	switch _, err := os.Lstat(path); {
	case err == nil:
		return nil, fmt.Errorf("%s holds access rules, which this version can not read yet; it does not start rather than ignore "+
			"them: move the file away to let every user do everything but purge", path)
	case errors.Is(err, fs.ErrNotExist):
		return open{}, nil
	default:
		return nil, fmt.Errorf("access rules: %w", err)
	}
}

func (open) Allows(_ kms.Principal, op kms.Op) bool { return op != kms.OpPurge }

func (open) AllowsKey(kms.Principal, kms.KeyOp, string) bool { return true }

func (open) AllowsCreate(_ kms.Principal, name kms.KeyName, attributes map[string]string) (map[string]string, bool) {
	if _, named := attributes[kms.ACLAttribute]; named {
		return attributes, true
	}
	with := maps.Clone(attributes)
	if with == nil {
		with = make(map[string]string, 1)
	}
	with[kms.ACLAttribute] = string(name)
	return with, true
}
