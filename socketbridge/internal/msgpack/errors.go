package msgpack

import "errors"

var (
	// ErrSyntax says that the input is no JSON, or no MessagePack.
	ErrSyntax = errors.New("msgpack: malformed input")
	// ErrLimit says that the input passes a limit.
	ErrLimit = errors.New("msgpack: limit passed")
)
