package postgres

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// CopyTable writes the rows of a table of the schema public to w, as the transaction of conn sees them, in the binary format of COPY, and
// returns how many they are. They come as they lie, whoever else reads the table. Of a table that is not there nothing is written. A *PagesError
// names a page that can not be read.
func CopyTable(ctx context.Context, conn *pgx.Conn, table string, w io.Writer) (rows int64, err error) {
	var there bool
	if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", inPublic(table)).Scan(&there); err != nil || !there {
		return 0, err
	}
	if _, err := conn.Exec(ctx, "set local synchronize_seqscans = off"); err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, copyBuffer)
	tag, err := conn.PgConn().CopyTo(ctx, out, "copy "+inPublic(table)+" to stdout (format binary)")
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case Damaged(err):
		return 0, programError("COPY", err.Error(), "")
	case err != nil:
		return 0, fmt.Errorf("copying the table %s: %w", table, err)
	}
	return tag.RowsAffected(), out.Flush()
}

// copyBuffer is how much of a copy is gathered: a row is small.
const copyBuffer = 64 << 10

func inPublic(table string) string { return pgx.Identifier{"public", table}.Sanitize() }

// loadTable puts what CopyTable wrote into a table that has these columns and no rows, within the transaction of conn.
func loadTable(ctx context.Context, conn *pgconn.PgConn, table string, rows io.Reader) error {
	in := bufio.NewReaderSize(rows, copyBuffer)
	if _, err := in.Peek(1); err == io.EOF { // it was not there
		return nil
	}
	_, err := conn.CopyFrom(ctx, in, "copy "+inPublic(table)+" from stdin (format binary)")
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("loading the table %s: %w", table, err)
	}
	return err
}

// CopyReader reads what CopyTable wrote, a row at a time.
type CopyReader struct {
	in     *bufio.Reader
	begun  bool
	ended  bool
	row    []byte
	ends   []int // of each value in row; -1 after one that is null
	values [][]byte
}

// NewCopyReader reads from r, and somewhat ahead of the rows that it returns.
func NewCopyReader(r io.Reader) *CopyReader {
	return &CopyReader{in: bufio.NewReaderSize(r, copyBuffer)}
}

// copySignature begins every copy; behind it are 4 bytes of flags and the length of an extension. (PostgreSQL's manual, COPY, Binary Format)
var copySignature = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")

var errNoCopy = errors.New("it is no copy of a table in PostgreSQL's binary format")

// Next returns the values of the next row, as PostgreSQL sends them in binary, nil where one is null. They are the reader's, until the next
// call. The error is io.EOF after the last row, and another one where the copy was cut off. Nothing at all has no rows.
func (c *CopyReader) Next() ([][]byte, error) {
	if c.ended {
		return nil, io.EOF
	}
	if !c.begun {
		if _, err := c.in.Peek(1); err == io.EOF {
			c.ended = true
			return nil, io.EOF
		}
		head, err := c.take(len(copySignature))
		if err != nil || !bytes.Equal(head, copySignature) {
			return nil, errors.Join(errNoCopy, err)
		}
		c.begun = true
	}
	c.row, c.ends, c.values = c.row[:0], c.ends[:0], c.values[:0]
	head, err := c.take(2)
	if err != nil {
		return nil, err
	}
	n := int16(binary.BigEndian.Uint16(head))
	if n == -1 {
		if _, err := c.in.ReadByte(); err == nil {
			return nil, errors.New("something comes after the last row")
		} else if err != io.EOF {
			return nil, err
		}
		c.ended = true
		return nil, io.EOF
	} else if n < 0 {
		return nil, errNoCopy
	}
	for range n {
		if err := c.value(); err != nil {
			return nil, err
		}
	}
	start := 0
	for _, end := range c.ends { // not before the last one is there: the row may have moved
		if end < 0 {
			c.values = append(c.values, nil)
			continue
		}
		c.values = append(c.values, c.row[start:end:end])
		start = end
	}
	return c.values, nil
}

// value reads one value to the end of the row.
func (c *CopyReader) value() error {
	head, err := c.take(4)
	if err != nil {
		return err
	}
	switch n := int(int32(binary.BigEndian.Uint32(head))); {
	case n == -1:
		c.ends = append(c.ends, -1)
		return nil
	case n < 0:
		return errNoCopy
	case n <= c.in.Size():
		value, err := c.take(n)
		if err != nil {
			return err
		}
		c.row = append(c.row, value...)
	default: // memory is taken as it comes, and not because something says that it will
		var value bytes.Buffer
		if _, err := io.CopyN(&value, c.in, int64(n)); err != nil {
			return cutOff(err)
		}
		c.row = append(c.row, value.Bytes()...)
	}
	c.ends = append(c.ends, len(c.row))
	return nil
}

// take is the next n bytes, no more than the buffer holds; they are the buffer's, until something else is read.
func (c *CopyReader) take(n int) ([]byte, error) {
	p, err := c.in.Peek(n)
	if err != nil {
		return nil, cutOff(err)
	}
	c.in.Discard(n) // of the buffer
	return p, nil
}

// cutOff is what became of a read that wanted more.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
