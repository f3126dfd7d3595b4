package msgpack

import (
	"errors"
	"fmt"
)

var (
	// ErrSyntax is wrapped by errors about input that is not valid JSON or MessagePack.
	ErrSyntax = errors.New("msgpack: malformed input")
	// ErrLimit is wrapped by errors about input that exceeds a limit.
	ErrLimit = errors.New("msgpack: limit exceeded")
)

var (
	errDeep       = fmt.Errorf("%w: nested too deeply", ErrLimit)
	errManyBinary = fmt.Errorf("%w: too many binary values", ErrLimit)
	errLargeText  = fmt.Errorf("%w: too large as JSON", ErrLimit)
)
