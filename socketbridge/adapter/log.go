package adapter

import (
	"context"
	"time"
)

// Log is the optional ability of an Adapter to keep broadcasts in one order for all
// nodes, and what remains of sockets whose connection broke: connection state
// recovery across nodes stands on it.
//
// A place is where a message stands in the order: a larger one is later, and 0 is
// before all. An offset is the same in words, for clients.
type Log interface {
	Adapter

	// Append adds a Broadcast that nobody answers to the log. Each node that serves
	// its namespace is delivered it, this one included, with Offset and Place, and
	// each in the same order. Append returns when this node has been, or when that
	// takes too long: then it comes later. Errors are those of Publish: with
	// ErrUnknownOutcome it may still come.
	Append(ctx context.Context, m *Message) error

	// Position returns the last place up to which this node has been delivered
	// everything: 0 when it has not begun.
	Position() uint64

	// Place reads an offset.
	Place(offset string) (place uint64, ok bool)

	// Since yields the kept messages of a namespace after a place, in order, until
	// the log's end as it is when Since is called, and returns the place of that
	// end; 0 when yield said false. ErrNotKept says that the log does not know what
	// came after that place.
	Since(ctx context.Context, namespace string, after uint64, yield func(*Message) bool) (end uint64, err error)

	// Keep keeps what remains of a socket for a time, under its private ID.
	Keep(ctx context.Context, r *RecoveryState, ttl time.Duration) error

	// Take returns what is kept under a private ID, once, or nil. It leaves alone
	// what is another namespace's or another owner's.
	Take(ctx context.Context, namespace, pid, owner string) (*RecoveryState, error)
}

// RecoveryState is the state that a Log stores for a socket whose connection was lost, so that the client can resume.
type RecoveryState struct {
	Namespace string // "" when who kept it did not say
	PID       string // the private ID
	ID        string
	Rooms     []string // all of them, its own among them
	Data      []byte   // a JSON object

	// Owner names whom the socket belongs to; "" is nobody in particular.
	Owner string

	// State is what the core wants to know besides, as JSON, or nil when something
	// else kept it.
	State []byte
}
