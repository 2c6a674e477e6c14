package rest

import (
	"errors"
	"net/http"
	"net/url"

	"keytrustee/kms"
)

// versionJSON is a KeyVersion on the wire. Material is null where the caller may not have it.
type versionJSON struct {
	Material *string `json:"material"`
	Name     string  `json:"name"`
	Version  string  `json:"versionName"`
}

func toVersion(v kms.KeyVersion) versionJSON {
	j := versionJSON{Name: string(v.Key), Version: string(v.Name)}
	if v.Material.Present() {
		text := encodeBase64(v.Material.Bytes())
		j.Material = &text
	}
	return j
}

// metadataJSON is a Metadata on the wire. The client casts created to a Long and the other numbers to an Integer.
type metadataJSON struct {
	Name        string            `json:"name"`
	Cipher      string            `json:"cipher"`
	Length      int               `json:"length"`
	Description *string           `json:"description"`
	Attributes  map[string]string `json:"attributes"`
	Created     int64             `json:"created"`
	Versions    int               `json:"versions"`
}

func toMetadata(m kms.Metadata) metadataJSON {
	attributes := m.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	return metadataJSON{Name: string(m.Name), Cipher: m.Cipher, Length: m.BitLength, Description: m.Description,
		Attributes: attributes, Created: m.Created.UnixMilli(), Versions: m.Versions}
}

// none is what a read of something that does not exist is answered with; the client makes null of it.
var none = struct{}{}

func (x *exchange) createKey() (result, error) {
	request, err := x.createRequest()
	if err != nil {
		return result{}, err
	}
	call := x.call(request.Name, request.Cipher, request.BitLength, request.Material.Present(),
		request.Material.Bytes(), request.Description, request.Attributes)
	v, hand, err := x.Service.CreateKey(x.ctx, call, request)
	if err != nil {
		return result{}, err
	}
	location := x.ContextPath + "/v1/key/" + url.PathEscape(string(v.Key))
	return result{status: http.StatusCreated, body: toVersion(v), hand: hand, location: location}, nil
}

// createRequest decodes the body of a create.
func (x *exchange) createRequest() (r kms.CreateRequest, err error) {
	o, err := x.object()
	if err != nil {
		return r, err
	}
	if r.Name, err = o.required("name"); err != nil {
		return r, err
	}
	if r.Name == "" {
		return r, parameter("name", "cannot be empty")
	}
	cipher, err := o.text("cipher")
	if err != nil {
		return r, err
	}
	if cipher != nil {
		if r.Cipher = *cipher; r.Cipher == "" {
			return r, parameter("cipher", "is empty; leave it out for AES/CTR/NoPadding")
		}
	}
	if r.BitLength, err = o.integer("length"); err != nil {
		return r, err
	}
	if r.Material, err = o.material(); err != nil {
		return r, err
	}
	if r.Description, err = o.text("description"); err != nil {
		return r, err
	}
	r.Attributes, err = o.texts("attributes")
	return r, err
}

func (x *exchange) rollNewVersion() (result, error) {
	o, err := x.object()
	if err != nil {
		return result{}, err
	}
	m, err := o.material()
	if err != nil {
		return result{}, err
	}
	v, hand, err := x.Service.RollNewVersion(x.ctx, x.call(m.Present(), m.Bytes()), x.key(), m)
	if err != nil {
		return result{}, err
	}
	return result{body: toVersion(v), hand: hand}, nil
}

func (x *exchange) deleteKey() (result, error) {
	hand, err := x.Service.DeleteKey(x.ctx, x.call(), x.key())
	return result{hand: hand}, err
}

// trustee is undelete and purge, as Cloudera's Key Trustee KMS spells them.
func (x *exchange) trustee() (result, error) {
	kind, err := x.trusteeKind()
	if err != nil {
		return result{}, err
	}
	act := x.Service.UndeleteKey
	if kind == kms.Purged {
		act = x.Service.PurgeKey
	}
	hand, err := act(x.ctx, x.call(), x.key())
	return result{hand: hand}, err
}

// trusteeKind reads trusteeOp, from the query or a form.
func (x *exchange) trusteeKind() (kms.ChangeKind, error) {
	if _, ok := x.first("trusteeOp"); !ok && x.mediaType() == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(x.body))
		if err != nil {
			return "", &kms.InvalidError{Field: "body", Reason: "is no form: " + err.Error()}
		}
		x.query["trusteeOp"] = form["trusteeOp"]
		if len(form["trusteeOp"]) == 0 {
			delete(x.query, "trusteeOp")
		}
	}
	op, err := x.oneOf("trusteeOp", "undelete", "purge")
	if op == "purge" {
		return kms.Purged, err
	}
	return kms.Undeleted, err
}

// invalidateCache has done its work in every state of the host: a client that is told otherwise rolls the key again. Only
// who may not ask is refused.
func (x *exchange) invalidateCache() (result, error) {
	err := x.Service.InvalidateCache(x.ctx, x.call(), x.key())
	if err != nil && !errors.Is(err, kms.ErrDenied) && !isA[*kms.InvalidError](err) {
		x.Logger.Warn("invalidating a cache", "key", x.key().Quoted(), "error", err)
		err = nil
	}
	return result{}, err
}

func (x *exchange) keyNames() (result, error) {
	names, err := x.Service.KeyNames(x.ctx, x.principal)
	if names == nil {
		names = []kms.KeyName{}
	}
	return result{body: names}, err
}

func (x *exchange) metadata() (result, error) {
	m, err := x.Service.Metadata(x.ctx, x.principal, x.key())
	return x.oneOrNone(toMetadata(m), err)
}

func (x *exchange) keysMetadata() (result, error) {
	names := make([]kms.KeyName, 0, len(x.query["key"]))
	for _, name := range x.query["key"] {
		if err := checkText("key", name); err != nil && name != "" {
			return result{}, err
		}
		names = append(names, kms.KeyName(name))
	}
	found, err := x.Service.KeysMetadata(x.ctx, x.principal, names)
	if err != nil {
		return result{}, err
	}
	all := make([]any, len(found))
	for i, m := range found {
		all[i] = none
		if m != nil {
			all[i] = toMetadata(*m)
		}
	}
	return result{body: all}, nil
}

func (x *exchange) currentKey() (result, error) {
	v, err := x.Service.CurrentKey(x.ctx, x.principal, x.key())
	return x.oneOrNone(toVersion(v), err)
}

func (x *exchange) keyVersion() (result, error) {
	v, err := x.Service.KeyVersion(x.ctx, x.principal, kms.VersionName(x.name))
	return x.oneOrNone(toVersion(v), err)
}

func (x *exchange) keyVersions() (result, error) {
	versions, err := x.Service.KeyVersions(x.ctx, x.principal, x.key())
	if err != nil && !errors.Is(err, kms.ErrKeyNotFound) {
		return result{}, err
	}
	all := make([]versionJSON, len(versions))
	for i, v := range versions {
		all[i] = toVersion(v)
	}
	return result{body: all}, nil
}

// oneOrNone answers a read: what is certain not to exist is {}.
func (x *exchange) oneOrNone(body any, err error) (result, error) {
	if errors.Is(err, kms.ErrKeyNotFound) || errors.Is(err, kms.ErrVersionNotFound) {
		return result{body: none}, nil
	}
	return result{body: body}, err
}
