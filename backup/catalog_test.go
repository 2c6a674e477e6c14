package backup

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keytrustee/postgres"
	"keytrustee/postgres/pgtest"
)

// TestVerify: a published backup that is another than it was is found, is listed no more where that shows, and is named.
func TestVerify(t *testing.T) {
	if pgtest.AsUser(t) {
		return
	}
	s := newSite(t)
	r := s.mustCreate(t)
	file, receipt := filepath.Join(s.Directory, r.Name+fileSuffix), filepath.Join(s.Directory, r.Name+receiptSuffix)
	verify := func(name string) error {
		t.Helper()
		_, err := Verify(t.Context(), s.Directory, name, nil)
		return err
	}
	for _, name := range []string{r.Name, r.Name + fileSuffix} {
		if err := verify(name); err != nil {
			t.Error(err)
		}
	}
	damaged := func(what, name, want string) {
		t.Helper()
		damage, ok := errors.AsType[*DamageError](verify(name))
		if !ok || damage.Name != r.Name || damage.Hint() == "" || !strings.Contains(damage.Error(), want) {
			t.Errorf("%s: %v, want %q", what, damage, want)
		}
	}
	leftOut := func(what, want string) {
		t.Helper()
		c := s.lists(t)
		if len(c.LeftOut) != 1 || !strings.Contains(c.LeftOut[0].Why, want) {
			t.Errorf("%s: left out are %v, want %q", what, c.LeftOut, want)
		}
	}

	for _, at := range []int64{0, 100, r.Size / 2, r.Size - 1} {
		pgtest.FlipByte(t, file, at)
		damaged("a flipped bit", r.Name, "the SHA-256 of its")
		s.lists(t, r.Name) // a list reads no backup
		pgtest.FlipByte(t, file, at)
	}
	if err := os.Truncate(file, r.Size-1); err != nil {
		t.Fatal(err)
	}
	damaged("a byte less", r.Name, "bytes, and had")
	leftOut("a byte less", "bytes, and had")
	if err := os.Truncate(file, r.Size); err != nil {
		t.Fatal(err)
	}
	damaged("a byte of nothing", r.Name, "the SHA-256 of its")

	text, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Receipt)) {
		t.Helper()
		var r Receipt
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		changed, err := json.Marshal(r)
		if err != nil || os.WriteFile(receipt, changed, 0o600) != nil {
			t.Fatal(err)
		}
	}
	with(func(r *Receipt) { r.Format = 2 })
	leftOut("a newer version's", "has the format 2, and this version knows 1")
	with(func(r *Receipt) { r.Name = "kt-kt01-e1-20260101T000000Z" })
	leftOut("another one's", `is that of "kt-kt01-e1-20260101T000000Z"`)
	if err := os.WriteFile(receipt, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	leftOut("half a receipt", "its receipt is damaged")
	damaged("half a receipt", r.Name, "its receipt is damaged")
	if err := os.Remove(receipt); err != nil {
		t.Fatal(err)
	}
	leftOut("no receipt", "nothing says that it was verified")
	damaged("no receipt", r.Name, "nothing says that it was verified")

	if err := errors.Join(os.WriteFile(receipt, text, 0o600), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	leftOut("no file", "is not there")
	if err := os.Rename(receipt, filepath.Join(s.Directory, "copy.ktb")); err != nil {
		t.Fatal(err)
	}
	leftOut("another name", "is none that this program gives")
	for _, name := range []string{r.Name, "", "../" + r.Name, "copy", "kt-kt01-e1-20260101T000000Z"} {
		if setup, ok := errors.AsType[*postgres.SetupError](verify(name)); !ok || setup.Hint() == "" {
			t.Errorf("%q: %v", name, verify(name))
		}
	}
}

// TestListOfNothing: no directory is no backup, and one that can not be read is an error.
func TestListOfNothing(t *testing.T) {
	dir := t.TempDir()
	c, err := List(filepath.Join(dir, "absent"))
	if err != nil || c.Backups == nil || c.LeftOut == nil || len(c.Backups) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := List(file); err == nil || !strings.Contains(err.Error(), "can not be read") {
		t.Errorf("a file: %v", err)
	}
}
