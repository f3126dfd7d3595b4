package fibersession

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
)

var (
	// ErrSessionGone says that the session has ended. It stays gone: no save,
	// however late, brings it back. ErrExpired, ErrDestroyed and ErrCorrupt say
	// why, and all of them are ErrSessionGone for errors.Is.
	ErrSessionGone = errors.New("fibersession: session is gone")

	// ErrExpired says that the idle or the absolute limit passed.
	ErrExpired = fmt.Errorf("%w: it expired", ErrSessionGone)

	// ErrDestroyed says that the session was ended, here or on another node.
	ErrDestroyed = fmt.Errorf("%w: it was destroyed", ErrSessionGone)

	// ErrCorrupt says that what the store holds under the session's key is not
	// this session, or cannot be decoded.
	ErrCorrupt = fmt.Errorf("%w: its stored value cannot be understood", ErrSessionGone)

	// ErrNotFound says that no session has the given ID.
	ErrNotFound = errors.New("fibersession: session not found")

	// ErrEmptySessionID says that an empty ID was given where one is needed.
	ErrEmptySessionID = errors.New("fibersession: session ID is empty")

	// ErrRequestOver says that a Session was used after its request. Take a
	// Handle with Detach or Lift for work that outlives the request.
	ErrRequestOver = errors.New("fibersession: the request of this session is over")

	// ErrReleased says that a Handle was used after Release.
	ErrReleased = errors.New("fibersession: handle was released")

	// ErrNested says that Update, Incr or Save was called on a session from
	// inside an Update of the same session. Use the Tx there.
	ErrNested = errors.New("fibersession: change of a session inside its own Update")

	// ErrTooLarge says that a change would exceed Config.Limits.MaxSize or
	// a key length of 256 bytes. The stored session is unchanged.
	ErrTooLarge = codec.ErrTooLarge

	// ErrTooManyKeys says that a change would exceed Config.Limits.MaxKeys. The stored
	// session is unchanged.
	ErrTooManyKeys = errors.New("fibersession: session has too many keys")

	// ErrUnsupportedType says that a value cannot be stored; its text names the
	// key and the type. Give a value of the type to Store.RegisterType at start.
	// The stored session is unchanged.
	ErrUnsupportedType = codec.ErrUnsupportedType

	// ErrReservedKey says that express-session keeps the key for itself: see Express.
	// The stored session is unchanged.
	ErrReservedKey = errors.New("fibersession: key is express-session's own")

	// ErrNotInteger says that Incr met a value that is not an integer, or one
	// that the sum does not fit in.
	ErrNotInteger = errors.New("fibersession: value cannot be incremented")

	// ErrUnavailable says that the store did not answer, or with an error.
	// Nothing was changed. It wraps storage.ErrUnavailable.
	ErrUnavailable = fmt.Errorf("fibersession: %w", storage.ErrUnavailable)

	// ErrUnknownOutcome says that a write was sent and its answer never came: it
	// may have happened or not. Reload to find out. It wraps
	// storage.ErrUnknownOutcome.
	ErrUnknownOutcome = fmt.Errorf("fibersession: %w", storage.ErrUnknownOutcome)

	// ErrUserKey says that Config.UserKey is empty, so that sessions have no users.
	ErrUserKey = errors.New("fibersession: Config.UserKey is not set")

	// ErrUserID says that Login was given what cannot be a user's ID.
	ErrUserID = errors.New("fibersession: not a user's ID")

	// ErrNoIndex says that a user's sessions cannot be listed: the storage is no
	// storage.Index, or Config.Builtin or Config.Express is set.
	ErrNoIndex = errors.New("fibersession: the storage keeps no index of users")

	// ErrTicket says that a ticket does not count. All that follow are ErrTicket for
	// errors.Is; a client is told no more than that.
	ErrTicket = errors.New("fibersession: the ticket does not count")

	// ErrTicketUnknown says that nobody issued it, or that it expired long ago.
	ErrTicketUnknown = fmt.Errorf("%w: it is unknown", ErrTicket)

	// ErrTicketUsed says that it was used before: somebody may have stolen it.
	ErrTicketUsed = fmt.Errorf("%w: it was used before", ErrTicket)

	// ErrTicketExpired says that it came later than Config.Timeouts.Ticket.
	ErrTicketExpired = fmt.Errorf("%w: it expired", ErrTicket)

	// ErrTicketOrigin says that it was issued for a page of another origin, or that
	// the origin is none.
	ErrTicketOrigin = fmt.Errorf("%w: it is for another origin", ErrTicket)

	// ErrTicketSession says that there is no such session: it was never saved, has
	// ended, or got another ID since the ticket was issued.
	ErrTicketSession = fmt.Errorf("%w: there is no session for it", ErrTicket)

	// ErrTicketBrowser says that the browser does not hold an ID that the session had.
	ErrTicketBrowser = fmt.Errorf("%w: it is for another browser", ErrTicket)

	// ErrRandom says that the source of randomness failed, or that
	// Config.KeyGenerator made an ID that is not one. No ID was issued.
	ErrRandom = errors.New("fibersession: no session ID could be made")

	errIDInUse = fmt.Errorf("%w: KeyGenerator made one that is in use", ErrRandom)
)

// storeError gives an error of the store one of this package's names. It keeps
// the driver's own error for errors.Is and drops the session's key from the text:
// with Config.Builtin that key is the ID.
func storeError(what, key string, err error) error {
	name := ErrUnavailable
	if errors.Is(err, storage.ErrUnknownOutcome) {
		name = ErrUnknownOutcome
	}
	return &storageError{name: name, what: what, key: key, err: err}
}

type storageError struct {
	name, err error
	what, key string
}

func (e *storageError) Error() string {
	text := e.err.Error()
	if e.key != "" {
		text = strings.ReplaceAll(text, e.key, "(key)")
	}
	return "fibersession: " + e.what + ": " + text
}

func (e *storageError) Unwrap() []error { return []error{e.name, e.err} }
