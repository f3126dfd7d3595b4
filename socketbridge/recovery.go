package socketbridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// Recovery configures connection state recovery: a client that reconnects within the
// window gets its socket back (ID, rooms, Data) and the events that it missed, in
// order, without loss and without duplicates.
//
// The protocol is Socket.IO's, and clients need no change. It is safer in one way: a
// socket is only given back to the session and the user that had it, and connect
// middlewares run again. If the session has ended, has another user, or if a missed
// event is no longer kept, the client gets a new socket. See Socket.Recovered.
//
// With an Adapter that is an adapter.Log (redisadapter.NewStreams) the client may
// reconnect to any node, even after its own was shut down. Otherwise it must reconnect
// to the node that it was connected to.
//
// Events are replayed unless they are Volatile or expect an acknowledgement. While
// recovery is on, events that can be replayed carry one more argument, the offset, as in
// Socket.IO.
type Recovery struct {
	// Window is how long the state of a broken connection is kept. It is Socket.IO's
	// maxDisconnectionDuration; 2 minutes is its usual value.
	//
	// Optional. Default: 0, no recovery
	Window time.Duration

	// MaxBytes limits the events that this node keeps, over all namespaces. Each event
	// counts as its size plus 200 bytes. The oldest are dropped first.
	//
	// Optional. Default: 64 << 20
	MaxBytes int

	// MaxBytesPerSession limits what is replayed to one socket, and therefore also the
	// events that are kept for one session or one room.
	//
	// Optional. Default: 256 << 10
	MaxBytesPerSession int

	// MaxSockets limits how many sockets' states this node keeps. The oldest are dropped
	// first.
	//
	// Optional. Default: 10_000
	MaxSockets int
}

// Recovered reports whether the client got back the socket that it had before its
// connection broke, with the same ID, rooms and Data. See Recovery.
func (s *Socket) Recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovery.restored != nil
}

// recoveryBase is the part of recovery that all namespaces of a server share. localLog
// and sharedLog embed it for the steps of a socket's life, which are the same for both.
type recoveryBase struct {
	cfg      Recovery
	logBytes atomic.Int64 // size of the local logs of all namespaces
	states   memoryStates // used by local logs

	mu        sync.Mutex
	connected map[string]*Socket // by private ID
}

func newRecoveryBase(cfg Recovery) *recoveryBase {
	return &recoveryBase{cfg: cfg, states: memoryStates{cfg: cfg}}
}

// recoveryRecord is what a socket remembers for recovery.
type recoveryRecord struct {
	pid      string      // private ID: known to the client only
	restored *savedState // the state that the socket took over; nil for a new socket
	replay   *replay     // missed events that are still to be sent
	quota    string      // see quota

	// positions.Queued and replayedTo are guarded by the lock of the namespace's log.
	positions
	replayedTo uint64 // events up to this position were replayed
}

// noRecovery is the record of every socket without recovery. It is never written.
var noRecovery recoveryRecord

// newRecord implements recoveryLog.
func (*recoveryBase) newRecord() *recoveryRecord { return new(recoveryRecord) }
