package fibersession

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// errNotData refuses to write a session as data: its fields would say too much or
// nothing.
var errNotData = errors.New("fibersession: a session is not data: encode its values")

// String returns a name that reveals no ID.
func (h *Handle) String() string { return "session(" + h.Pseudonym("log") + ")" }

// Format implements fmt.Formatter, so that no verb prints the ID.
func (h *Handle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// LogValue implements slog.LogValuer, so that no log has the ID.
func (h *Handle) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalJSON refuses: a session is not data.
func (h *Handle) MarshalJSON() ([]byte, error) { return nil, errNotData }

// String returns a name that reveals no ID. It does not load the session.
func (s *Session) String() string {
	if h := s.loaded(); h != nil {
		return h.String()
	}
	return "session()"
}

// Format implements fmt.Formatter, so that no verb prints the ID.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer, so that no log has the ID.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON refuses: a session is not data.
func (s *Session) MarshalJSON() ([]byte, error) { return nil, errNotData }
