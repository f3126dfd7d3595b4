package fibersession

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// errNotData is the error of encoding a session, whose fields are secret or meaningless
// elsewhere.
var errNotData = errors.New("fibersession: a session cannot be encoded: encode its values")

// String returns a name that does not reveal the ID.
func (h *Handle) String() string { return "session(" + h.Pseudonym("log") + ")" }

// Format implements fmt.Formatter, so that no verb prints the ID.
func (h *Handle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, h.String()) }

// LogValue implements slog.LogValuer, so that no log contains the ID.
func (h *Handle) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalJSON returns an error, because a session cannot be encoded.
func (h *Handle) MarshalJSON() ([]byte, error) { return nil, errNotData }

// String returns a name that does not reveal the ID. It does not load the session.
func (s *Session) String() string {
	if s != nil {
		if h := s.loaded(); h != nil {
			return h.String()
		}
	}
	return "session()"
}

// Format implements fmt.Formatter, so that no verb prints the ID.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer, so that no log contains the ID.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON returns an error, because a session cannot be encoded.
func (s *Session) MarshalJSON() ([]byte, error) { return nil, errNotData }
