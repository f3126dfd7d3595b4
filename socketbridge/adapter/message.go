package adapter

import "time"

// Kind is the type of a Message.
type Kind uint8

const (
	// Broadcast emits the event Payload to the addressed sockets. If it was sent by Ask,
	// each node first replies Counted, the number of its addressed clients, and then one
	// Answered for each client that answers.
	Broadcast Kind = iota + 1
	// Join adds the addressed sockets to the rooms Targets. It is never sent by Ask.
	Join
	// Leave removes the addressed sockets from the rooms Targets. It is never sent by Ask.
	Leave
	// Disconnect disconnects the addressed sockets and, if Close is set, closes their
	// connections. It is never sent by Ask.
	Disconnect
	// Fetch asks for descriptions of the addressed sockets. Each node replies once.
	Fetch
	// ListRooms asks for the names of all rooms. Each node replies once.
	ListRooms
	// ServerSide emits the event Payload to the other servers. If it was sent by Ask, each
	// node with a handler replies with one Answered.
	ServerSide
)

// Payload is the encoded content of an event or an answer, as in a Socket.IO packet.
type Payload struct {
	// JSON is an array: the name and the arguments of an event, or the arguments of an
	// answer. The object {"_placeholder":true,"num":i} represents attachment i. Without
	// attachments, objects that look like placeholders are plain data.
	JSON []byte
	// Attachments are the binary parts, by number.
	Attachments [][]byte
}

// Message is sent from one node to the others. It is immutable: receivers must modify
// neither the Message nor the memory that it refers to.
type Message struct {
	Kind      Kind
	Namespace string

	// Rooms and Except address sockets: those in any of Rooms, or all if Rooms is empty,
	// that are in none of Except. The ID of a socket is also the name of a room.
	Rooms, Except []string

	// Volatile and NoCompress are flags of a Broadcast.
	Volatile   bool
	NoCompress bool

	// Timeout is the time that clients (for a Broadcast) or servers have to answer. If it
	// is 0, the receiving node chooses.
	Timeout time.Duration

	// Payload is the event of a Broadcast or a ServerSide.
	Payload Payload

	// Targets are the rooms of a Join or a Leave.
	Targets []string

	// Close makes a Disconnect close the connections too.
	Close bool

	// Offset and Position are the position in a Log of a delivered Broadcast. They are ""
	// and 0 if no Log stores the message.
	Offset   string
	Position uint64

	// Trace is the W3C trace context ("traceparent") of the operation that sent the message,
	// or "". It is at most 128 bytes. An adapter passes it on if its format has room for it.
	Trace string
}

// ReplyKind is the type of a Reply.
type ReplyKind uint8

const (
	// Counted contains the number of the node's clients that the event was sent to, in
	// Clients.
	Counted ReplyKind = iota + 1
	// Answered contains one answer: Payload is the array of its arguments.
	Answered
	// Fetched contains the node's addressed sockets, in Sockets.
	Fetched
	// Listed contains the names of the node's rooms, in Rooms.
	Listed
)

// Reply is one of a node's replies to a Message that was sent by Ask.
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
	User      string // the ID of the session's user; "" if there is none, or if the other node does not say
	Session   string // a name of the session that is not its ID; likewise
}

// Complete determines when all replies to one message have arrived. Create it with
// NewComplete and pass it each reply. It is not safe for concurrent use.
type Complete struct {
	nodes     int // replies or counts that have not arrived
	clients   int // answers that have not arrived
	broadcast bool
}

// NewComplete returns a Complete for a message of kind k that was sent to nodes other
// nodes.
func NewComplete(k Kind, nodes int) *Complete {
	return &Complete{nodes: nodes, broadcast: k == Broadcast}
}

// Add counts a reply. An answer may arrive before the count of its node.
func (c *Complete) Add(r *Reply) {
	switch {
	case !c.broadcast || r.Kind == Counted:
		c.nodes--
		c.clients += r.Clients
	case r.Kind == Answered:
		c.clients--
	}
}

// Done reports whether all replies have arrived.
func (c *Complete) Done() bool { return c.nodes <= 0 && c.clients <= 0 }
