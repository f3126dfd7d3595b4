package msgpack

import "errors"

var (
	// ErrSyntax is wrapped by errors about input that is not valid JSON or MessagePack.
	ErrSyntax = errors.New("msgpack: malformed input")
	// ErrLimit is wrapped by errors about input that exceeds a limit.
	ErrLimit = errors.New("msgpack: limit exceeded")
)
