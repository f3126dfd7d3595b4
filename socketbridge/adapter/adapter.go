package adapter

import (
	"context"
	"iter"
)

// Adapter links one node with the other nodes. The core calls Run once. All other
// methods are safe for concurrent use, also before and during Run. Publish, Ask and Nodes
// wait for Run if they are called before it, so that a server can send right after it was
// created. They wait for a bounded time, and then return an error that wraps ErrUnavailable
// and ErrNotBegun.
type Adapter interface {
	// Open subscribes the node to a namespace: from now on messages for it are
	// delivered. It does not block. Repeated calls do nothing.
	Open(namespace string)

	// Run receives messages for the node until ctx ends, and reconnects as needed. It
	// returns when all goroutines of the adapter have ended: either the error of ctx, or
	// the reason why the adapter cannot work at all.
	Run(ctx context.Context, n Node) error

	// Publish sends m to all other nodes that serve its namespace. Messages that one
	// goroutine publishes to the same rooms arrive at each node in the same order.
	// Errors wrap ErrUnavailable, ErrUnknownOutcome, ErrTooLarge or, after Run has ended,
	// ErrClosed.
	Publish(ctx context.Context, m *Message) error

	// Ask sends m to all other nodes that serve its namespace. It yields their replies as
	// they arrive and ends when all nodes have replied completely. After an error it
	// yields nothing more. If ctx ends first, the error wraps ErrIncomplete; other errors
	// are those of Publish. The caller may stop the iteration early, which releases all
	// resources.
	Ask(ctx context.Context, m *Message) iter.Seq2[*Reply, error]

	// Nodes returns the number of nodes that serve a namespace, including this one.
	Nodes(ctx context.Context, namespace string) (int, error)
}

// RoomWatcher is an optional interface of an Adapter. It tells the adapter which rooms
// have sockets on this node, so that the adapter can avoid receiving messages for other
// rooms. The core calls both methods in the order of the changes while it holds a lock,
// so they must neither block nor call the core. private is set for the room that is
// named after a socket's own ID.
type RoomWatcher interface {
	RoomOpened(namespace, room string, private bool)
	RoomClosed(namespace, room string, private bool)
}

// Reporter is an optional interface of an Adapter that counts what it drops, refuses and
// fails to do. socketbridge.Stats.Notices has its counts beside the server's own, so the
// names must differ from those.
type Reporter interface {
	// Notices returns how often each has happened, by its name.
	Notices() map[string]uint64
}

// Pinger is an optional interface of an Adapter that can tell whether this node sends and
// receives at present. Server.Ready of socketbridge calls it. For an adapter that is no
// Pinger it calls Nodes.
type Pinger interface {
	// Ping returns nil if the node can send to other nodes and receive from them. Otherwise
	// its error wraps ErrUnavailable or ErrClosed. It ends with its context.
	Ping(ctx context.Context) error
}

// Closer is an optional interface of an Adapter. Close is the reverse of Open: messages for
// the namespace need not be delivered any more. It does not block. The core calls it for
// namespaces that clients made (Server.OfPattern of socketbridge), never at the same time as
// Open, and can open the namespace again. With an adapter that is no Closer, the node stays
// subscribed to every namespace that it ever had.
type Closer interface {
	Close(namespace string)
}

// Node is the receiving side of an Adapter. The core implements it.
type Node interface {
	// ID returns the node's unique ID: 16 or more random letters and digits. It is
	// generated for each server.
	ID() string

	// Deliver handles a message that another node published. It does not block.
	Deliver(m *Message)

	// Answer yields this node's replies to a message of another node's Ask. It may take
	// until ctx ends, so the adapter must call it on a separate goroutine.
	Answer(ctx context.Context, m *Message) iter.Seq[*Reply]
}
