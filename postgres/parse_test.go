package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestDamaged: damage is what says so of the data, and not whatever else may stop a program or a query.
func TestDamaged(t *testing.T) {
	for _, row := range []struct {
		err  error
		want bool
	}{
		{programError("pg_basebackup", `WARNING:  checksum verification failed in file "./base/5/2619", block 3: calculated 4C2D but expected 4C2C`, ""), true},
		{programError("pg_dump", `ERROR:  invalid page in block 0 of relation base/5/2619`, ""), true},
		{programError("pg_basebackup", `could not get COPY data stream: ERROR:  could not read file "./base/5/2619": Input/output error`, ""), true},
		{&pgconn.PgError{Code: "XX001"}, true},
		{&pgconn.PgError{Code: "XX002"}, true},
		{&pgconn.PgError{Code: "58030"}, true},
		{fmt.Errorf("looking: %w", &RowsError{"it has 3 changes whose version is not there"}), true},
		{programError("pg_basebackup", `could not get COPY data stream: ERROR:  could not open file "./core": Permission denied`, ""), false},
		{programError("pg_basebackup", `could not send replication command "START_REPLICATION": ERROR:  all replication slots are in use`, ""), false},
		{programError("pg_basebackup", "", "signal: killed"), false},
		{&pgconn.PgError{Code: "53300"}, false},
		{errors.New("the server does not answer"), false},
		{nil, false},
	} {
		if Damaged(row.err) != row.want {
			t.Errorf("%v is damage: %v", row.err, !row.want)
		}
	}
}

func TestParseControl(t *testing.T) {
	out, err := os.ReadFile("testdata/pg_controldata.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseControl(string(out))
	if err != nil {
		t.Fatal(err)
	}
	want := Control{
		SystemID: 7711700292413161118, State: "in archive recovery", Timeline: 1, Redo: 0x1500700, Checksums: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseControl(strings.Replace(string(out), "16777216", "1048576", 1)); err == nil {
		t.Error("segments of 1 MB are taken for 16 MB")
	}
	damaged := "WARNING: Calculated CRC checksum does not match value stored in file.\n" + string(out)
	if _, err := parseControl(damaged); !errors.Is(err, errControlDamaged) {
		t.Errorf("a damaged control file gives %v", err)
	}
	for _, cut := range []int{0, len(out) / 2} {
		if _, err := parseControl(string(out[:cut])); err == nil {
			t.Errorf("the first %d bytes are taken for the whole", cut)
		}
	}
}

func TestParseHistory(t *testing.T) {
	content := "1\t0/3000098\tno recovery target specified\n\n# remark\n2\t0/5000000\tno recovery target specified\n"
	got, err := parseHistory([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	want := []branch{{1, 0x3000098}, {2, 0x5000000}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"1", "x\t0/1", "1\tx", "0\t0/1", "2\t0/5\n1\t0/6", "1\t0/5\n2\t0/4"} {
		if got, err := parseHistory([]byte(bad)); err == nil {
			t.Errorf("parseHistory(%q) = %v, want an error", bad, got)
		}
	}
	a := ancestry{own: 3, parents: want}
	for to, tlis := range map[LSN][]Timeline{0x3000098: {3, 2, 1}, 0x3000099: {3, 2}, 0x5000000: {3, 2}, 0x5000001: {3}} {
		if diff := cmp.Diff(tlis, a.holding(to)); diff != "" {
			t.Errorf("before %s: %s", to, diff)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte("1\t0/3000098\tno recovery target specified\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		branches, err := parseHistory(content)
		if err != nil {
			return
		}
		for i := 1; i < len(branches); i++ {
			if branches[i].Timeline <= branches[i-1].Timeline || branches[i].Until < branches[i-1].Until {
				t.Errorf("%q is taken, out of order", content)
			}
		}
	})
}

func TestParseRecordEnd(t *testing.T) {
	for line, want := range map[string]LSN{
		// within a page; a length that is padded; to the page's very end; over a page's header; over a segment's
		"rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/01500700, prev 0/015006B8, desc: CHECKPOINT_SHUTDOWN redo": 0x1500778,
		"rmgr: Heap        len (rec/tot):     59/    59, tx:        724, lsn: 0/01517158, prev 0/01517118, desc: INSERT off 3":             0x1517198,
		"rmgr: Heap        len (rec/tot):     54/    57, tx:        724, lsn: 0/01501FC0, prev 0/01517118, desc: INSERT off 3":             0x1502000,
		"rmgr: Heap        len (rec/tot):     54/    65, tx:        724, lsn: 0/01501FC0, prev 0/01517118, desc: INSERT off 3":             0x1502020,
		"rmgr: Heap        len (rec/tot):     54/  8300, tx:        724, lsn: 0/01FFFFC0, prev 0/01517118, desc: INSERT off 3":             0x2002070,
		"rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, lsn: 0/01517330, prev 0/01517198, desc: SWITCH ":                  0x2000000,
	} {
		if got, err := parseRecordEnd(line); err != nil || got != want {
			t.Errorf("%s\nends at %v, %v, want %v", line, got, err, want)
		}
	}
	if got, err := parseRecordEnd("rmgr: nonsense"); err == nil {
		t.Errorf("nonsense ends at %v", got)
	}
}

func TestParseDamage(t *testing.T) {
	e := parseDamage("/b", `pg_verifybackup: error: checksum mismatch for file "base/5/1259"
pg_verifybackup: error: "base/5/1249" has size 16384 on disk but size 24576 in the manifest
pg_verifybackup: error: "global/1260" is present in the manifest but not on disk
pg_verifybackup: error: unrecognized checksum algorithm: "x"
`)
	if diff := cmp.Diff([]string{"base/5/1259", "base/5/1249", "global/1260"}, e.Files); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(e.Error(), "base/5/1259") {
		t.Errorf("%q does not name the file", e)
	}
}

func TestReadProgress(t *testing.T) {
	var got []int64
	in := "waiting for checkpoint\r    0/23010 kB (0%), 0/1 tablespace\r23010/23010 kB (100%), 1/1 tablespace\npg_basebackup: error: x"
	rest, err := readProgress(strings.NewReader(in), func(done, total int64) { got = append(got, done, total) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{0, 23010 << 10, 23010 << 10, 23010 << 10}, got); diff != "" {
		t.Error(diff)
	}
	if want := "waiting for checkpoint\npg_basebackup: error: x\n"; rest != want {
		t.Errorf("the other lines are %q, want %q", rest, want)
	}
}

func TestQuoteSetting(t *testing.T) {
	if got, want := quoteSetting("it's a \\ \n"), `'it''s a \\ \n'`; got != want {
		t.Errorf("quoted: %s, want %s", got, want)
	}
}

func TestHBAQuotes(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "10.0.0.7/24": "10.0.0.0/24", "::1": "::1/128", "kt01.example.com": "kt01.example.com",
	} {
		if got, err := hbaAddress(in); err != nil || got != want {
			t.Errorf("hbaAddress(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "all", "SameNet", ".example.com", "a b", "a\nlocal all all trust", "fe80::1%eth0"} {
		if got, err := hbaAddress(in); err == nil {
			t.Errorf("hbaAddress(%q) = %q, want an error", in, got)
		}
	}
	for _, in := range []string{"", "/.*", "a\"b", "a\nb", `a\1`} {
		if got, err := quoteHBA(in); err == nil {
			t.Errorf("quoteHBA(%q) = %s, want an error", in, got)
		}
	}
}

func TestFind(t *testing.T) {
	dirs := map[string]string{"none": filepath.Join(t.TempDir(), "none")}
	for name, version := range map[string]string{"old": "14.99", "early": "15.12", "good": "15.13", "better": "16.9", "bare": "17.5"} {
		dirs[name] = t.TempDir()
		for _, program := range programs {
			if name == "bare" && program == "pg_waldump" {
				continue
			}
			script := "#!/bin/sh\necho '" + program + " (PostgreSQL) " + version + " (Debian)'\n"
			if err := os.WriteFile(filepath.Join(dirs[name], program), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	any := func(Version) bool { return true }
	got, err := find(t.Context(), []string{dirs["old"], dirs["good"], dirs["better"], dirs["bare"]}, any)
	if want := (Installation{dirs["better"], Version{16, 9}}); err != nil || got != want {
		t.Errorf("found %v, %v, want %v", got, err, want)
	}
	for name, problem := range map[string]string{
		"old": "14.99 in " + dirs["old"] + " is too old", "early": "15.12 in " + dirs["early"] + " is too old",
		"bare": "17.5 in " + dirs["bare"] + " has no pg_waldump", "none": "PostgreSQL is not installed",
	} {
		_, err := find(t.Context(), []string{dirs[name]}, any)
		var setup *SetupError
		if !errors.As(err, &setup) || !strings.Contains(setup.Problem, problem) || !strings.Contains(setup.Hint(), "postgresql-15") {
			t.Errorf("%s: %v, want %q and a package", name, err, problem)
		}
	}
}

func TestSupported(t *testing.T) {
	for version, want := range map[Version]bool{
		{14, 99}: false, {15, 12}: false, {15, 13}: true, {15, 18}: true, {16, 8}: false, {16, 9}: true,
		{17, 4}: false, {17, 5}: true, {18, 0}: true, {19, 1}: true,
	} {
		if got := version.Supported(); got != want {
			t.Errorf("%s is supported: %v, want %v", version, got, want)
		}
	}
}
