package siopacket

import (
	"errors"
	"fmt"
)

var (
	// ErrSyntax says that a packet is malformed: the grammar, its JSON, its UTF-8,
	// a payload of the wrong kind for its type, or placeholders that do not match
	// the attachments. The peer cannot be understood any more.
	ErrSyntax = errors.New("siopacket: malformed packet")

	// ErrLimit says that a packet, or one that was to be encoded, is larger than
	// one of the Limits allows.
	ErrLimit = errors.New("siopacket: over a limit")

	// ErrSequence says that a message came out of turn: text in the middle of
	// attachments, or a binary message that no packet waits for.
	ErrSequence = errors.New("siopacket: message out of turn")

	// ErrUnsupported says that a value cannot be encoded, or that an attachment
	// cannot be stored in the Go value it was bound to.
	ErrUnsupported = errors.New("siopacket: unsupported value")
)

// The errors of the decoder are made once: a hostile peer does not get to
// allocate them, and none of them quotes what it sent.
var (
	errType        = fmt.Errorf("%w: unknown type", ErrSyntax)
	errAttachments = fmt.Errorf("%w: attachment count", ErrSyntax)
	errID          = fmt.Errorf("%w: acknowledgement id", ErrSyntax)
	errPayload     = fmt.Errorf("%w: payload of the wrong kind", ErrSyntax)
	errJSON        = fmt.Errorf("%w: invalid JSON", ErrSyntax)
	errUTF8        = fmt.Errorf("%w: invalid UTF-8", ErrSyntax)
	errEventName   = fmt.Errorf("%w: event name", ErrSyntax)
	errReserved    = fmt.Errorf("%w: reserved event name", ErrSyntax)
	errPlaceholder = fmt.Errorf("%w: placeholders do not match the attachments", ErrSyntax)

	errManyAttachments  = fmt.Errorf("%w: attachments of a packet", ErrLimit)
	errLargeAttachments = fmt.Errorf("%w: bytes of attachments", ErrLimit)
	errLongNamespace    = fmt.Errorf("%w: length of a namespace", ErrLimit)
	errLongEventName    = fmt.Errorf("%w: length of an event name", ErrLimit)
	errManyArgs         = fmt.Errorf("%w: number of arguments", ErrLimit)
	errDeep             = fmt.Errorf("%w: depth of JSON", ErrLimit)

	errTextInside = fmt.Errorf("%w: text while attachments are awaited", ErrSequence)
	errNoneAwaits = fmt.Errorf("%w: attachment that no packet awaits", ErrSequence)
)
