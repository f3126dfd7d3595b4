package adapter

import (
	"context"
	"time"
)

// Log is an optional interface of an Adapter. A Log stores broadcasts for a while, those of
// a namespace in one order for all nodes, and the state of sockets whose connection was lost. Connection
// state recovery across nodes requires it.
//
// The position of a message is its number in the order of its namespace. Positions increase; 0 is before the
// first message. An offset is a position as a string, for clients.
type Log interface {
	Adapter

	// Append adds a Broadcast to the log. The Log delivers it, with Offset and Position set,
	// to each node that serves its namespace, including this one, in the same order on
	// each. Append returns when the message has been delivered to this node, or after a
	// timeout; in that case it is delivered later. Clients do not answer the message.
	// Errors are those of Publish. After ErrUnknownOutcome the message may still be
	// delivered.
	Append(ctx context.Context, m *Message) error

	// Position returns the position up to which all messages of a namespace have been
	// delivered to this node, or 0 before Run.
	Position(namespace string) uint64

	// ParseOffset parses an offset. It reports whether the offset is valid.
	ParseOffset(offset string) (position uint64, ok bool)

	// Since calls yield for each stored message of a namespace after a position, in order, up
	// to the end of the log at the time of the call. It returns the position of that end, or
	// 0 if yield returned false. It returns ErrNotKept if messages after the position are no
	// longer stored, or if the position is not in the log.
	Since(ctx context.Context, namespace string, after uint64, yield func(*Message) bool) (end uint64, err error)

	// SaveState stores the state of a socket for the duration ttl, under its private ID.
	SaveState(ctx context.Context, r *RecoveryState, ttl time.Duration) error

	// TakeState removes and returns the state that is stored under a private ID. Of
	// concurrent calls, only one gets it. TakeState returns nil if there is none, or if it
	// belongs to another namespace or owner; then it stays stored.
	TakeState(ctx context.Context, namespace, pid, owner string) (*RecoveryState, error)
}

// RecoveryState is the state of a socket whose connection was lost. A Log stores it so
// that the client can resume on any node.
type RecoveryState struct {
	Namespace string // "" if the writer did not record it
	PID       string // the private ID, a secret of the client
	ID        string
	Rooms     []string // all rooms, including the one named after the socket's ID
	Data      []byte   // a JSON object

	// Owner identifies the owner of the socket. "" means that it has none.
	Owner string

	// State is additional state of the core, as JSON. It is nil if another implementation
	// of Socket.IO stored the RecoveryState.
	State []byte
}
