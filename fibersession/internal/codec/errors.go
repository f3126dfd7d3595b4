package codec

import "errors"

// Package fibersession exports these errors under the same names.
var (
	ErrTooLarge        = errors.New("fibersession: session is too large")
	ErrUnsupportedType = errors.New("fibersession: value of an unsupported type")
)
