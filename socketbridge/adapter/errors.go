package adapter

import "errors"

var (
	// ErrUnavailable means that the message could not be sent. No other node has received
	// it.
	ErrUnavailable = errors.New("adapter: other nodes cannot be reached")

	// ErrUnknownOutcome means that the message was sent but not confirmed. Other nodes may
	// or may not have received it.
	ErrUnknownOutcome = errors.New("adapter: outcome of a publish is unknown")

	// ErrIncomplete means that some replies did not arrive in time. The replies that did
	// arrive are valid.
	ErrIncomplete = errors.New("adapter: not all nodes have replied")

	// ErrTooLarge means that the message exceeds the adapter's size limit. Nothing was
	// sent.
	ErrTooLarge = errors.New("adapter: message is too large")

	// ErrNotKept means that a Log no longer stores all of the requested messages, or never
	// did.
	ErrNotKept = errors.New("adapter: log does not store all of the requested messages")

	// ErrClosed means that the adapter has ended. Nothing was sent.
	ErrClosed = errors.New("adapter: closed")

	// ErrNotBegun is the cause of an ErrUnavailable: Run has not begun in the time that a
	// call waits for it. Nothing was sent.
	ErrNotBegun = errors.New("adapter: Run was not called")
)
