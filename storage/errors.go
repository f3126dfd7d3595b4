package storage

import "errors"

var (
	// ErrNotFound says that the key is not there, or has expired.
	ErrNotFound = errors.New("storage: key not found")

	// ErrConflict says that the key's revision is not the expected one. Nothing
	// was changed: load again and retry.
	ErrConflict = errors.New("storage: revision conflict")

	// ErrUnknownOutcome says that a write was sent and its answer never came: it
	// may have happened or not. Load to find out.
	ErrUnknownOutcome = errors.New("storage: outcome of the write is unknown")

	// ErrUnavailable says that the store could not be asked, or refused to answer:
	// nothing was changed.
	ErrUnavailable = errors.New("storage: store is unavailable")

	// ErrInvalid says that an argument cannot be what it is: an empty key or value
	// to store, an empty prefix to reset, a negative ttl. Nothing was changed.
	ErrInvalid = errors.New("storage: invalid argument")

	// ErrClosed says that the storage was closed.
	ErrClosed = errors.New("storage: closed")

	// ErrUnknownScheme says that no imported driver serves the URL's scheme.
	ErrUnknownScheme = errors.New("storage: unknown scheme")

	// ErrBadURL says that a storage URL cannot be understood.
	ErrBadURL = errors.New("storage: bad URL")
)
