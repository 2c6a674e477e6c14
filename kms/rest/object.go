package rest

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"keytrustee/kms"
)

// object is a JSON object of which members are taken one by one: their names are exact, the last of a name counts, null is
// as good as absent unless said otherwise. It keeps those members only that some request has: all others together would be
// many times as large as the body.
type object map[string]json.RawMessage

var members = []string{"name", "cipher", "length", "material", "description", "attributes", "iv", "versionName", "encryptedKeyVersion"}

// UnmarshalJSON reads what encoding/json has found to be one JSON value.
func (o *object) UnmarshalJSON(text []byte) error {
	*o = nil
	if string(text) == "null" {
		return nil
	}
	d, err := within(text, '{')
	if err != nil {
		return err
	}
	*o = object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if name, ok := name.(string); ok && slices.Contains(members, name) {
			(*o)[name] = value
		}
	}
	return nil
}

// within returns a Decoder of what is in an array or an object, whichever is wanted.
func within(text []byte, want json.Delim) (*json.Decoder, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	first, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch first := first.(type) {
	case json.Delim:
		if first == want {
			return d, nil
		}
		return nil, &json.UnmarshalTypeError{Value: map[json.Delim]string{'{': "object", '[': "array"}[first]}
	case string:
		return nil, &json.UnmarshalTypeError{Value: "string"}
	case bool:
		return nil, &json.UnmarshalTypeError{Value: "bool"}
	default:
		return nil, &json.UnmarshalTypeError{Value: "number"}
	}
}

// object reads the body as a JSON object.
func (x *exchange) object() (object, error) {
	var o object
	if err := x.decodeJSON(&o); err != nil {
		return nil, err
	}
	if o == nil {
		return nil, &kms.InvalidError{Field: "body", Reason: "is null; an object is expected"}
	}
	return o, nil
}

func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// text returns a string member; nil when it is absent.
func (o object) text(name string) (*string, error) {
	if !o.has(name) {
		return nil, nil
	}
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return nil, parameter(name, "must be a string")
	}
	return &s, nil
}

// required returns a string member that may not be absent.
func (o object) required(name string) (string, error) {
	s, err := o.text(name)
	if err != nil {
		return "", err
	}
	if s == nil {
		return "", parameter(name, "cannot be null")
	}
	return *s, nil
}

// integer returns a member that is a whole number of 32 bits without a fraction or an exponent; 0 when it is absent.
func (o object) integer(name string) (int, error) {
	raw, ok := o[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, parameter(name, "must be a whole number")
	}
	return int(n), nil
}

// texts returns a member that maps strings to strings; nil when it is absent.
func (o object) texts(name string) (map[string]string, error) {
	if !o.has(name) {
		return nil, nil
	}
	var members map[string]*string
	if json.Unmarshal(o[name], &members) != nil {
		return nil, parameter(name, "must be an object whose members are strings")
	}
	texts := make(map[string]string, len(members))
	for k, v := range members {
		if v == nil {
			return nil, parameter(name, "has the member "+strconv.Quote(k)+", which is null")
		}
		texts[k] = *v
	}
	return texts, nil
}

// bytes returns a member that is base64 and may not be absent.
func (o object) bytes(name string) ([]byte, error) {
	s, err := o.required(name)
	if err != nil {
		return nil, err
	}
	return decodeBase64(s), nil
}

// material returns the member of that name as key material; absent when there is none.
func (o object) material() (kms.Material, error) {
	s, err := o.text("material")
	if s == nil || err != nil {
		return kms.Material{}, err
	}
	return kms.NewMaterial(decodeBase64(*s)), nil
}

// decodeBase64 decodes as Apache commons-codec does, which every Hadoop client writes for: both alphabets, what is in
// neither is skipped, the first = ends it, bits that make no byte are dropped.
func decodeBase64(s string) []byte {
	out := make([]byte, 0, len(s)*3/4)
	var bits uint32
	var n int
	for i := 0; i < len(s) && s[i] != '='; i++ {
		v := sextet(s[i])
		if v < 0 {
			continue
		}
		bits = bits<<6 | uint32(v)
		if n += 6; n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
		}
	}
	return out
}

func sextet(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return -1
}
