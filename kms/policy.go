package kms

// Op is an operation as Hadoop's access rules name it (hadoop.kms.acl.<OP>), and two of Cloudera's Key Trustee KMS.
type Op string

// The operations.
const (
	OpCreate         Op = "CREATE"
	OpDelete         Op = "DELETE"
	OpRollover       Op = "ROLLOVER"
	OpGet            Op = "GET"
	OpGetKeys        Op = "GET_KEYS"
	OpGetMetadata    Op = "GET_METADATA"
	OpSetKeyMaterial Op = "SET_KEY_MATERIAL"
	OpGenerateEEK    Op = "GENERATE_EEK"
	OpDecryptEEK     Op = "DECRYPT_EEK"
	OpUndelete       Op = "UNDELETE"
	OpPurge          Op = "PURGE"
)

// KeyOp is an operation on one key (key.acl.<key>.<OP>).
type KeyOp string

// The operations on one key.
const (
	KeyManagement  KeyOp = "MANAGEMENT"
	KeyGenerateEEK KeyOp = "GENERATE_EEK"
	KeyDecryptEEK  KeyOp = "DECRYPT_EEK"
	KeyRead        KeyOp = "READ"
)

// ACLAttribute is the attribute of a key that names the rules for it.
const ACLAttribute = "key.acl.name"

// Policy decides who may do what. It is asked anew for each delivery of a request; a Policy may change between two calls.
// It may be called concurrently and does no I/O.
type Policy interface {
	// Allows reports whether p may do op at all.
	Allows(p Principal, op Op) bool
	// AllowsKey reports whether p may do op on a key whose ACL name (the attribute key.acl.name, or the key's own name)
	// is acl.
	AllowsKey(p Principal, op KeyOp, acl string) bool
	// AllowsCreate reports whether p may create a key of that name with these attributes, and if so returns the
	// attributes that it is to have: the given ones, with key.acl.name added where the rules ask for it.
	AllowsCreate(p Principal, name KeyName, attributes map[string]string) (map[string]string, bool)
}

// ACLName is the name under which the rules for k are found.
func (k Key) ACLName() string {
	if n, ok := k.Attributes[ACLAttribute]; ok {
		return n
	}
	return string(k.Name)
}
