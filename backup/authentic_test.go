package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keytrustee/postgres/pgtest"
)

// TestOrigin: whoever knows the recipients can write a backup that is whole. What a host of the cluster has made shows it by its
// authentication, of all that is in it; without one the SHA-256 has to be given. Whatever else there is is refused, and nothing is left.
func TestOrigin(t *testing.T) {
	key := newIdentity(t)
	ours := smallBackup(t, smallManifest, key.Recipient())
	another := smallManifest
	another.Host = "kt02"
	bare := sealedBackupBy(t, nil, smallManifest, sealAge(key.Recipient()))
	forged := sealedBackupBy(t, testKey("another's"), smallManifest, sealAge(key.Recipient()))
	sumOf := func(text []byte) string { sum := sha256.Sum256(text); return hex.EncodeToString(sum[:]) }
	member := func(text []byte, name string) (found []byte) {
		rewritten(t, text, key, func(n string, content []byte) []byte {
			if n == name {
				found = bytes.Clone(content)
			}
			return content
		})
		return found
	}
	with := func(changes map[string]func([]byte) []byte) []byte {
		return rewritten(t, ours, key, func(name string, content []byte) []byte {
			if change := changes[name]; change != nil {
				return change(content)
			}
			return content
		})
	}
	become := func(content []byte) func([]byte) []byte { return func([]byte) []byte { return content } }
	replaced := func(old, new string) func([]byte) []byte {
		return func(content []byte) []byte {
			if !bytes.Contains(content, []byte(old)) {
				t.Fatalf("%s has no %s", content, old)
			}
			return bytes.Replace(content, []byte(old), []byte(new), 1)
		}
	}
	other := member(smallBackup(t, another, key.Recipient()), authenticationMember)

	// The whole of a stream and its sum, in the trailer: all that was held before fits.
	globals := []byte("create role eve superuser;\n")
	trailer := func(content []byte) []byte {
		var tr Trailer
		if err := json.Unmarshal(content, &tr); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(tr.Streams, func(s Stream) bool { return s.Name == globalsStream })
		tr.Streams[i].Size, tr.Streams[i].SHA256 = int64(len(globals)), sumOf(globals)
		text, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}

	const trusted, foreign, unauthenticated = "trusted", "foreign", "unauthenticated"
	for name, row := range map[string]struct {
		text   []byte
		sha256 string
		want   string
	}{
		"a host's":                               {ours, "", trusted},
		"a host's, and its sum":                  {ours, sumOf(ours), trusted},
		"a host's, and another sum":              {ours, sumOf(bare), foreign},
		"nobody's":                               {bare, "", unauthenticated},
		"nobody's, and its sum":                  {bare, sumOf(bare), trusted},
		"nobody's, and another sum":              {bare, sumOf(ours), foreign},
		"with another key":                       {forged, "", foreign},
		"with another key, and its sum":          {forged, sumOf(forged), foreign},
		"another manifest":                       {with(map[string]func([]byte) []byte{manifestMember: replaced(`"kt01"`, `"kt02"`)}), "", foreign},
		"another trailer":                        {with(map[string]func([]byte) []byte{trailerMember: replaced(`"keys": 1`, `"keys": 2`)}), "", foreign},
		"another stream, and its sum":            {with(map[string]func([]byte) []byte{memberName(globalsStream, 0): become(globals), trailerMember: trailer}), "", foreign},
		"the authentication of another one":      {with(map[string]func([]byte) []byte{authenticationMember: become(other)}), "", foreign},
		"an authentication of nothing":           {with(map[string]func([]byte) []byte{authenticationMember: become([]byte("{}"))}), "", foreign},
		"an authentication that is none":         {with(map[string]func([]byte) []byte{authenticationMember: become([]byte("x"))}), "", foreign},
		"an authentication without anything":     {with(map[string]func([]byte) []byte{authenticationMember: become(nil)}), "", foreign},
		"half an authentication, and its length": {with(map[string]func([]byte) []byte{authenticationMember: become([]byte(`{"hmac_sha256": "00"}`))}), "", foreign},
	} {
		u, _, err := unpackTextOf(t, Origin{Key: clusterKey, SHA256: row.sha256}, row.text, key)
		got := trusted
		if f, ok := errors.AsType[*ForeignError](err); ok && f.Name == "x.ktb" && f.Hint() != "" {
			got = foreign
		} else if f, ok := errors.AsType[*UnauthenticatedError](err); ok && f.Name == "x.ktb" && f.Hint() != "" && !bytes.Contains([]byte(err.Error()+f.Hint()), []byte(sumOf(row.text))) {
			got = unauthenticated
		} else if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
		if authenticated := got == trusted && &row.text[0] == &ours[0]; u.Authenticated != authenticated {
			t.Errorf("%s: it is called authenticated: %v", name, u.Authenticated)
		}
	}
}

// fickle is an Authenticator that is another one each time.
type fickle struct{ n int }

func (f *fickle) MAC(message []byte) []byte {
	f.n++
	return testKey(strconv.Itoa(f.n)).MAC(message)
}

// TestCreateProvesItsAuthentication: a backup that would not be trusted is not published; one of a host that has no key of backups yet
// is, and its receipt says so.
func TestCreateProvesItsAuthentication(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	if r := s.mustCreate(t); !r.Authenticated {
		t.Errorf("with a key: %+v", r)
	}
	s.By = nil
	if r := s.mustCreate(t); r.Authenticated {
		t.Errorf("without one: %+v", r)
	}
	s.By = new(fickle)
	_, err := Create(t.Context(), s.Options)
	if unproven, ok := errors.AsType[*UnprovenError](err); !ok || !strings.Contains(unproven.Error(), "its authentication is not what was written") {
		t.Errorf("error %v", err)
	}
	if c, err := List(s.Directory); err != nil || len(c.Backups) != 2 || len(c.LeftOut) != 0 {
		t.Errorf("listed are %+v, %v", c, err)
	}
}
