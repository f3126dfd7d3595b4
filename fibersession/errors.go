package fibersession

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/storage"
)

var (
	// ErrSessionGone is returned once the session has ended. The end is final: no later
	// save restores the session. ErrExpired, ErrDestroyed and ErrCorrupt tell the reason;
	// each of them matches ErrSessionGone with errors.Is.
	ErrSessionGone = errors.New("fibersession: session is gone")

	// ErrExpired is returned when the session's idle or absolute limit has passed.
	ErrExpired = fmt.Errorf("%w: it expired", ErrSessionGone)

	// ErrDestroyed is returned when the session was ended, on this node or another.
	ErrDestroyed = fmt.Errorf("%w: it was destroyed", ErrSessionGone)

	// ErrCorrupt is returned when the value under the session's key is not this session's
	// or cannot be decoded. The value stays in the store.
	ErrCorrupt = fmt.Errorf("%w: its stored value cannot be decoded", ErrSessionGone)

	// ErrNotFound is returned when no session has the given ID.
	ErrNotFound = errors.New("fibersession: session not found")

	// ErrEmptySessionID is returned when a session ID is required and the given one is
	// empty.
	ErrEmptySessionID = errors.New("fibersession: session ID is empty")

	// ErrRequestOver is returned when a Session is used after its request has ended. For
	// work that outlives the request, get a Handle with Session.Detach or Store.Lift.
	ErrRequestOver = errors.New("fibersession: the request of this session is over")

	// ErrNoHandler is returned by the methods of a nil Session, which FromContext returns for
	// a request that passed no Handler.
	ErrNoHandler = errors.New("fibersession: the request passed no Handler: add app.Use(sessions.Handler()) before its route")

	// ErrReleased is returned when a Handle is used after Release, or after the socket that
	// it belongs to has ended. The text says which. For work that goes on, call
	// Handle.Detach before.
	ErrReleased = errors.New("fibersession: handle was released")

	errReleaseCalled = fmt.Errorf("%w: Release was called", ErrReleased)

	// ErrNested is returned when the function of an Update changes the same session other
	// than through its Tx, with Update, Incr or Save. The nested change is not stored.
	ErrNested = errors.New("fibersession: session changed inside its own Update; use the Tx")

	// ErrTooLarge is returned when a change would exceed Config.Limits.MaxSize or the key
	// length of 256 bytes. The stored session is unchanged.
	ErrTooLarge = codec.ErrTooLarge

	// ErrTooManyKeys is returned when a change would exceed Config.Limits.MaxKeys. The
	// stored session is unchanged.
	ErrTooManyKeys = errors.New("fibersession: session has too many keys")

	// ErrUnsupportedType is returned when a value cannot be encoded. The text names the key,
	// the type and the call of Store.RegisterType to add at start. The stored session is
	// unchanged.
	ErrUnsupportedType = codec.ErrUnsupportedType

	// ErrReservedKey is returned when a change uses a key that express-session reserves:
	// see Express. The stored session is unchanged.
	ErrReservedKey = errors.New("fibersession: key is reserved by express-session")

	// ErrType is returned by Value and Lookup when the value has another type and is not a
	// number that can be converted without loss, or when this build cannot decode it (see
	// Store.RegisterType).
	ErrType = errors.New("fibersession: value of another type")
	// ErrNotInteger is returned by Incr when the value is not an integer, or the sum
	// overflows its type or an int. The stored session is unchanged.
	ErrNotInteger = errors.New("fibersession: value cannot be incremented")

	// ErrUnavailable is returned when the store fails or does not answer in time, or when
	// the context ends before the call is made. The stored session is unchanged. It wraps
	// storage.ErrUnavailable.
	ErrUnavailable = fmt.Errorf("fibersession: %w", storage.ErrUnavailable)

	// ErrUnknownOutcome is returned when a write was sent and its answer never arrived, so
	// the store may or may not contain it. Reload finds out. If it was the first write of a
	// new session and the store does not contain the session, the session ends (ErrDestroyed),
	// because another node may have destroyed it. It wraps storage.ErrUnknownOutcome.
	ErrUnknownOutcome = fmt.Errorf("fibersession: %w", storage.ErrUnknownOutcome)

	// ErrUserKey is returned by functions for users when Config.UserKey is empty.
	ErrUserKey = errors.New("fibersession: Config.UserKey is not set")

	// ErrUserID is returned by Login when the given ID is neither a non-empty string nor a
	// non-zero integer. Nothing was changed.
	ErrUserID = errors.New("fibersession: invalid user ID")

	// ErrNoIndex is returned when a user's sessions cannot be listed, because the storage is
	// not a storage.Index or because Config.Builtin or Config.Express is set.
	ErrNoIndex = errors.New("fibersession: the storage keeps no index of users")

	// ErrTicket is returned when a ticket is not valid. The ErrTicket errors below tell the
	// reason, and each of them matches ErrTicket with errors.Is. Do not pass the reason to
	// the client.
	ErrTicket = errors.New("fibersession: ticket is not valid")

	// ErrTicketUnknown is returned when the ticket was never issued, or was deleted some
	// time after it expired.
	ErrTicketUnknown = fmt.Errorf("%w: it is unknown", ErrTicket)

	// ErrTicketUsed is returned when the ticket was used before. It may have been stolen.
	ErrTicketUsed = fmt.Errorf("%w: it was used before", ErrTicket)

	// ErrTicketExpired is returned when the ticket is older than Config.Timeouts.Ticket.
	ErrTicketExpired = fmt.Errorf("%w: it expired", ErrTicket)

	// ErrTicketOrigin is returned when the ticket was issued for a page of another origin,
	// or when the given origin is not one.
	ErrTicketOrigin = fmt.Errorf("%w: it is for another origin", ErrTicket)

	// ErrTicketSession is returned when the ticket's session was never saved, has ended, or
	// got another ID after the ticket was issued.
	ErrTicketSession = fmt.Errorf("%w: there is no session for it", ErrTicket)

	// ErrTicketBrowser is returned when the request's cookie is not for an ID that the
	// ticket's session has or had.
	ErrTicketBrowser = fmt.Errorf("%w: it is for another browser", ErrTicket)

	// ErrRandom is returned when the source of randomness fails, or Config.KeyGenerator
	// returns an unusable ID. No ID was issued.
	ErrRandom = errors.New("fibersession: cannot generate a session ID")

	errIDInUse = fmt.Errorf("%w: KeyGenerator returned one that is in use", ErrRandom)
)

// sentinels are the errors that every other exported error of this package matches.
var sentinels = []error{
	ErrSessionGone, ErrNotFound, ErrEmptySessionID, ErrRequestOver, ErrNoHandler, ErrReleased, ErrNested,
	ErrTooLarge, ErrTooManyKeys, ErrUnsupportedType, ErrType, ErrReservedKey, ErrNotInteger,
	ErrUnavailable, ErrUnknownOutcome, ErrUserKey, ErrUserID, ErrNoIndex, ErrTicket, ErrRandom,
}

// isSessionError reports whether a handler returned an error of this package. An error that
// the handler turned into a *fiber.Error is the handler's own answer.
func isSessionError(err error) bool {
	if err == nil || errors.As(err, new(*fiber.Error)) {
		return false
	}
	return slices.ContainsFunc(sentinels, func(target error) bool { return errors.Is(err, target) })
}

// noStore is the board of reportNoHandler. A nil Session has no store that could hold it.
var noStore notice.Board

// reportNoHandler logs that a method of a nil Session was called, and returns ErrNoHandler.
func reportNoHandler() error {
	noStore.Report(&usedWithoutHandlerNotice, "", "error", ErrNoHandler, "caller", notice.Caller{})
	return ErrNoHandler
}

// storeError wraps an error of the storage in ErrUnavailable or ErrUnknownOutcome. Its text
// does not contain the driver's, which may name a server and which handlers would show to
// visitors. The driver's error is logged, and stays available to errors.Is and errors.As.
func (s *Store) storeError(op, key string, err error) error {
	kind := ErrUnavailable
	if errors.Is(err, storage.ErrUnknownOutcome) {
		kind = ErrUnknownOutcome
	}
	e := &storageError{kind: kind, op: op, key: key, err: err}
	s.notices.Report(&storageFailedNotice, op, "operation", op, "cause", e)
	return e
}

type storageError struct {
	kind, err error
	op, key   string
}

func (e *storageError) Error() string { return e.kind.Error() + ": " + e.op }

// LogValue implements slog.LogValuer.
func (e *storageError) LogValue() slog.Value { return slog.StringValue(e.cause()) }

// cause returns the text of the driver's error without the session's key, which with
// Config.Builtin is the session's ID.
func (e *storageError) cause() string {
	text := e.err.Error()
	if e.key != "" {
		text = strings.ReplaceAll(text, e.key, "(key)")
	}
	return text
}

func (e *storageError) Unwrap() []error { return []error{e.kind, e.err} }
