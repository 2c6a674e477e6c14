package kms

import "time"

// AuditOp is an operation as Hadoop's audit log names it (KMS.KMSOp).
type AuditOp string

// The operations of the audit log.
const (
	AuditCreateKey         AuditOp = "CREATE_KEY"
	AuditDeleteKey         AuditOp = "DELETE_KEY"
	AuditRollNewVersion    AuditOp = "ROLL_NEW_VERSION"
	AuditUndeleteKey       AuditOp = "UNDELETE_KEY"
	AuditPurgeKey          AuditOp = "PURGE_KEY"
	AuditInvalidateCache   AuditOp = "INVALIDATE_CACHE"
	AuditGetKeys           AuditOp = "GET_KEYS"
	AuditGetKeysMetadata   AuditOp = "GET_KEYS_METADATA"
	AuditGetKeyVersions    AuditOp = "GET_KEY_VERSIONS"
	AuditGetMetadata       AuditOp = "GET_METADATA"
	AuditGetKeyVersion     AuditOp = "GET_KEY_VERSION"
	AuditGetCurrentKey     AuditOp = "GET_CURRENT_KEY"
	AuditGenerateEEK       AuditOp = "GENERATE_EEK"
	AuditDecryptEEK        AuditOp = "DECRYPT_EEK"
	AuditReencryptEEK      AuditOp = "REENCRYPT_EEK"
	AuditReencryptEEKBatch AuditOp = "REENCRYPT_EEK_BATCH"
)

// AuditResult is how an event ended, in Hadoop's words.
type AuditResult string

// The results. Attempt precedes every write that may change something; Unknown is a write whose outcome nobody knows yet.
const (
	AuditAttempt         AuditResult = "ATTEMPT"
	AuditOK              AuditResult = "OK"
	AuditUnauthorized    AuditResult = "UNAUTHORIZED"
	AuditUnauthenticated AuditResult = "UNAUTHENTICATED"
	AuditError           AuditResult = "ERROR"
	AuditUnknown         AuditResult = "UNKNOWN"
)

// Event is one line of the audit log. It never holds key material.
type Event struct {
	At        time.Time
	Result    AuditResult
	Op        AuditOp
	Key       KeyName // empty where an operation has none
	Principal Principal
	RequestID string // ties an attempt to its outcome
	Extra     string // Hadoop's extra text, such as "UserProvidedMaterial:false Description:null"
	Repeat    bool   // the answer to a write that was delivered before
	Err       string // one line, for ERROR and UNKNOWN
}

// Recorder keeps the audit log. It may be called concurrently.
type Recorder interface {
	// Record writes the event and returns when it is durable. If it returns an error the event may be missing, and the
	// caller neither acts nor answers with a success.
	Record(Event) error
	// Access notes a read. Reads are aggregated and may be lost; losses are counted.
	Access(Event)
}
