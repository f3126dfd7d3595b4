package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
)

// Error is an error response in the format of the protocol:
// {"code":1,"message":"Session ID unknown"}.
type Error struct {
	// Code is the protocol's error code, 0 to 5.
	Code int
	// Message is sent to the client.
	Message string

	status int // HTTP status; 0: the default of Code
}

// The errors of the protocol. Hooks.Lift may return one to refuse a connection.
var (
	ErrUnknownTransport    = &Error{Code: 0, Message: "Transport unknown"}
	ErrUnknownSID          = &Error{Code: 1, Message: "Session ID unknown"}
	ErrBadHandshakeMethod  = &Error{Code: 2, Message: "Bad handshake method"}
	ErrBadRequest          = &Error{Code: 3, Message: "Bad request"}
	ErrForbidden           = &Error{Code: 4, Message: "Forbidden"}
	ErrUnsupportedProtocol = &Error{Code: 5, Message: "Unsupported protocol version"}
)

// ErrShuttingDown refuses new connections while the server shuts down: status 503. An Acceptor
// may return it too.
var ErrShuttingDown = &Error{Code: 4, Message: "Server is shutting down", status: http.StatusServiceUnavailable}

// Errors whose HTTP status says more than the protocol's code.
var (
	errOtherVisitor     = &Error{Code: ErrUnknownSID.Code, Message: ErrUnknownSID.Message} // the hook SameVisitor reports it
	errAmbiguousRequest = &Error{Code: ErrBadRequest.Code, Message: ErrBadRequest.Message} // admit reports it
	errEncoding         = &Error{Code: 3, Message: "Content-Encoding is not supported", status: http.StatusUnsupportedMediaType}
	errTooLarge         = &Error{Code: 3, Message: "Payload too large", status: http.StatusRequestEntityTooLarge}
	errBodiesFull       = &Error{Code: 3, Message: "Too many large requests", status: http.StatusServiceUnavailable}
	errNoUpgrade        = &Error{Code: 3, Message: "A WebSocket upgrade is required", status: http.StatusUpgradeRequired}
	errNoHijack         = &Error{Code: 3, Message: "WebSocket is not available"}
	errVersion          = &Error{Code: 3, Message: "WebSocket version 13 is required", status: http.StatusUpgradeRequired}
	errTooMany          = &Error{Code: 4, Message: "Too many connections", status: http.StatusTooManyRequests}
	errFull             = &Error{Code: 4, Message: "Too many connections", status: http.StatusServiceUnavailable}
	errInternal         = &Error{Code: 4, Message: "Internal error", status: http.StatusInternalServerError}
)

// Error returns Message with the package's name.
func (e *Error) Error() string { return "engineio: " + e.Message }

// MarshalJSON returns the error as it is sent to clients.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

// Status returns the HTTP status of the response. It is 403 for code 4 and 400 for all
// other codes. Some errors of this package have 413, 415, 426, 429, 500 or 503 instead.
func (e *Error) Status() int {
	switch {
	case e.status != 0:
		return e.status
	case e.Code == ErrForbidden.Code:
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// Causes of a connection's end, as passed to Receiver.Closed. Other causes are errors of the
// network.
var (
	// ErrOverlap means that the client sent a poll or a post while another one was in
	// progress.
	ErrOverlap = errors.New("engineio: two polls or two posts of one connection at the same time")
	// ErrPing means that the client sent a ping. Only the server may send pings.
	ErrPing = errors.New("engineio: the client sent a ping")
	// ErrFlood means that the client kept sending faster than Config.Limits.PacketsPerSecond
	// or BytesPerSecond allow.
	ErrFlood = errors.New("engineio: the client sends too fast")
	// ErrRefused means that the Acceptor returned no Receiver for the connection.
	ErrRefused = errors.New("engineio: the connection was not accepted")
	// ErrPanic means that the Acceptor or the Receiver panicked.
	ErrPanic = errors.New("engineio: the receiver panicked")

	errNoPong      = errors.New("engineio: the client did not answer a ping in time (Config.PingTimeout)")
	errNotOpened   = errors.New("engineio: the WebSocket was not opened in time (Config.Timeouts.Upgrade)")
	errSlowMessage = errors.New("engineio: the client did not finish a message in time (Config.PingInterval and PingTimeout)")
	errNotDrained  = errors.New("engineio: the client did not read the queued messages in time (Config.Timeouts.Close)")
)
