package contract

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// maxText is the longest path, and the longest description of what was expected, in bytes.
const maxText = 256

// misfit says where a value does not fit, and what would fit.
type misfit struct {
	path     []string // from the inside out
	expected string
}

func (m *misfit) Error() string { return "expected " + m.text() + " at " + m.pointer() }

func expected(what string) *misfit { return &misfit{expected: what} }

// in adds the name of the field, the index or the key that the value was found under.
func (m *misfit) in(name string) *misfit {
	m.path = append(m.path, name)
	return m
}

func (m *misfit) at(index int) *misfit { return m.in(strconv.Itoa(index)) }

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the path as a JSON pointer.
func (m *misfit) pointer() string {
	var b strings.Builder
	for _, name := range slices.Backward(m.path) {
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(bounded(name)))
		if b.Len() > maxText {
			break
		}
	}
	return bounded(b.String())
}

func (m *misfit) text() string { return bounded(m.expected) }

// clientError returns the answer to the client.
func (m *misfit) clientError() error {
	path, what := m.pointer(), m.text()
	return &socketbridge.EventError{
		Code:    CodeInvalidArgument,
		Message: "expected " + what + " at " + path,
		Data:    map[string]string{"path": path, "expected": what},
	}
}

// bounded cuts s to maxText bytes, at the boundary of a character.
func bounded(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText]
	for len(s) > 0 {
		if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}
