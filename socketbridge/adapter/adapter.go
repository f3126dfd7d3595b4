package adapter

import (
	"context"
	"iter"
	"time"
)

// Adapter links one node with the others. Run is called once; the rest is safe for
// concurrent use, before and while it runs.
type Adapter interface {
	// Open says that the node serves a namespace from now on: messages for it are
	// to be delivered. It does not wait, and does nothing the second time.
	Open(namespace string)

	// Run receives for the node until ctx ends, and reconnects by itself. It returns
	// when nothing of it runs any more: the context's error, or why it cannot work
	// at all.
	Run(ctx context.Context, n Node) error

	// Publish sends m to all other nodes that serve its namespace. Messages that
	// one goroutine publishes to the same rooms arrive at each node in that order.
	// Errors wrap ErrUnavailable, ErrUnknownOutcome, ErrTooLarge or ErrClosed.
	Publish(ctx context.Context, m *Message) error

	// Ask sends m to all other nodes that serve its namespace and yields their
	// replies as they come, until all have replied in full. An error is the last
	// that it yields: ErrIncomplete when ctx ends first, or those of Publish. To
	// stop early is to lose interest, and frees everything.
	Ask(ctx context.Context, m *Message) iter.Seq2[*Reply, error]

	// Nodes returns how many nodes serve a namespace, this one included.
	Nodes(ctx context.Context, namespace string) (int, error)
}

// RoomWatcher is the optional ability of an Adapter to follow which rooms have
// sockets on this node, so that it need not receive what is meant for others.
// Both methods are called in the order of what happens, with a lock held: they must
// neither wait nor call back. Private tells the room of one socket's own ID.
type RoomWatcher interface {
	RoomOpened(namespace, room string, private bool)
	RoomClosed(namespace, room string, private bool)
}

// Node is the core's end: what other nodes ask of this one.
type Node interface {
	// ID names the node among the others: 16 characters or more of letters and
	// digits, drawn anew each time a server is made.
	ID() string

	// Deliver takes a published message of another node. It does not wait.
	Deliver(m *Message)

	// Answer yields this node's replies to a message that another node asked. It
	// may take as long as ctx lasts: run it on a goroutine of its own.
	Answer(ctx context.Context, m *Message) iter.Seq[*Reply]
}

// Kind says what a Message wants.
type Kind uint8

const (
	// Broadcast sends the event Payload to the addressed sockets. Asked, each
	// node replies first with Counted, the number of its addressed clients, and then
	// with one Answered for each client that answers.
	Broadcast Kind = iota + 1
	// Join adds the addressed sockets to Targets. It is not asked.
	Join
	// Leave takes the addressed sockets out of Targets. It is not asked.
	Leave
	// Disconnect disconnects the addressed sockets; with Close, their whole
	// connections. It is not asked.
	Disconnect
	// Fetch asks for a description of the addressed sockets: one reply per node.
	Fetch
	// ListRooms asks for the names of all rooms: one reply per node.
	ListRooms
	// ServerSide is an event for the servers: Payload. Asked, each node that has a
	// handler replies with one Answered.
	ServerSide
)

// Payload is what an event or an answer carries, as Socket.IO has it in a packet.
type Payload struct {
	// JSON is an array: of an event, its name and arguments. Where attachment i
	// stands, it has {"_placeholder":true,"num":i}. Without attachments, what looks
	// so is plain data.
	JSON []byte
	// Attachments are the binary parts, by number.
	Attachments [][]byte
}

// Message is what one node sends to the others. Who has one must not change it,
// nor the memory it refers to.
type Message struct {
	Kind      Kind
	Namespace string

	// Rooms and Except address sockets: those in any of Rooms (all when it is
	// empty) and in none of Except. The ID of a socket is a room too.
	Rooms, Except []string

	// Volatile and NoCompress are flags of a Broadcast.
	Volatile   bool
	NoCompress bool

	// Timeout is how long clients (of a Broadcast) or servers have to answer. 0
	// leaves it to the node that is asked.
	Timeout time.Duration

	// Payload is the event of a Broadcast or ServerSide.
	Payload Payload

	// Targets are the rooms of a Join or Leave.
	Targets []string

	// Close is for a Disconnect.
	Close bool

	// Offset and Place say where in a Log a Broadcast stands that is delivered from
	// there; "" and 0 when it is kept nowhere.
	Offset string
	Place  uint64
}

// ReplyKind says what a Reply holds.
type ReplyKind uint8

const (
	// Counted: Clients is how many clients of the node were sent the event.
	Counted ReplyKind = iota + 1
	// Answered: Payload is the array of arguments of one answer.
	Answered
	// Fetched: Sockets are the node's addressed sockets.
	Fetched
	// Listed: Rooms are the node's rooms.
	Listed
)

// Reply is one of a node's replies to a Message that was asked.
type Reply struct {
	Kind    ReplyKind
	Clients int
	Payload Payload
	Sockets []Socket
	Rooms   []string
}

// Socket describes a socket of another node.
type Socket struct {
	ID        string
	Rooms     []string
	Handshake []byte // a JSON object
	Data      []byte // a JSON object
}

// Complete tells when the replies to one message are all there. Make it with what
// was asked and the number of other nodes, and give it each reply.
type Complete struct {
	nodes     int // that have still to reply, or to count
	clients   int // answers that are still to come
	broadcast bool
}

// NewComplete returns a Complete for a message asked of nodes other nodes.
func NewComplete(k Kind, nodes int) *Complete {
	return &Complete{nodes: nodes, broadcast: k == Broadcast}
}

// Add takes a reply. An answer may overtake its node's count.
func (c *Complete) Add(r *Reply) {
	switch {
	case !c.broadcast || r.Kind == Counted:
		c.nodes--
		c.clients += r.Clients
	case r.Kind == Answered:
		c.clients--
	}
}

// Done says that nothing more is to come.
func (c *Complete) Done() bool { return c.nodes <= 0 && c.clients <= 0 }
