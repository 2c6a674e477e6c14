package rest

import (
	"encoding/json"
	"strconv"

	"keytrustee/kms"
)

// innerVersion is the version's name inside an EncryptedKeyVersion.
const innerVersion = "EEK"

// eekJSON is an EncryptedKeyVersion on the wire.
type eekJSON struct {
	Encrypted versionJSON `json:"encryptedKeyVersion"`
	Version   string      `json:"versionName"`
	IV        string      `json:"iv"`
}

func toEEK(e kms.EncryptedKeyVersion) eekJSON {
	material := encodeBase64(e.EEK)
	return eekJSON{
		Encrypted: versionJSON{Material: &material, Name: string(e.Key), Version: innerVersion},
		Version:   string(e.Version),
		IV:        encodeBase64(e.IV),
	}
}

func toEEKs(es []kms.EncryptedKeyVersion) []eekJSON {
	all := make([]eekJSON, len(es))
	for i, e := range es {
		all[i] = toEEK(e)
	}
	return all
}

func (x *exchange) generateEEK() (result, error) {
	if _, err := x.oneOf("eek_op", "generate"); err != nil {
		return result{}, err
	}
	n := 1
	if text, _ := x.first("num_keys"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			return result{}, parameter("num_keys", "must be a whole number")
		}
	}
	es, err := x.Service.GenerateEEK(x.ctx, x.principal, x.key(), n)
	return result{body: toEEKs(es)}, err
}

func (x *exchange) decryptOrReencryptEEK() (result, error) {
	op, err := x.oneOf("eek_op", "decrypt", "reencrypt")
	if err != nil {
		return result{}, err
	}
	o, err := x.object()
	if err != nil {
		return result{}, err
	}
	e := kms.EncryptedKeyVersion{Version: kms.VersionName(x.name)}
	name, err := o.text("name")
	if err != nil {
		return result{}, err
	}
	if name != nil {
		e.Key = kms.KeyName(*name)
	}
	if e.IV, err = o.bytes("iv"); err != nil {
		return result{}, err
	}
	if e.EEK, err = o.bytes("material"); err != nil {
		return result{}, err
	}
	if op == "decrypt" {
		v, err := x.Service.DecryptEEK(x.ctx, x.principal, e)
		return result{body: toVersion(v)}, err
	}
	again, err := x.Service.ReencryptEEK(x.ctx, x.principal, e)
	return result{body: toEEK(again)}, err
}

func (x *exchange) reencryptEEKs() (result, error) {
	var items []json.RawMessage
	if err := x.decodeJSON(&items); err != nil {
		return result{}, err
	}
	if items == nil {
		return result{}, &kms.InvalidError{Field: "body", Reason: "is null; an array is expected"}
	}
	es := make([]kms.EncryptedKeyVersion, len(items))
	for i, item := range items {
		var err error
		if es[i], err = parseEEK(item); err != nil {
			return result{}, err
		}
		es[i].Key = x.key()
	}
	again, err := x.Service.ReencryptEEKs(x.ctx, x.principal, x.key(), es)
	return result{body: toEEKs(again)}, err
}

// parseEEK reads an EncryptedKeyVersion but its key: the name inside is null in what stock clients send.
func parseEEK(raw json.RawMessage) (e kms.EncryptedKeyVersion, err error) {
	outer, err := parseObject(raw, "item of the array")
	if err != nil {
		return e, err
	}
	version, err := outer.required("versionName")
	if err != nil {
		return e, err
	}
	if err := checkText("versionName", version); err != nil {
		return e, err
	}
	e.Version = kms.VersionName(version)
	if e.IV, err = outer.bytes("iv"); err != nil {
		return e, err
	}
	if !outer.has("encryptedKeyVersion") {
		return e, parameter("encryptedKeyVersion", "cannot be null")
	}
	inner, err := parseObject(outer["encryptedKeyVersion"], "encryptedKeyVersion")
	if err != nil {
		return e, err
	}
	name, err := inner.required("versionName")
	if err != nil {
		return e, err
	}
	if name != innerVersion {
		return e, &kms.InvalidError{Field: "encryptedKey version name",
			Reason: "must be '" + innerVersion + "', but found " + strconv.Quote(name)}
	}
	e.EEK, err = inner.bytes("material")
	return e, err
}

func parseObject(raw json.RawMessage, field string) (object, error) {
	var o object
	if json.Unmarshal(raw, &o) != nil || o == nil {
		return nil, &kms.InvalidError{Field: field, Reason: "must be an object"}
	}
	return o, nil
}
