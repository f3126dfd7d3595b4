package socketbridge

import (
	"context"
	"errors"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// recoveryLog is what connection state recovery does in one namespace. There are three
// kinds: noLog without Config.Recovery, localLog in the memory of this node, and
// sharedLog, which all nodes share through an adapter.Log. Callers do not need to know
// which kind it is.
type recoveryLog interface {
	eventLog
	stateStore
	socketSteps
}

// eventLog keeps the events of a namespace in order. A position numbers an event: later
// events have larger positions, and 0 comes before all. An offset is the text form of a
// position that clients get.
//
// The lock guards the positions of the namespace's sockets (recoveryRecord). It is never
// held during I/O.
type eventLog interface {
	sync.Locker

	// emit sends an event to one socket. See Socket.Emit.
	emit(ctx context.Context, s *Socket, msgs []transport.Message) error

	// broadcast sends an event to the sockets that b addresses, on all nodes. See
	// Broadcast.Emit.
	broadcast(b Broadcast, msgs []transport.Message) error

	// deliver queues a broadcast that came from the adapter to the sockets of this node.
	deliver(m *adapter.Message, msgs []transport.Message)

	// position returns the position up to which all events have been queued to the
	// sockets of this node. The caller holds the lock.
	position() uint64

	// parseOffset returns the position of an offset that a client sent.
	parseOffset(offset string) (position uint64, ok bool)

	// read adds the events after r.upTo to r. It may wait until ctx ends.
	read(ctx context.Context, r *replay) error

	// close drops all events.
	close()
}

// stateStore keeps the states of disconnected sockets for the recovery window.
type stateStore interface {
	// recoverable reports whether a socket that was disconnected for this reason may be
	// recovered.
	recoverable(reason Reason) bool

	// save keeps a state until it expires. Errors are logged.
	save(st *savedState)

	// restore returns the state that is kept under a private ID and removes it. It
	// returns nil if there is none, or if it belongs to another owner or namespace.
	restore(s *Socket, pid string, o owner) *savedState
}

// socketSteps are the steps of recovery in a socket's life, in the order of their calls.
type socketSteps interface {
	// newRecord returns the record of a new socket.
	newRecord() *recoveryRecord

	// attach restores the socket that the client names in its auth, if it can be
	// recovered. It runs before any user code sees the socket.
	attach(ctx context.Context, s *Socket)

	// register gives a socket that is about to be connected its private ID and returns
	// it. It returns "" for a socket that cannot be recovered.
	register(s *Socket) (pid string)

	// capture returns the state of a disconnected socket that has not yet left its rooms,
	// or nil if the socket may not be recovered.
	capture(s *Socket, reason Reason) *savedState

	// detach saves the captured state, which may be nil, and ends the use of the private
	// ID. It runs after all handlers of the socket.
	detach(s *Socket, st *savedState)
}

var (
	errNotKept       = errors.New("socketbridge: not all events that a client missed are kept")
	errReplayTooLong = errors.New("socketbridge: a client missed more events than may be replayed")
)

// newRecoveryLog returns the log of a namespace.
func newRecoveryLog(n *Namespace) recoveryLog {
	s := n.server
	switch {
	case s.recovery.cfg.Window == 0:
		return noLog{n}
	case s.cluster != nil && s.cluster.log != nil:
		return &sharedLog{recoveryBase: s.recovery, ns: n, log: s.cluster.log}
	default:
		return newLocalLog(n)
	}
}

// noLog sends events without keeping them.
type noLog struct{ ns *Namespace }

var _ recoveryLog = noLog{}

func (noLog) Lock()   {}
func (noLog) Unlock() {}

func (noLog) emit(_ context.Context, s *Socket, msgs []transport.Message) error {
	return s.sendEventAndWait(msgs)
}

func (l noLog) broadcast(b Broadcast, msgs []transport.Message) error {
	l.ns.sendLocal(b.to, b.except, b.from, b.flags, msgs)
	return b.publish(msgs)
}

func (l noLog) deliver(m *adapter.Message, msgs []transport.Message) {
	l.ns.sendLocal(m.Rooms, m.Except, nil, flagsOf(m), msgs)
}

func (noLog) position() uint64                           { return 0 }
func (noLog) parseOffset(string) (uint64, bool)          { return 0, false }
func (noLog) read(context.Context, *replay) error        { return errNotKept }
func (noLog) close()                                     {}
func (noLog) recoverable(Reason) bool                    { return false }
func (noLog) save(*savedState)                           {}
func (noLog) restore(*Socket, string, owner) *savedState { return nil }
func (noLog) newRecord() *recoveryRecord                 { return &noRecovery }
func (noLog) attach(context.Context, *Socket)            {}
func (noLog) register(*Socket) string                    { return "" }
func (noLog) capture(*Socket, Reason) *savedState        { return nil }
func (noLog) detach(*Socket, *savedState)                {}

// queueLogged queues a logged event to the socket: with its offset or, for a plain
// WebSocket client, without. The caller holds the lock of the log.
func (s *Socket) queueLogged(position uint64, flags transport.Flags, withOffset, plain []transport.Message) error {
	if s.muted.Load() || position <= s.recovery.replayedTo {
		return nil
	}
	s.recovery.Queued = position
	if s.client.plain != nil {
		withOffset = plain
	}
	return s.queue(flags, withOffset, position)
}

// appendOffset returns the messages of an event with an offset as its last argument.
func appendOffset(msgs []transport.Message, offset string) []transport.Message {
	text := msgs[0].Data
	data := make([]byte, 0, len(text)+len(offset)+3)
	data = append(append(data, text[:len(text)-1]...), `,"`...)
	data = append(append(data, offset...), `"]`...)
	return append([]transport.Message{{Data: data}}, msgs[1:]...)
}

// eventOverhead is roughly what a kept event takes in addition to its bytes.
const eventOverhead = 200

// eventSize returns the size that an event counts with.
func eventSize(msgs []transport.Message) int {
	size := eventOverhead
	for _, m := range msgs {
		size += len(m.Data)
	}
	return size
}
