package progress

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// state is how a phase stands.
type state struct {
	what        string
	counted     unit
	done, total int64 // no total: nobody knows it
	about       bool  // total is an estimate
	speed       float64
	measured    bool // speed is known
	lasts       time.Duration
}

// unit is what a phase is counted in.
type unit int

const (
	uncounted unit = iota
	bytes
	versions
)

// line says how it stands in less than width characters, so that a terminal does not wrap it: what has no room is left out, the time
// that is left last.
func (s state) line(width int) string {
	counted := s.amount()
	percent, speed, left := s.percent(), s.perSecond(), s.left()
	if s.counted == uncounted && s.lasts >= time.Second {
		left = "for " + duration(s.lasts)
	}
	for _, parts := range [][]string{{counted + percent, speed, left}, {counted + percent, left}, {counted, left}, {left}, {strings.TrimSpace(percent)}} {
		text := s.what
		if rest := join(parts); rest != "" {
			text += ": " + rest
		}
		if utf8.RuneCountInString(text) < width {
			return text
		}
	}
	return string([]rune(s.what)[:max(0, min(width-1, utf8.RuneCountInString(s.what)))])
}

func join(parts []string) string {
	var there []string
	for _, p := range parts {
		if p != "" {
			there = append(there, p)
		}
	}
	return strings.Join(there, ", ")
}

// known reports whether the total can be believed: there may be more than was estimated, and then nobody knows how much more.
func (s state) known() bool { return s.total > 0 && s.done <= s.total }

func (s state) amount() string {
	about := ""
	if s.about {
		about = "about "
	}
	switch {
	case s.counted == bytes && s.known():
		size, of := sized(s.total)
		return fmt.Sprintf("%.1f of %s%.1f %s", float64(s.done)/size, about, float64(s.total)/size, of)
	case s.counted == bytes:
		size, of := sized(s.done)
		return fmt.Sprintf("%.1f %s", float64(s.done)/size, of)
	case s.counted == versions && s.known():
		return fmt.Sprintf("%s of %s%s versions", grouped(s.done), about, grouped(s.total))
	case s.counted == versions:
		return grouped(s.done) + " versions"
	}
	return ""
}

func (s state) percent() string {
	if s.counted == uncounted || !s.known() {
		return ""
	}
	return fmt.Sprintf(" (%d %%)", int64(float64(s.done)/float64(s.total)*100))
}

func (s state) perSecond() string {
	switch {
	case !s.measured:
		return ""
	case s.counted == bytes:
		size, of := sized(int64(s.speed))
		return fmt.Sprintf("%.1f %s/s", s.speed/size, of)
	case s.counted == versions:
		return grouped(int64(s.speed)) + "/s"
	}
	return ""
}

func (s state) left() string {
	if s.counted == uncounted || !s.known() || !s.measured || s.done == s.total {
		return ""
	}
	if s.speed <= 0 {
		return "nothing moves"
	}
	seconds := math.Ceil(float64(s.total-s.done) / s.speed)
	if seconds > (1000 * time.Hour).Seconds() {
		return "more than 1000 h left"
	}
	about := ""
	if s.about {
		about = "about "
	}
	return about + duration(time.Duration(seconds)*time.Second) + " left"
}

// sized is the unit for so many bytes.
func sized(n int64) (size float64, name string) {
	switch {
	case n >= 1<<30:
		return 1 << 30, "GiB"
	case n >= 1<<20:
		return 1 << 20, "MiB"
	}
	return 1 << 10, "KiB"
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// duration is a time in its two largest units.
func duration(d time.Duration) string {
	h, m, s := d/time.Hour, d/time.Minute%60, d/time.Second%60
	switch {
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// plain is text without anything that moves the cursor of a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
