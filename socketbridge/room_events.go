package socketbridge

import "sync"

// RoomEventKind is what a RoomEvent reports. Its text is the name of the event in
// Socket.IO's adapters.
type RoomEventKind string

// The kinds of a RoomEvent.
const (
	RoomCreated RoomEventKind = "create-room" // the first socket of this node is about to join
	RoomJoined  RoomEventKind = "join-room"
	RoomLeft    RoomEventKind = "leave-room"
	RoomDeleted RoomEventKind = "delete-room" // the last socket of this node has left
	RoomsMissed RoomEventKind = "missed"      // events were dropped, because the handlers are too slow
)

// RoomEvent reports a change of the rooms of one namespace on this node.
type RoomEvent struct {
	Kind      RoomEventKind
	Namespace *Namespace
	Room      string // "" for RoomsMissed
	Socket    string // the socket's ID, for RoomJoined and RoomLeft
}

// maxRoomEvents is how many room events of one namespace may wait for their handlers.
const maxRoomEvents = 16 << 10

// OnRoomEvent adds a handler for changes of the namespace's rooms on this node (create-room,
// join-room, leave-room and delete-room of Socket.IO's adapters). The room that is named after
// a socket's ID is reported, as in Socket.IO; the rooms by which ToSession and ToUser reach
// sockets are not. The handlers run one event at a time, in the order of the changes, after
// the change, and may use all methods. Up to 16,384 events may wait. Further ones are dropped:
// the handlers then get one event RoomsMissed, and can read the rooms anew, such as with
// Socket.Rooms. OnRoomEvent returns n.
func (n *Namespace) OnRoomEvent(fn func(e RoomEvent)) *Namespace {
	needFunc("OnRoomEvent", fn != nil)
	return n.change(func(n *Namespace) { n.setRoomHandlers(with(n.roomHandlers, fn)) })
}

// setRoomHandlers sets the handlers of room events. The caller holds n.mu.
func (n *Namespace) setRoomHandlers(fns []func(RoomEvent)) {
	n.roomHandlers = fns
	n.queueRoomEvents()
}

// queueRoomEvents makes the rooms queue their changes while there are handlers or hooks for
// them. The caller holds n.mu.
func (n *Namespace) queueRoomEvents() {
	if len(n.roomHandlers) > 0 || n.server.roomsTraced.Load() {
		n.rooms.observe(&n.roomEvents)
	} else {
		n.rooms.observe(nil)
	}
}

// observeRooms turns the RoomChanged hooks of all namespaces on or off.
func (s *Server) observeRooms(on bool) {
	if s.roomsTraced.Swap(on) == on {
		return
	}
	for _, n := range s.allNamespaces() { // one that is created meanwhile reads roomsTraced
		n.mu.Lock()
		n.queueRoomEvents()
		n.mu.Unlock()
	}
}

// roomEvents is a bounded queue of room events, with a worker while there are some.
type roomEvents struct {
	ns *Namespace

	mu      sync.Mutex
	queue   []RoomEvent
	count   int  // of events whose handlers have not begun
	missed  bool // RoomsMissed is the last event in the queue
	working bool
}

// add queues an event. It is called with the lock of the roomIndex held, and does not block.
func (q *roomEvents) add(kind RoomEventKind, room, socket string) {
	if isReserved(room) {
		return
	}
	e := RoomEvent{Kind: kind, Namespace: q.ns, Room: room, Socket: socket}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.missed:
		return
	case q.count == maxRoomEvents:
		e = RoomEvent{Kind: RoomsMissed, Namespace: q.ns}
		q.missed = true
	}
	q.queue = append(q.queue, e)
	q.count++
	if !q.working {
		q.working = true
		q.ns.server.running.Add()
		go q.work() // ends when the queue is empty; Server.Shutdown waits for it
	}
}

func (q *roomEvents) work() {
	defer q.ns.server.running.Done()
	for {
		q.mu.Lock()
		batch := q.queue
		q.queue = nil
		q.working = len(batch) > 0
		q.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		q.ns.mu.RLock()
		fns := q.ns.roomHandlers
		q.ns.mu.RUnlock()
		for _, e := range batch {
			q.begin(e)
			if e.Kind == RoomsMissed {
				q.ns.server.notices.Report(&roomEventsNotice, "", "namespace", q.ns.name, "limit", maxRoomEvents)
			}
			for _, fn := range fns {
				q.ns.server.guard("OnRoomEvent", func() { fn(e) })
			}
			q.ns.server.traceRoom(e)
		}
	}
}

// begin makes room for another event.
func (q *roomEvents) begin(e RoomEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	if e.Kind == RoomsMissed {
		q.missed = false
	}
}
