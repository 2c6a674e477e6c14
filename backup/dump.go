package backup

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"keytrustee/postgres"
)

// Dump is the logical dump of a backup, in files that stay open wherever they go.
type Dump struct {
	globals, rest *os.File
	copies        [len(kinds)]*os.File
}

// OpenDump opens what Unpack left in a directory.
func OpenDump(dir string) (d Dump, err error) {
	files := map[string]**os.File{globalsStream: &d.globals, dumpStream: &d.rest}
	for i, k := range kinds {
		files[copyStream(k)] = &d.copies[i]
	}
	for name, f := range files {
		if *f, err = os.Open(filepath.Join(dir, name)); err != nil {
			return Dump{}, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// Close closes the files. A Dump that was never opened can be closed too.
func (d Dump) Close() (err error) {
	for _, f := range append(d.copies[:], d.globals, d.rest) {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Of is the dump as a server restores it, whose tables with rows are c's.
func (d Dump) Of(c interface{ Tables() [len(kinds)]string }) postgres.Dump {
	dump := postgres.Dump{Globals: d.globals, Rest: d.rest}
	for i, table := range c.Tables() {
		dump.Tables = append(dump.Tables, postgres.TableDump{Name: table, Rows: d.copies[i]})
	}
	return dump
}

// rows reads the rows of the dump, from the first on.
func (d Dump) rows(c Checker) (RowReader, error) {
	var copies [len(kinds)]io.Reader
	for i, f := range d.copies {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		copies[i] = f
	}
	return c.Copied(copies), nil
}

// size is how long the copies of tables are.
func (d Dump) size() (n int64) {
	for _, f := range d.copies {
		if info, err := f.Stat(); err == nil {
			n += info.Size()
		}
	}
	return n
}
