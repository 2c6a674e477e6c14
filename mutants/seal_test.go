package mutants

// seal are the guards of what is sealed, and of the proofs that it can be opened.
var seal = []row{
	{
		"what is sealed is encrypted", "kms/seal/kek.go",
		"	return gcm(key).Seal(nil, nil, plaintext, bound)\n}\n\n// decrypt returns what encrypt was given, or an error if anything differs.\nfunc decrypt(key, box, bound []byte) ([]byte, error) { return gcm(key).Open(nil, nil, box, bound) }",
		"	return append(append(make([]byte, 12), plaintext...), make([]byte, 16)...)\n}\n\nfunc decrypt(key, box, bound []byte) ([]byte, error) { return append([]byte{}, box[12:len(box)-16]...), nil }",
		"keys lie on the disks in clear", "replication/pairtest", "TestForgetful",
	}, {
		"sealed for its KEK", "kms/seal/version.go",
		"bind(\"keytrustee version 1\", cluster, kekID, v.KeyID.String(), ", "bind(\"keytrustee version 1\", cluster, v.KeyID.String(), ",
		"a version opens under another key-encryption key's name", "kms/seal", "TestWhatAVersionIsBoundTo",
	}, {
		"sealed for its cluster", "kms/seal/version.go",
		"bind(\"keytrustee version 1\", cluster, kekID, v.KeyID.String(), ", "bind(\"keytrustee version 1\", kekID, v.KeyID.String(), ",
		"a version of another cluster opens", "kms/seal", "TestWhatAVersionIsBoundTo",
	}, {
		"sealed for its key", "kms/seal/version.go",
		"cluster, kekID, v.KeyID.String(), v.ID.String(), ", "cluster, kekID, v.ID.String(), ",
		"one key's version is served as another's", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"sealed for its version", "kms/seal/version.go",
		"cluster, kekID, v.KeyID.String(), v.ID.String(), ", "cluster, kekID, v.KeyID.String(), ",
		"one version is served as another", "kms/seal", "TestWhatAVersionIsBoundTo",
	}, {
		"sealed for its key's name", "kms/seal/version.go",
		"v.ID.String(), string(v.Key), string(v.Name),", "v.ID.String(), string(v.Name),",
		"one name's key is served under another", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"sealed for its version's name", "kms/seal/version.go",
		"v.ID.String(), string(v.Key), string(v.Name),", "v.ID.String(), string(v.Key),",
		"an old version is served as the current one", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"sealed for its number", "kms/seal/version.go",
		"strconv.Itoa(v.Ordinal), v.Cipher)", "strconv.Itoa(0), v.Cipher)",
		"an old version is served as the current one", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"sealed for its cipher", "kms/seal/version.go",
		"strconv.Itoa(v.Ordinal), v.Cipher)", "strconv.Itoa(v.Ordinal))",
		"a key is used with another cipher", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"a key of its own for each version", "kms/seal/version.go",
		"return k.derive(\"version 1 \" + version.String())", "return k.derive(\"version 1 \")",
		"all versions are sealed under one key, whose nonces run out", "kms/seal", "TestWhatAVersionIsBoundTo",
	}, {
		"the check value is checked", "kms/seal/version.go",
		"if !hmac.Equal(v.Check, checkValue(key, v.ID, material)) {", "if !hmac.Equal(v.Check, checkValue(key, v.ID, material)) && false {",
		"material that is not what was sealed is served", "kms/seal", "TestEveryAlterationIsSeen",
	}, {
		"a box opens under its own name", "kms/seal/box.go",
		"func boxKey(k *kek, name string) []byte { return k.derive(\"box 1 \" + name) }", "func boxKey(k *kek, name string) []byte { return k.derive(\"box 1\") }",
		"all boxes are sealed under one key", "kms/seal", "TestWhatAVersionIsBoundTo",
	}, {
		"a wrap is made by a host of the cluster", "kms/seal/wrap.go",
		"\tif err := w.verify(trust); err != nil {\n\t\treturn nil, err\n\t}\n", "",
		"a stranger's key-encryption key is taken in", "kms/seal", "TestWhoMaySign",
	}, {
		"a wrap's signature", "kms/seal/wrap.go",
		"if err := cert.CheckSignature(algorithm, w.signed(), w.Signature); err != nil {", "if err := cert.CheckSignature(algorithm, w.signed(), w.Signature); err != nil && false {",
		"a stranger's key-encryption key is taken in", "kms/seal", "TestWrapIsBound|TestWhoMaySign",
	}, {
		"a wrap's signer is of the authority", "kms/seal/wrap.go",
		"}); err != nil {\n\t\treturn fail(err)\n\t}\n\talgorithm", "}); err != nil && false {\n\t\treturn fail(err)\n\t}\n\talgorithm",
		"a stranger's key-encryption key is taken in", "kms/seal", "TestWhoMaySign",
	}, {
		"a wrap's signer is a node", "kms/seal/wrap.go",
		"KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},", "KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},",
		"who has a host's public certificate makes key-encryption keys", "kms/seal", "TestWhoMaySign",
	}, {
		"a wrap's signer was valid then", "kms/seal/wrap.go",
		"CurrentTime: w.Signed,", "CurrentTime: cert.NotBefore,",
		"a certificate that has expired makes key-encryption keys", "kms/seal", "TestWhoMaySign",
	}, {
		"a wrap is bound to its cluster", "kms/seal/wrap.go",
		"bind(\"keytrustee wrap 1\", w.Cluster, w.KEK, ", "bind(\"keytrustee wrap 1\", w.KEK, ",
		"another cluster's key-encryption key opens as this one's", "kms/seal", "TestWrapIsBound",
	}, {
		"a wrap is bound to its KEK", "kms/seal/wrap.go",
		"bind(\"keytrustee wrap 1\", w.Cluster, w.KEK, ", "bind(\"keytrustee wrap 1\", w.Cluster, ",
		"a key-encryption key opens under another one's name", "kms/seal", "TestWrapIsBound",
	}, {
		"a wrap is bound to when its KEK was made", "kms/seal/wrap.go",
		"w.KEK, w.Made.UTC().Format(time.RFC3339Nano), w.Recipient)", "w.KEK, w.Recipient)",
		"an old key-encryption key passes for the newest, and seals again", "kms/seal", "TestWrapIsBound",
	}, {
		"a wrap is bound to its recipient", "kms/seal/wrap.go",
		"w.KEK, w.Made.UTC().Format(time.RFC3339Nano), w.Recipient)", "w.KEK, w.Made.UTC().Format(time.RFC3339Nano))",
		"a wrap opens that names another root key", "kms/seal", "TestWrapIsBound",
	}, {
		"a wrap's file name is digits", "kms/seal/wrap.go",
		"w.Cluster == \"\" || !isHex(w.KEK, 16) || !isHex(w.Recipient, 32)", "w.Cluster == \"\"",
		"a wrap from the other host is written outside the confdir", "kms/seal", "TestWriteWrapsStaysInTheConfdir",
	}, {
		"the recovery key opens everything", "kms/seal/recovered.go",
		"\tif len(without) == 0 {\n", "\tif true {\n",
		"a pair is rebuilt with the recovery key, and some of its keys do not open", "kms/seal", "TestLoadWithRecoveryRefuses",
	}, {
		"the root's proof is from the disk", "kms/seal/prove.go",
		"cluster, fresh, err := k.unwrap(ctx)\n\tif err != nil {\n\t\treturn nil, err\n\t}", "cluster, fresh := k.cluster, k.keks\n\terr := ctx.Err()\n\tif err != nil {\n\t\treturn nil, err\n\t}",
		"a root key that is gone is noticed at the next restart, when nothing opens", "kms/seal", "TestRootProofIsFromDisk",
	}, {
		"the root's proof is bound to its question", "kms/seal/prove.go",
		"bind(cluster, id, string(challenge))", "bind(cluster, id)",
		"an old proof is good again", "kms/seal", "TestProofs",
	}, {
		"a version's proof is of the material", "kms/seal/prove.go",
		"key.derive(\"prove version 1\", material...)", "key.derive(\"prove version 1\", material[:0]...)",
		"a host proves what it has not opened", "kms/seal", "TestProofs",
	}, {
		"a version's proof is bound", "kms/seal/prove.go",
		"bind(cluster, key.id, v.ID.String(), string(binding))", "bind(cluster, key.id, v.ID.String())",
		"an old proof is good again", "kms/seal", "TestProofs",
	}, {
		"a version's proof opens it", "kms/seal/prove.go",
		"material, err := openVersion(key, cluster, v)", "material, err := v.Check, error(nil)",
		"a host proves what it can not open", "kms/seal", "TestProofs|TestEveryAlterationIsSeen",
	},
}
