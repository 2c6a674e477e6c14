package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// What a base backup warns of, and what a query ends with.
var (
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
	return fmt.Errorf("%s: %s", program, last)
}
