package contract

import (
	"errors"
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
	path     []step // from the inside out
	expected string
	answer   *socketbridge.EventError // the answer of a type that decodes itself; nil if it has none
}

// step is one element of a path.
type step struct {
	name string
	free bool // the client has chosen it: an index, or a key that is in no Go type
}

// Error returns what was expected where, for the log. "*" stands for what the client has chosen:
// keys can be secrets, and a client that varies them would fill the log.
func (m *misfit) Error() string {
	return "at " + m.join(func(i int, s step) string {
		if s.free && i < len(m.path)-1 {
			return "*"
		}
		return s.name
	}) + ": expected " + m.text()
}

func expected(what string) *misfit { return &misfit{expected: what} }

// refused returns the misfit of a value whose type decodes itself, and has returned err.
func refused(what string, err error) *misfit {
	m := expected(what)
	errors.As(err, &m.answer)
	return m
}

// in adds the name of the field that the value was found under.
func (m *misfit) in(name string) *misfit { return m.add(step{name: name}) }

// under adds the key that the value was found under, which is not of the Go type.
func (m *misfit) under(key string) *misfit { return m.add(step{key, true}) }

// at adds the index that the value was found at.
func (m *misfit) at(index int) *misfit { return m.add(step{strconv.Itoa(index), true}) }

func (m *misfit) add(s step) *misfit {
	m.path = append(m.path, s)
	return m
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the path as a JSON pointer.
func (m *misfit) pointer() string { return m.join(func(_ int, s step) string { return s.name }) }

// join returns the names of the steps as a JSON pointer.
func (m *misfit) join(nameOf func(i int, s step) string) string {
	var b strings.Builder
	for i, s := range slices.Backward(m.path) {
		b.WriteByte('/')
		b.WriteString(escapePointer.Replace(bounded(nameOf(i, s))))
		if b.Len() > maxText {
			break
		}
	}
	return bounded(b.String())
}

func (m *misfit) text() string { return bounded(m.expected) }

// argumentError returns the error of an event with a misfit: an EventError of its type, or an
// ArgumentError. The outermost step of the path is the argument's position.
func (m *misfit) argumentError(event string) error {
	if m.answer != nil {
		return m.answer
	}
	position, _ := strconv.Atoi(m.path[len(m.path)-1].name)
	return &socketbridge.ArgumentError{Event: event, Position: position, Err: m, Path: m.pointer(), Expected: m.text()}
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
