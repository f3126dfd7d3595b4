package adapter

import "errors"

var (
	// ErrUnavailable says that a message could not be sent: no other node has it.
	ErrUnavailable = errors.New("adapter: other nodes cannot be reached")

	// ErrUnknownOutcome says that a message was sent and what carries it did not
	// confirm it: other nodes may have it or not.
	ErrUnknownOutcome = errors.New("adapter: outcome of a publish is unknown")

	// ErrIncomplete says that a node's replies did not all come in time: what came
	// is good, and something is missing.
	ErrIncomplete = errors.New("adapter: not all nodes have replied")

	// ErrTooLarge says that a message is larger than the adapter carries. Nothing
	// was sent.
	ErrTooLarge = errors.New("adapter: message is too large")

	// ErrNotKept says that a Log does not keep all of what was asked for: part of it
	// is too old, or was never there.
	ErrNotKept = errors.New("adapter: not all of it is kept")

	// ErrClosed says that the adapter does not run any more. Nothing was sent.
	ErrClosed = errors.New("adapter: closed")
)
