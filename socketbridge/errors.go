package socketbridge

import (
	"errors"
	"fmt"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

var (
	// ErrDisconnected says that the socket has left its namespace or lost its
	// connection: nothing was sent, or the answer can no longer come.
	ErrDisconnected = errors.New("socketbridge: socket is disconnected")

	// ErrAckTimeout says that the client did not answer in time. It may have
	// handled the event all the same.
	ErrAckTimeout = errors.New("socketbridge: no answer in time")

	// ErrTooManyAcks says that 1024 answers of this socket are already
	// awaited. Nothing was sent.
	ErrTooManyAcks = errors.New("socketbridge: too many answers pending")

	// ErrNoAcks says that the client speaks plain messages and did not ask for
	// acknowledgements (PlainAcks). Nothing was sent.
	ErrNoAcks = errors.New("socketbridge: client knows no acknowledgements")

	// ErrAcked says that the packet was answered before. Only the first answer
	// counts.
	ErrAcked = errors.New("socketbridge: packet is already answered")

	// ErrReservedEvent says that the event's name belongs to the protocol:
	// connect, connect_error, disconnect, disconnecting, newListener or
	// removeListener. Nothing was sent.
	ErrReservedEvent = errors.New("socketbridge: event name is reserved")

	// ErrTooManyRooms says that the socket is in MaxRooms rooms.
	ErrTooManyRooms = errors.New("socketbridge: socket is in too many rooms")

	// ErrTooManyConns says that the socket's user has MaxConnsPerUser connections.
	ErrTooManyConns = errors.New("socketbridge: user has too many connections")

	// ErrRoomName says that a room's name is empty, longer than 256 bytes, not valid
	// UTF-8, or begins with "fiberbridge:", as those of the bridge's own rooms do.
	ErrRoomName = errors.New("socketbridge: bad room name")

	// ErrMissingArg says that Bind was asked for more arguments than came.
	ErrMissingArg = errors.New("socketbridge: argument is missing")

	// ErrFlood says that a client kept sending faster than its limits allow; its
	// connection was closed.
	ErrFlood = errors.New("socketbridge: client sends too fast")

	// ErrShutdown says that the server is shutting down.
	ErrShutdown = errors.New("socketbridge: server is shutting down")

	// ErrNoSession says that the namespace shares no session (SessionNone), or
	// that the server has no Sessions.
	ErrNoSession = errors.New("socketbridge: no session is shared here")

	// ErrSessionMissing says that a client came without a session to a namespace that
	// requires one (Namespace.RequireSession): without a cookie or a ticket, with one
	// that names no session, or with a new session that nothing was stored in yet.
	ErrSessionMissing = errors.New("socketbridge: client has no session")

	// ErrRenewed says that the session got a new ID since the client came, and that
	// Config.OnRegenerate wants it to come anew.
	ErrRenewed = errors.New("socketbridge: session has a new ID")

	errPanic    = errors.New("socketbridge: handler panicked")
	errProtocol = errors.New("socketbridge: protocol violation")
	errNotNext  = errors.New("socketbridge: a connect middleware returned without calling Next")
)

// Stable codes of the errors that the bridge itself tells a client, in the data
// of a connect_error and in the answer to a packet.
const (
	CodeSessionGone        = "session_gone"        // the session ended: log in again
	CodeSessionMissing     = "session_missing"     // the client has none, and needs one here: log in
	CodeSessionRenewed     = "session_renewed"     // it has a new ID: connect again, with the new cookie
	CodeSessionUnavailable = "session_unavailable" // the store could not be asked: try again later
	CodeUnknownOutcome     = "unknown_outcome"     // a save was sent and never answered
	CodeSessionTooLarge    = "session_too_large"   // the change does not fit; the old value is kept
	CodeInternal           = "internal_error"      // the handler failed or panicked, or its change cannot be stored
	CodeTicketInvalid      = "ticket_invalid"      // the ticket is none, or not good any more: fetch a new one
	CodeForbidden          = "forbidden"           // a connect middleware refused without saying why
	CodeTooMany            = "too_many"            // a limit of the server
)

// ConnectError refuses a connection to a namespace and tells the client why:
// Message and Data arrive in its connect_error event. A connect middleware that
// returns any other error refuses too, but its text stays on the server.
type ConnectError struct {
	Message string
	Data    any // encoded as JSON; nil is left out
}

// Error returns the message.
func (e *ConnectError) Error() string { return e.Message }

// EventError ends a packet and tells the client why. When the client asked for
// an answer and none was given yet, it is answered with
// {"error":{"code":…,"message":…,"data":…}}. For any other error of an event's handler,
// that has no code of its own, the code is CodeInternal: its text stays on the server.
// Any other error of a Socket.Use middleware is not answered, as in Socket.IO.
type EventError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// Error returns code and message.
func (e *EventError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// public returns what the client may know of err, or nil when that is not known.
func public(err error) *EventError {
	var ee *EventError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ee):
		return ee
	case errors.Is(err, fibersession.ErrTicket):
		return &EventError{Code: CodeTicketInvalid, Message: "the ticket is not valid"}
	case errors.Is(err, ErrSessionMissing):
		return &EventError{Code: CodeSessionMissing, Message: "there is no session"}
	case errors.Is(err, ErrRenewed):
		return &EventError{Code: CodeSessionRenewed, Message: "the session has a new ID"}
	case errors.Is(err, fibersession.ErrSessionGone):
		return &EventError{Code: CodeSessionGone, Message: "the session has ended"}
	case errors.Is(err, fibersession.ErrUnknownOutcome):
		return &EventError{Code: CodeUnknownOutcome, Message: "the change may or may not have been saved"}
	case errors.Is(err, fibersession.ErrUnavailable):
		return &EventError{Code: CodeSessionUnavailable, Message: "the session store is unavailable"}
	case errors.Is(err, fibersession.ErrTooLarge), errors.Is(err, fibersession.ErrTooManyKeys):
		return &EventError{Code: CodeSessionTooLarge, Message: "the session is full"}
	case errors.Is(err, ErrTooManyConns):
		return &EventError{Code: CodeTooMany, Message: "too many connections"}
	case errors.Is(err, errPanic), errors.Is(err, fibersession.ErrUnsupportedType):
		return &EventError{Code: CodeInternal, Message: "internal error"}
	default:
		return nil
	}
}
