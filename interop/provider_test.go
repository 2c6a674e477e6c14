package interop_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keytrustee/interop"
	"keytrustee/replication/pairtest"
)

// TestProvider drives Hadoop's KeyProvider in one JVM, through both hosts' names and through each host alone.
func TestProvider(t *testing.T) {
	pair := pairtest.New(t)
	driver := newDriver(t, newClient(t, pair))
	w := &walk{
		t: t, driver: driver,
		both: pair.KMSURI, active: uri(pair.Active), passive: uri(pair.Passive),
		sensitive: pairtest.NewKey(), plain: pairtest.NewKey(), gone: pairtest.NewKey(),
	}
	w.createAndRead()
	w.rollAndEEKs()
	w.deleteKey()
}

func uri(n *pairtest.Node) string {
	return strings.Replace(n.URL, "https://", "kms://https@", 1) + "/kms"
}

// newClient returns the stock client, configured for the pair.
func newClient(t *testing.T, pair *pairtest.Pair) *interop.Client {
	t.Helper()
	toolkit, err := interop.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := toolkit.NewClient(t.Context(), t.TempDir(), pair.KMSURI, pair.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// walk is one JVM, and the three ways in which a site may name the pair.
type walk struct {
	t                      *testing.T
	driver                 *interop.Driver
	both, active, passive  string
	sensitive, plain, gone string // names of keys, new in each run
}

func (w *walk) do(uri string, call interop.Call, value any) {
	w.t.Helper()
	call.URI, call.User = uri, "hdfs"
	if err := w.driver.Do(call, value); err != nil {
		w.t.Fatalf("%s %s: %v", call.Op, call.Name, err)
	}
}

func (w *walk) version(uri string, call interop.Call) (v interop.KeyVersion) {
	w.t.Helper()
	w.do(uri, call, &v)
	return v
}

func (w *walk) same(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Fatalf("%s differs (-want +got):\n%s", what, diff)
	}
}

// refused checks that the provider throws class with a message that contains text.
func (w *walk) refused(uri string, call interop.Call, class, text string) {
	w.t.Helper()
	call.URI, call.User = uri, "hdfs"
	err := w.driver.Do(call, nil)
	java := (*interop.JavaError)(nil)
	if !errors.As(err, &java) || java.Class != class || !strings.Contains(java.Message, text) {
		w.t.Fatalf("%s %s: %v; want %s with %q", call.Op, call.Name, err, class, text)
	}
}

// everyHost runs check with the URI of each host alone.
func (w *walk) everyHost(check func(uri string)) {
	for _, uri := range []string{w.active, w.passive} {
		check(uri)
	}
}

func (w *walk) createAndRead() {
	attributes := map[string]string{"key.acl.name": w.sensitive, "owner": "Zoë"}
	first := w.version(w.both, interop.Call{Op: "create", Name: w.sensitive, Cipher: "AES/CTR/NoPadding", Bits: 256,
		Description: "salaries", Attributes: attributes})
	if first.VersionName != w.sensitive+"@0" || len(first.Material) != 32 {
		w.t.Fatalf("created %s with %d bytes", first.VersionName, len(first.Material))
	}
	material := make([]byte, 16)
	rand.Read(material)
	given := w.version(w.both, interop.Call{Op: "create", Name: w.plain, Bits: 128, Material: material})
	w.same("material that was given", given.Material, material)
	w.everyHost(func(uri string) {
		var metadata interop.Metadata
		w.do(uri, interop.Call{Op: "metadata", Name: w.sensitive}, &metadata)
		if metadata.Created == 0 {
			w.t.Fatal("no time of creation")
		}
		metadata.Created = 0
		w.same("metadata", metadata, interop.Metadata{Cipher: "AES/CTR/NoPadding", Bits: 256, Description: "salaries",
			Attributes: attributes, Versions: 1})
		var many []interop.Metadata
		w.do(uri, interop.Call{Op: "keysMetadata", Names: []string{w.sensitive, w.plain}}, &many)
		if len(many) != 2 || many[0].Bits != 256 || many[1].Bits != 128 {
			w.t.Fatalf("metadata of two keys: %+v", many)
		}
		w.same("version 0", w.version(uri, interop.Call{Op: "version", Name: first.VersionName}), first)
		var names []string
		w.do(uri, interop.Call{Op: "names"}, &names)
		if !slices.Contains(names, w.sensitive) || !slices.Contains(names, w.plain) {
			w.t.Fatalf("names: %q", names)
		}
	})
	w.refused(w.both, interop.Call{Op: "create", Name: w.plain, Bits: 128}, "java.io.IOException", "already exists")
}

func (w *walk) rollAndEEKs() {
	old := w.version(w.both, interop.Call{Op: "current", Name: w.sensitive})
	var before interop.EEK
	w.do(w.active, interop.Call{Op: "generate", Name: w.sensitive}, &before)
	rolled := w.version(w.both, interop.Call{Op: "roll", Name: w.sensitive})
	if rolled.VersionName != w.sensitive+"@1" || bytes.Equal(rolled.Material, old.Material) {
		w.t.Fatalf("rolled to %s", rolled.VersionName)
	}
	w.everyHost(func(uri string) {
		var versions []interop.KeyVersion
		w.do(uri, interop.Call{Op: "versions", Name: w.sensitive}, &versions)
		w.same("versions", versions, []interop.KeyVersion{old, rolled})
		w.same("current version", w.version(uri, interop.Call{Op: "current", Name: w.sensitive}), rolled)
	})
	dek := w.version(w.active, interop.Call{Op: "decrypt", EEK: &before}).Material
	w.everyHost(func(uri string) {
		w.same("DEK made before the roll", w.version(uri, interop.Call{Op: "decrypt", EEK: &before}).Material, dek)

		var after interop.EEK
		w.do(uri, interop.Call{Op: "reencrypt", EEK: &before}, &after)
		batch := []interop.EEK{before, before}
		w.do(uri, interop.Call{Op: "reencryptBatch", EEKs: batch}, &batch)
		for _, eek := range append(batch, after) {
			w.same("version of a re-encrypted EEK", eek.VersionName, rolled.VersionName)
			w.same("re-encrypted DEK", w.version(w.both, interop.Call{Op: "decrypt", EEK: &eek}).Material, dek)
		}

		var fresh interop.EEK
		w.do(w.both, interop.Call{Op: "generate", Name: w.plain}, &fresh)
		w.same("key of an EEK", fresh.VersionName, w.plain+"@0")
		w.same("DEK on this host", w.version(uri, interop.Call{Op: "decrypt", EEK: &fresh}).Material,
			w.version(w.both, interop.Call{Op: "decrypt", EEK: &fresh}).Material)
	})
}

func (w *walk) deleteKey() {
	w.version(w.passive, interop.Call{Op: "create", Name: w.gone, Bits: 256})
	w.do(w.both, interop.Call{Op: "invalidate", Name: w.gone}, nil)
	w.do(w.both, interop.Call{Op: "delete", Name: w.gone}, nil)
	w.everyHost(func(uri string) {
		var metadata *interop.Metadata
		w.do(uri, interop.Call{Op: "metadata", Name: w.gone}, &metadata)
		if metadata != nil {
			w.t.Fatalf("%s is still there: %+v", w.gone, metadata)
		}
	})
}

// newDriver starts a JVM that ends with the test and whose log is the test's.
func newDriver(t *testing.T, client *interop.Client) *interop.Driver {
	t.Helper()
	driver, err := client.StartDriver(context.WithoutCancel(t.Context()), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	return driver
}
