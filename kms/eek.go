package kms

// EncryptedKeyVersion is a data key (EEK; HDFS says EDEK) encrypted with a version of a key. Hadoop's
// KeyProviderCryptoExtension.EncryptedKeyVersion. It may be stored anywhere; the data key itself is kept nowhere here.
type EncryptedKeyVersion struct {
	Key     KeyName
	Version VersionName // the version that encrypts it
	IV      []byte      // 16 bytes, as published: the cipher's counter block is its complement
	EEK     []byte      // as long as the data key
}
