package socketbridge

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

var (
	// ErrDisconnected is returned if the socket has left its namespace or lost its
	// connection: nothing was sent, or no answer can arrive any more.
	ErrDisconnected = errors.New("socketbridge: socket is disconnected")

	// ErrAckTimeout is returned if the client did not answer in time. It may have handled
	// the event nevertheless.
	ErrAckTimeout = errors.New("socketbridge: no answer in time")

	// ErrTooManyAcks is returned if 1024 answers of this socket are already pending.
	// Nothing was sent.
	ErrTooManyAcks = errors.New("socketbridge: too many pending answers")

	// ErrBadAnswer is returned if the client's answer has more than 64 arguments, 10 binary
	// attachments, engineio.Config.MaxPayload bytes in them, or 128 levels of nesting.
	ErrBadAnswer = errors.New("socketbridge: answer is over a limit")

	// ErrNoAcks is returned if a client of Namespace.WebSocket did not enable
	// acknowledgements (PlainAcks). Nothing was sent.
	ErrNoAcks = errors.New("socketbridge: client does not support acknowledgements")

	// ErrAcked is returned if the packet was already answered. Only the first answer
	// counts.
	ErrAcked = errors.New("socketbridge: packet is already answered")

	// ErrReservedEvent is returned if the event's name is reserved by the protocol:
	// connect, connect_error, disconnect, disconnecting, newListener or removeListener.
	// Nothing was sent.
	ErrReservedEvent = errors.New("socketbridge: event name is reserved")

	// ErrTooManyRooms is returned if the socket would be in more than
	// Config.Limits.MaxRooms rooms.
	ErrTooManyRooms = errors.New("socketbridge: socket is in too many rooms")

	// ErrTooManyConns is returned if the socket's user would have more than
	// Config.Limits.MaxConnsPerUser connections.
	ErrTooManyConns = errors.New("socketbridge: user has too many connections")

	// ErrRoomName is returned if a room's name is empty, longer than 256 bytes, not valid
	// UTF-8, or begins with "fiberbridge:", which is reserved for the server's own rooms:
	// see ToSession and ToUser.
	ErrRoomName = errors.New("socketbridge: invalid room name")

	// ErrNoPresence is returned by a server that is not a node (adapter.EmitOnly) if it cannot
	// see which users are online: Config.Sessions is nil or has no UserKey, or its storage is
	// no storage.Index.
	ErrNoPresence = errors.New("socketbridge: online users are not known without Config.Sessions, its UserKey and a storage with an index")

	// ErrNoSessions is returned if users are addressed on a server that is not a node
	// (adapter.EmitOnly) and has no Config.Sessions. Nothing was sent.
	ErrNoSessions = errors.New("socketbridge: users cannot be addressed without Config.Sessions")

	// ErrMissingArg is returned by Bind if it is given more pointers than there are
	// arguments. Packet.Bind wraps it in an ArgumentError.
	ErrMissingArg = errors.New("socketbridge: argument is missing")

	// ErrFlood is logged when a connection is closed because its client kept exceeding
	// Config.Limits.EventsPerSecond or BytesPerSecond.
	ErrFlood = engineio.ErrFlood

	// ErrShutdown is returned if the server is shutting down. The client gets status 503.
	ErrShutdown error = shutdownError{}

	// ErrNoSession is returned if the namespace shares no session (SessionNone), or the
	// server has no Config.Sessions.
	ErrNoSession = errors.New("socketbridge: no session is shared here")

	// ErrSessionMissing refuses a client without a stored session in a namespace that
	// requires one (Namespace.RequireSession): the client sent neither cookie nor ticket,
	// the cookie names no session, or nothing was stored in the session yet.
	ErrSessionMissing = errors.New("socketbridge: client has no session")

	// ErrRenewed refuses a socket because its session got a new ID and
	// Config.OnRegenerate did not return ActionStay.
	ErrRenewed = errors.New("socketbridge: session has a new ID")

	errPanic    = errors.New("socketbridge: handler panicked")
	errProtocol = errors.New("socketbridge: protocol violation")
	errNotNext  = errors.New("socketbridge: a connect middleware returned without calling Next")
)

// Stable codes of the errors that the server itself sends to clients, in the data of a
// connect_error and in the answer to an event.
const (
	CodeSessionGone        = "session_gone"        // the session has ended: log in again
	CodeSessionMissing     = "session_missing"     // the namespace requires a session: log in
	CodeSessionRenewed     = "session_renewed"     // the session has a new ID: reconnect with the new cookie
	CodeSessionUnavailable = "session_unavailable" // the store failed: try again later
	CodeUnknownOutcome     = "unknown_outcome"     // the store did not confirm a save: it may have happened
	CodeSessionTooLarge    = "session_too_large"   // the change does not fit; the old value is kept
	CodeBadArguments       = "bad_arguments"       // the event's arguments are missing, do not fit the handler or exceed a limit; or a CONNECT's auth does
	CodeInvalidArgument    = "invalid_argument"    // the event's arguments do not fit its Go type: see package contract
	CodeInternal           = "internal_error"      // the handler failed or panicked, or its change cannot be stored
	CodeTicketInvalid      = "ticket_invalid"      // the ticket is malformed, used or expired: fetch a new one
	CodeForbidden          = "forbidden"           // a connect middleware refused the client without a reason
	CodeWrongParser        = "wrong_parser"        // the client's parser option is not that of the server (Config.Parser)
	CodeTooMany            = "too_many"            // a limit of the server was reached
)

// ArgumentError is the error of Packet.Bind, and of a typed event (package contract) whose
// arguments do not fit. If the client requested an acknowledgement, it gets Code as the answer's
// code.
//
// After Bind, the message has the position, and the data is {"argument":…} with the position.
// What is wrong with the argument stays on the server, because it can name the handler's Go
// types. After a typed event, the data is {"path":…,"expected":…}.
type ArgumentError struct {
	// Event is the event's name.
	Event string
	// Position of the argument, from 0.
	Position int
	// Err is ErrMissingArg, or the error of encoding/json or of a type that decodes itself, whose
	// text can quote the argument. Of a typed event, it says what was expected where, and holds
	// nothing that the client has sent.
	Err error
	// Path and Expected are what the client of a typed event gets, and empty after Bind. Path is
	// a JSON pointer, and can have keys that the client has chosen.
	Path, Expected string
}

// Code returns CodeInvalidArgument for a typed event, and CodeBadArguments otherwise.
func (e *ArgumentError) Code() string {
	if e.Path != "" {
		return CodeInvalidArgument
	}
	return CodeBadArguments
}

// Error returns the event, the position, and what was expected. It is logged, so apart from the
// event's name it holds nothing that the client has sent. Err can say more.
func (e *ArgumentError) Error() string {
	reason := ""
	if e.Path != "" || errors.Is(e.Err, ErrMissingArg) {
		reason = e.Err.Error()
	} else {
		reason = misfit(e.Err)
	}
	return fmt.Sprintf("socketbridge: argument %d of %q: %s", e.Position, e.Event, reason)
}

// misfit says why an argument cannot be decoded, without the value, which texts of encoding/json
// and of types that decode themselves can have.
func misfit(err error) string {
	var (
		answer *EventError
		typ    *json.UnmarshalTypeError
		base   base64.CorruptInputError
	)
	switch {
	case errors.As(err, &answer): // words of the app
		return answer.Error()
	case errors.As(err, &typ):
		where := ""
		if typ.Field != "" {
			where = "field " + typ.Field + ": "
		}
		got, _, _ := strings.Cut(typ.Value, " ") // "number 300"
		return fmt.Sprintf("%sexpected %v, got a JSON %s", where, typ.Type, got)
	case errors.As(err, &base):
		return "expected binary data, got a string that is no base64"
	case errors.Is(err, siopacket.ErrUnsupported):
		return err.Error()
	}
	return fmt.Sprintf("its Go type refuses the value, with a %T", err)
}

// Unwrap returns Err.
func (e *ArgumentError) Unwrap() error { return e.Err }

// bindError is the error of Answer.Bind, Value.Bind and Auth. As that of Packet.Bind, its text holds
// nothing that a client has sent, because apps log it. The cause can quote the value.
type bindError struct {
	what  string
	cause error
}

func (e *bindError) Error() string {
	if invalid := (*json.InvalidUnmarshalError)(nil); errors.As(e.cause, &invalid) {
		return "socketbridge: " + e.what + ": " + e.cause.Error() // about the pointer, not the value
	}
	return "socketbridge: " + e.what + ": " + misfit(e.cause)
}

func (e *bindError) Unwrap() error { return e.cause }

// decodeAuth decodes a client's auth option into v, or leaves v unchanged if there is none.
func decodeAuth(auth json.RawMessage, v any) error {
	if len(auth) == 0 {
		return nil
	}
	if err := json.Unmarshal(auth, v); err != nil {
		return &bindError{"auth", err}
	}
	return nil
}

// clientError returns the client's view of e.
func (e *ArgumentError) clientError() *EventError {
	if e.Path != "" {
		return &EventError{
			Code:    e.Code(),
			Message: "expected " + e.Expected + " at " + e.Path,
			Data:    map[string]string{"path": e.Path, "expected": e.Expected},
		}
	}
	what := "does not have the expected type"
	if errors.Is(e.Err, ErrMissingArg) {
		what = "is missing"
	}
	return &EventError{
		Code:    e.Code(),
		Message: fmt.Sprintf("argument %d %s", e.Position, what),
		Data:    map[string]any{"argument": e.Position},
	}
}

// ConnectError refuses a client in a connect middleware. The client gets Message and Data
// in its connect_error event. Any other error refuses the client too, but its text stays
// on the server.
type ConnectError struct {
	Message string
	Data    any // encoded as JSON; omitted if nil
}

// Error returns the message.
func (e *ConnectError) Error() string { return e.Message }

// EventError is an error that a handler returns for the client to see. If the client
// requested an acknowledgement and was not answered yet, the answer is
// {"error":{"code":…,"message":…,"data":…}}.
//
// Other errors stay on the server. The bridge's own errors are sent with their code (see
// CodeSessionGone and the others); any other error of an event handler is sent as
// CodeInternal, without its text. As in Socket.IO, any other error of a Socket.Use
// middleware is not sent at all.
type EventError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// Error returns the code and the message.
func (e *EventError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// clientError returns the client's view of err, or nil if err has none.
func clientError(err error) *EventError {
	var (
		ee *EventError
		ae *ArgumentError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ee):
		return ee
	case errors.As(err, &ae):
		return ae.clientError()
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

// shutdownError is the type of ErrShutdown.
type shutdownError struct{}

func (shutdownError) Error() string { return "socketbridge: server is shutting down" }

// Unwrap lets the transport answer with 503.
func (shutdownError) Unwrap() error { return engineio.ErrShuttingDown }
