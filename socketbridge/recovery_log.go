package socketbridge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// past is what was sent in a namespace, in an order: what this node keeps (history),
// or what the adapter's log keeps for all nodes (tail). Its lock guards the placed and
// caught of the namespace's sockets, and is never held while something waits.
type past interface {
	sync.Locker

	// position returns the last place up to which every event was queued to the
	// sockets of this node that it was for. The caller holds the lock.
	position() uint64

	// place reads an offset that a client gave.
	place(offset string) (uint64, bool)

	// catchUp collects what was sent until now. It may wait, as long as ctx lasts.
	catchUp(ctx context.Context, c *catchUp) error

	close()
}

// newPast returns what a namespace needs for recovery, or nil without it.
func newPast(s *Server, namespace string) past {
	switch {
	case s.recovery == nil:
		return nil
	case s.kept() != nil:
		return &tail{log: s.kept(), namespace: namespace}
	default:
		return newHistory(s)
	}
}

var (
	errNotKept = errors.New("socketbridge: not all that a client missed is kept")
	errTooMuch = errors.New("socketbridge: a client missed more than is sent again")
)

// catchUp is what a socket that comes back has missed.
type catchUp struct {
	rooms  map[string]bool // it was in
	upTo   uint64          // the place up to which it is known
	missed []placed

	size            int
	mostBytes, most int
}

// placed is an event with its offset, ready to be sent.
type placed struct {
	place uint64
	msgs  []transport.Message
}

func (p placed) compare(place uint64) int { return cmp.Compare(p.place, place) }

func (s *Server) newCatchUp(rooms map[string]bool, after uint64) *catchUp {
	return &catchUp{rooms: rooms, upTo: after, mostBytes: s.recovery.cfg.MaxBytesPerSession, most: s.cfg.Engine.Limits.MaxQueueMessages / 2}
}

// add adds an event.
func (c *catchUp) add(place uint64, size int, msgs []transport.Message) error {
	if c.size += size; c.size > c.mostBytes || len(c.missed) == c.most {
		return errTooMuch
	}
	c.missed = append(c.missed, placed{place, msgs})
	return nil
}

// meant says whether a socket in rooms was to get an event.
func meant(rooms map[string]bool, to, except []string) bool {
	in := func(name string) bool { return rooms[name] }
	return (len(to) == 0 || slices.ContainsFunc(to, in)) && !slices.ContainsFunc(except, in)
}

// withOffset adds an offset to an event, as its last argument.
func withOffset(msgs []transport.Message, offset string) []transport.Message {
	text := msgs[0].Data
	data := make([]byte, 0, len(text)+len(offset)+3)
	data = append(append(data, text[:len(text)-1]...), `,"`...)
	data = append(append(data, offset...), `"]`...)
	return append([]transport.Message{{Data: data}}, msgs[1:]...)
}

// take queues an event that has its place to the socket, with its offset or, to a
// client that knows none, plain. The caller holds the lock of the past.
func (s *Socket) take(place uint64, flags transport.Flags, numbered, plain []transport.Message) error {
	if s.muted.Load() || place <= s.caught {
		return nil
	}
	s.placed = place
	if s.client.plain != nil {
		numbered = plain
	}
	return s.queue(flags, numbered, place)
}
