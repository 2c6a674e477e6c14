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
	var items eekItems
	if err := x.decodeJSON(&items); err != nil {
		return result{}, err
	}
	if items.fault != nil {
		return result{}, items.fault
	}
	if items.es == nil {
		return result{}, &kms.InvalidError{Field: "body", Reason: "is null; an array is expected"}
	}
	for i := range items.es {
		items.es[i].Key = x.key()
	}
	again, err := x.Service.ReencryptEEKs(x.ctx, x.principal, x.key(), items.es)
	return result{body: toEEKs(again)}, err
}

// eekItems takes an array item by item: as raw texts all of them together would be many times as large as the body.
type eekItems struct {
	es    []kms.EncryptedKeyVersion
	fault error // the first item's that is wrong
}

// UnmarshalJSON reads what encoding/json has found to be one JSON value.
func (b *eekItems) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	d, err := within(text, '[')
	if err != nil {
		return err
	}
	b.es = []kms.EncryptedKeyVersion{}
	for d.More() {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return err
		}
		e, err := parseEEK(item)
		if err != nil {
			b.fault = err
			return nil
		}
		b.es = append(b.es, e)
	}
	return nil
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
