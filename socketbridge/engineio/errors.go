package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Error is an answer that refuses a request, in the protocol's own form:
// {"code":1,"message":"Session ID unknown"}.
type Error struct {
	// Code is the protocol's number, 0 to 5.
	Code int
	// Message is sent to the client.
	Message string

	status int // 0: what the code means
}

// The protocol's errors. A Lift function may return one to refuse a connection.
var (
	ErrUnknownTransport    = &Error{Code: 0, Message: "Transport unknown"}
	ErrUnknownSID          = &Error{Code: 1, Message: "Session ID unknown"}
	ErrBadHandshakeMethod  = &Error{Code: 2, Message: "Bad handshake method"}
	ErrBadRequest          = &Error{Code: 3, Message: "Bad request"}
	ErrForbidden           = &Error{Code: 4, Message: "Forbidden"}
	ErrUnsupportedProtocol = &Error{Code: 5, Message: "Unsupported protocol version"}
)

// Refusals whose HTTP status says more than the protocol's code.
var (
	errEncoding     = &Error{Code: 3, Message: "Content-Encoding is not supported", status: http.StatusUnsupportedMediaType}
	errTooLarge     = &Error{Code: 3, Message: "Payload too large", status: http.StatusRequestEntityTooLarge}
	errNoUpgrade    = &Error{Code: 3, Message: "A WebSocket upgrade is required", status: http.StatusUpgradeRequired}
	errVersion      = &Error{Code: 3, Message: "WebSocket version 13 is required", status: http.StatusUpgradeRequired}
	errTooMany      = &Error{Code: 4, Message: "Too many connections", status: http.StatusTooManyRequests}
	errFull         = &Error{Code: 4, Message: "Too many connections", status: http.StatusServiceUnavailable}
	errInternal     = &Error{Code: 4, Message: "Internal error", status: http.StatusInternalServerError}
	errShuttingDown = &Error{Code: 4, Message: "Server is shutting down", status: http.StatusServiceUnavailable}
)

// Error returns the message with the package's name.
func (e *Error) Error() string { return "engineio: " + e.Message }

// MarshalJSON writes the error as clients get it.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

// Status returns the HTTP status that the error is answered with: 403 for code 4,
// 400 for the others, and 413, 415, 426, 429, 500 or 503 for some of this package's own.
func (e *Error) Status() int {
	switch {
	case e.status != 0:
		return e.status
	case e.Code == ErrForbidden.Code:
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// Causes of the end of a connection, as Receiver.Closed gets them. Others come
// from the network.
var (
	// ErrOverlap: the client sent a request while its last one of the same kind
	// was still open.
	ErrOverlap = errors.New("engineio: two requests of one connection at the same time")
	// ErrPing: the client sent a ping, which is the server's to send.
	ErrPing = errors.New("engineio: a ping from the client")
	// ErrRefused: the Acceptor did not take the connection.
	ErrRefused = errors.New("engineio: connection was not accepted")
	// ErrPanic: the Receiver panicked.
	ErrPanic = errors.New("engineio: the receiver panicked")

	errNoPong     = errors.New("engineio: no pong in time")
	errNotCarried = errors.New("engineio: the WebSocket was not opened in time")
	errNotDrained = errors.New("engineio: the client did not take what was queued in time")
)
