package mutants

// openpgp are the guards of backups that are encrypted to OpenPGP keys.
var openpgp = []row{
	{
		"nothing counts before the end of a message", "backup/read.go",
		"io.Copy(io.Discard, r.plain)", "io.Copy(io.Discard, strings.NewReader(\"\"))",
		"an OpenPGP message that was changed is taken for what was written", "backup", "TestOpenPGPDamaged",
	}, {
		"a message is encrypted", "backup/openpgp_message.go",
		"case !message.IsEncrypted:", "case false && !message.IsEncrypted:",
		"a backup in clear is taken", "backup", "TestOpenPGPFromGPG",
	}, {
		"nothing compressed is unpacked", "backup/openpgp.go",
		"MaxDecompressedMessageSize: new(int64)}", "MaxDecompressedMessageSize: nil}",
		"a few MiB that anybody has encrypted to a public key fill the disk", "backup", "TestOpenPGPFromGPG",
	}, {
		"why a message could not be read is told", "backup/openpgp_message.go",
		"err = b.file.err", "_ = b.file.err",
		"a disk that fails, or an operator who breaks off, makes a good backup be called damaged", "backup", "TestOpenPGPBrokenOff",
	}, {
		"a message is written in small parts", "backup/openpgp_message.go",
		"return parts{literal}, err", "return literal, err",
		"memory is filled by a backup", "backup", "TestOpenPGPStreams",
	}, {
		"a message is encrypted with AES-256", "backup/openpgp_message.go",
		"const messageCipher = packet.CipherAES256", "const messageCipher = packet.CipherAES128",
		"what a key prefers, or a slip, makes every backup weaker", "backup", "TestOpenPGPCipher|TestOpenPGPMessage",
	}, {
		"a key is named by all of its fingerprint", "backup/openpgp.go",
		" || len(digits) != whole && len(digits) != longer:", ":",
		"a key id is taken, and anybody can make a key that fits one", "backup", "TestOpenPGPRecipientsRefused",
	}, {
		"a secret key lies on no host", "backup/openpgp.go",
		"case secret:", "case secret && false:",
		"the key that opens the backups lies beside them", "backup", "TestOpenPGPRecipientsRefused",
	}, {
		"a key is there once", "backup/openpgp.go",
		"if seen[fingerprint] {", "if false && seen[fingerprint] {",
		"a backup is encrypted to a key that was revoked, for an older export of it was found first", "backup", "TestOpenPGPRecipientsRefused",
	}, {
		"what certifies a key is strong", "backup/openpgp.go",
		"MinRSABits: fewestBits,", "MinRSABits: 1024,",
		"a backup is encrypted to a part that somebody else has put on a weak key", "backup", "TestOpenPGPRecipientsRefused",
	}, {
		"what a backup is encrypted to is strong", "backup/openpgp.go",
		"weak = unknown != nil || bits < fewestBits", "weak = unknown != nil || bits < 1024",
		"a backup is encrypted to a weak key of a kind that the library does not measure", "backup", "TestOpenPGPWeakPart",
	}, {
		"a key ends when nothing of it encrypts", "backup/openpgp.go",
		"problem != \"\" {\n\t\t\t\treturn end.UTC()", "true || problem != \"\" {\n\t\t\t\treturn end.UTC()",
		"a warning comes for what another part takes over from", "backup", "TestOpenPGPExpires",
	}, {
		"recipients are of one kind", "backup/recipients.go",
		"} else if recipient.kind != first {", "} else if false && recipient.kind != first {",
		"half of the recipients can not read a backup", "backup", "TestOpenPGPRecipientsRefused|TestParseRecipients",
	}, {
		"OpenPGP is left alone where FIPS 140 is enforced", "backup/recipients.go",
		"if checkCiphers() != nil {", "if false && checkCiphers() != nil {",
		"the daemon ends as soon as it looks at its recipients", "backup", "TestCiphers",
	},
}
