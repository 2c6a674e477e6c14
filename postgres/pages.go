package postgres

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Page is a page of a server's data.
type Page struct {
	File  string `json:"file"`  // below the data directory
	Block int64  `json:"block"` // counted from 0
}

func (p Page) String() string { return fmt.Sprintf("%s, block %d", p.File, p.Block) }

// PagesError means that pages of a server's data are not what was written: their checksums do not fit.
type PagesError struct {
	Pages []Page // those that were named, each once, in no more than the first few of a file
	Text  string // what PostgreSQL's program says last
}

func (e *PagesError) Error() string {
	const most = 3
	var names []string
	for _, p := range e.Pages[:min(most, len(e.Pages))] {
		names = append(names, p.String())
	}
	more := ""
	if n := len(e.Pages) - most; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("pages of the database are damaged on its disk: %s%s: %s", strings.Join(names, "; "), more, e.Text)
}

// RowsError means that rows are missing in a database that others speak of.
type RowsError struct{ Text string }

func (e *RowsError) Error() string { return e.Text }

// unreadError means that a disk gave back an error, and no page.
type unreadError struct{ text string }

func (e *unreadError) Error() string { return e.text }

// The errors of PostgreSQL for what a disk did not give back as it was written.
const (
	dataCorrupted  = "XX001"
	indexCorrupted = "XX002"
	ioError        = "58030"
)

// Damaged reports whether err means that data is not what was written, or can not be had from its disk. Whatever else stopped who read it
// says nothing of the data.
func Damaged(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && slices.Contains([]string{dataCorrupted, indexCorrupted, ioError}, pg.Code) {
		return true
	}
	_, pages := errors.AsType[*PagesError](err)
	_, rows := errors.AsType[*RowsError](err)
	_, unread := errors.AsType[*unreadError](err)
	return pages || rows || unread
}

// What a base backup warns of, and what a query ends with; and what any of them says of a disk that reads no more.
var (
	notRead     = regexp.MustCompile(`could not read .*: Input/output error`)
	badChecksum = regexp.MustCompile(`checksum verification failed in file "(?:\./)?([^"]+)", block (\d{1,10})`)
	invalidPage = regexp.MustCompile(`invalid page in block (\d{1,10}) of relation ([^\s;]+)`)
)

// programError is what a program of PostgreSQL ended with that said text: a *PagesError where it named damaged pages.
func programError(program, text, status string) error {
	last := lastLines(text, 4)
	if last == "" {
		last = status
	}
	e := &PagesError{Text: program + ": " + lastLines(text, 1)}
	add := func(file, block string) {
		n, _ := strconv.ParseInt(block, 10, 64) // up to 10 digits
		if p := (Page{file, n}); !slices.Contains(e.Pages, p) {
			e.Pages = append(e.Pages, p)
		}
	}
	for _, m := range badChecksum.FindAllStringSubmatch(text, -1) {
		add(m[1], m[2])
	}
	for _, m := range invalidPage.FindAllStringSubmatch(text, -1) {
		add(m[2], m[1])
	}
	if len(e.Pages) > 0 {
		return e
	}
	if notRead.MatchString(text) {
		return &unreadError{program + ": " + last}
	}
	return fmt.Errorf("%s: %s", program, last)
}
