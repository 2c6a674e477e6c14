package pgstore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"keytrustee/kms"
)

// columns are those of one row, as PostgreSQL sends them in binary, one after the other. With millions of rows it counts that none of them
// becomes a value of its own. Bytes are PostgreSQL's until the next row.
type columns struct {
	values [][]byte
	at     int
	sum    summer
	err    error // the first
}

func (c *columns) begin(values [][]byte) { c.values, c.at, c.sum = values, 0, c.sum[:0] }

// end is called after the last column.
func (c *columns) end() {
	if c.at != len(c.values) && c.err == nil {
		c.err = fmt.Errorf("a row has %d columns, and %d were read", len(c.values), c.at)
	}
}

// next is the next column; nil where it is null.
func (c *columns) next() []byte {
	c.at++
	if c.at > len(c.values) {
		if c.err == nil {
			c.err = fmt.Errorf("a row has %d columns", len(c.values))
		}
		return nil
	}
	return c.values[c.at-1]
}

// sized is the next column, which has n bytes.
func (c *columns) sized(n int) []byte {
	value := c.next()
	if len(value) != n && c.err == nil {
		c.err = fmt.Errorf("column %d has %d bytes, want %d", c.at, len(value), n)
	}
	if c.err != nil {
		return make([]byte, n)
	}
	return value
}

func (c *columns) id() kms.ID { return kms.ID(c.sized(16)) }
func (c *columns) int() int64 { return int64(int32(binary.BigEndian.Uint32(c.sized(4)))) }

// micros is a time, from 1970 on.
func (c *columns) micros() int64 {
	const since1970 = 946_684_800_000_000 // PostgreSQL counts from 2000 on
	return int64(binary.BigEndian.Uint64(c.sized(8))) + since1970
}

// summer takes fields so that no two different lists of fields give the same bytes.
type summer []byte

func (s *summer) bytes(b []byte) {
	*s = append(binary.BigEndian.AppendUint64(*s, uint64(len(b))), b...)
}

func (s *summer) number(n int64) {
	var digits [20]byte
	s.bytes(strconv.AppendInt(digits[:0], n, 10))
}

// maybe takes a text that may be absent, which is not the empty one.
func (s *summer) maybe(text []byte) {
	if text == nil {
		s.bytes(nil)
		return
	}
	s.bytes([]byte("is"))
	s.bytes(text)
}

func (s *summer) end() [32]byte { return sha256.Sum256(*s) }
