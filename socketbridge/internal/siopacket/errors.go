package siopacket

import (
	"errors"
	"fmt"
)

var (
	// ErrSyntax is wrapped by errors about malformed packets: invalid grammar, JSON
	// or UTF-8, a payload of the wrong kind for the packet type, or placeholders
	// that do not match the attachments. Decoding cannot continue after it.
	ErrSyntax = errors.New("siopacket: malformed packet")

	// ErrLimit is wrapped by errors about packets that exceed one of the Limits, and
	// about values that are too large or too deeply nested to encode. Decoding can
	// continue after it.
	ErrLimit = errors.New("siopacket: over a limit")

	// ErrSequence is wrapped by errors about messages in the wrong order: text where
	// an attachment must follow, or a binary message that belongs to no packet.
	ErrSequence = errors.New("siopacket: message out of turn")

	// ErrUnsupported is wrapped by errors about values that cannot be encoded, and
	// about attachments that cannot be stored in the target Go value.
	ErrUnsupported = errors.New("siopacket: unsupported value")
)

// The decoder's errors are allocated once, so that a hostile peer cannot make the
// server allocate them. None of them quotes the peer's input.
var (
	errType        = fmt.Errorf("%w: unknown type", ErrSyntax)
	errAttachments = fmt.Errorf("%w: invalid attachment count", ErrSyntax)
	errNamespace   = fmt.Errorf("%w: invalid namespace", ErrSyntax)
	errID          = fmt.Errorf("%w: invalid acknowledgement id", ErrSyntax)
	errPayload     = fmt.Errorf("%w: wrong kind of payload for the packet type", ErrSyntax)
	errJSON        = fmt.Errorf("%w: invalid JSON", ErrSyntax)
	errUTF8        = fmt.Errorf("%w: invalid UTF-8", ErrSyntax)
	errEventName   = fmt.Errorf("%w: invalid event name", ErrSyntax)
	errReserved    = fmt.Errorf("%w: reserved event name", ErrSyntax)
	errPlaceholder = fmt.Errorf("%w: placeholders do not match the attachments", ErrSyntax)

	errLargeAttachments     = fmt.Errorf("%w: attachments too large", ErrLimit)
	errLongNamespace        = fmt.Errorf("%w: namespace too long", ErrLimit)
	errLongEventName        = fmt.Errorf("%w: event name too long", ErrLimit)
	errManyArgs             = fmt.Errorf("%w: too many arguments", ErrLimit)
	errLargeAuth            = fmt.Errorf("%w: payload of a CONNECT too large", ErrLimit)
	errLooksLikePlaceholder = fmt.Errorf("%w: a value looks like an attachment placeholder", ErrLimit)

	errTextBeforeAttachments = fmt.Errorf("%w: text message before the pending packet's attachments", ErrSequence)
	errUnexpectedAttachment  = fmt.Errorf("%w: binary message without a pending packet", ErrSequence)
)

// Errors that decoders of other encodings return too.
var (
	// ErrDeep is returned for a payload deeper than Limits.MaxDepth.
	ErrDeep = fmt.Errorf("%w: JSON nested too deeply", ErrLimit)
	// ErrManyAttachments is returned for more than Limits.MaxAttachments.
	ErrManyAttachments = fmt.Errorf("%w: too many attachments", ErrLimit)
	// ErrLargeText is returned for a payload that is too large as JSON.
	ErrLargeText = fmt.Errorf("%w: payload too large as JSON", ErrLimit)
)

// Explain returns what a packet that was refused with err has too much of, such as "more
// than 64 arguments", or "" if err does not wrap ErrLimit.
func (l *Limits) Explain(err error) string {
	switch {
	case errors.Is(err, ErrManyAttachments):
		return fmt.Sprintf("more than %d binary attachments", l.attachments())
	case errors.Is(err, errLargeAttachments):
		return fmt.Sprintf("more than %d bytes of binary attachments", l.attachmentBytes())
	case errors.Is(err, errLongNamespace):
		return fmt.Sprintf("a namespace longer than %d bytes", l.namespace())
	case errors.Is(err, errLongEventName):
		return fmt.Sprintf("an event name longer than %d bytes", l.eventName())
	case errors.Is(err, errManyArgs):
		return fmt.Sprintf("more than %d arguments", l.args())
	case errors.Is(err, errLargeAuth):
		return fmt.Sprintf("more than %d bytes of auth", l.auth())
	case errors.Is(err, ErrDeep):
		return fmt.Sprintf("values nested deeper than %d", l.depth())
	case errors.Is(err, ErrLargeText):
		return "more data than it may have as JSON"
	case errors.Is(err, errLooksLikePlaceholder):
		return "an object that looks like the placeholder of a binary attachment"
	}
	return ""
}
