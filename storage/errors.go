package storage

import "errors"

var (
	// ErrNotFound means that the key does not exist or has expired.
	ErrNotFound = errors.New("storage: key not found")
	// ErrConflict means that the key's revision is not the expected one. Nothing
	// was changed: load again and retry.
	ErrConflict = errors.New("storage: revision conflict")
	// ErrUnknownOutcome means that a write was sent but not answered: it may or may
	// not have happened. Load the key to find out.
	ErrUnknownOutcome = errors.New("storage: outcome of the write is unknown")
	// ErrUnavailable means that the store could not be reached or refused the
	// request. Nothing was changed.
	ErrUnavailable = errors.New("storage: store is unavailable")
	// ErrInvalid means that an argument is not allowed: an empty key or value to
	// store, an empty prefix to reset, a negative ttl. Nothing was changed.
	ErrInvalid = errors.New("storage: invalid argument")
	// ErrClosed means that the storage was closed.
	ErrClosed = errors.New("storage: closed")
	// ErrUnknownScheme means that no imported driver serves the URL's scheme.
	ErrUnknownScheme = errors.New("storage: unknown scheme")
	// ErrBadURL means that a storage URL, or a driver's Config, is invalid.
	ErrBadURL = errors.New("storage: bad URL")
)
