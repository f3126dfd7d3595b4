package socketbridge

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// history is what was sent in one namespace of this node within the recovery window,
// in order, so that a socket that comes back can be sent what it missed. What is kept
// is bounded: see Recovery.
type history struct {
	cfg   Recovery
	keep  time.Duration // how long events are needed
	epoch string        // of this process: an offset of another one means nothing here

	// The lock is held while an event gets its place and is queued to its sockets, so
	// that every client gets events in the order of their offsets. Queueing never
	// waits.
	sync.Mutex
	list   []*sent // consecutive places, oldest first
	next   uint64  // the place of the next event
	shares map[string]*share
	timer  *time.Timer   // runs while something is kept
	bytes  *atomic.Int64 // kept by all namespaces of the node
	closed bool
}

// sent is one event that was sent, as it can be sent again.
type sent struct {
	at         time.Time
	to, except []string
	share      string // under which it is counted; "" under none
	size       int
	msgs       []transport.Message // without the offset; nil when it is kept no more
}

// share is what is kept for one session, or for one room. More than a socket that
// comes back may be sent would be of no use to anybody: so what goes beyond is dropped,
// and one session cannot take the place of all others.
type share struct {
	bytes  int
	places []uint64 // oldest first
}

// sentOverhead is what an event costs beside its bytes, roughly.
const sentOverhead = 200

// sizeOf is what an event counts as.
func sizeOf(msgs []transport.Message) int {
	size := sentOverhead
	for _, m := range msgs {
		size += len(m.Data)
	}
	return size
}

func newHistory(s *Server) *history {
	engine := &s.cfg.Engine
	return &history{
		cfg: s.recovery.cfg, bytes: &s.recovery.bytes,
		keep:  s.recovery.cfg.Window + engine.PingInterval + engine.PingTimeout, // a broken connection is noticed late
		epoch: rand.Text()[:10], next: 1, shares: make(map[string]*share),
	}
}

var _ past = (*history)(nil)

// emit gives an event its place and queues it to the sockets it is for, but for from.
func (h *history) emit(e *sent, from *Socket, flags transport.Flags, sockets func() []*Socket) (err error) {
	e.size, e.at = sizeOf(e.msgs), time.Now()
	h.Lock()
	defer h.Unlock()
	place := h.next
	h.next++
	h.list = append(h.list, e)
	h.bytes.Add(int64(e.size))
	if e.share != "" {
		h.count(e.share, place, e.size)
	}
	h.trim(e.at)
	if h.timer == nil && !h.closed {
		h.timer = time.AfterFunc(h.keep, h.expire)
	}
	numbered := withOffset(e.msgs, h.offset(place))
	for _, s := range sockets() {
		if s != from {
			err = errors.Join(err, s.take(place, flags, numbered, e.msgs))
		}
	}
	return err
}

// count counts an event in its share, and drops the oldest ones that go beyond it.
func (h *history) count(name string, place uint64, size int) {
	p := h.shares[name]
	if p == nil {
		p = &share{}
		h.shares[name] = p
	}
	p.bytes += size
	p.places = append(p.places, place)
	for p.bytes > h.cfg.MaxBytesPerSession && len(p.places) > 1 {
		e := h.list[p.places[0]-h.first()]
		p.places = p.places[1:]
		p.bytes -= e.size
		h.bytes.Add(int64(sentOverhead - e.size))
		e.msgs, e.share, e.size = nil, "", sentOverhead
	}
}

// first is the oldest place that is in the list. The caller holds the lock.
func (h *history) first() uint64 { return h.next - uint64(len(h.list)) }

// trim drops what is too old, and the oldest when there is too much.
func (h *history) trim(now time.Time) {
	n := 0
	for n < len(h.list) && (now.Sub(h.list[n].at) >= h.keep || h.bytes.Load() > int64(h.cfg.MaxBytes)) {
		e := h.list[n]
		h.bytes.Add(int64(-e.size))
		if p := h.shares[e.share]; p != nil {
			p.bytes -= e.size
			if p.places = p.places[1:]; len(p.places) == 0 {
				delete(h.shares, e.share)
			}
		}
		h.list[n] = nil
		n++
	}
	if h.list = h.list[n:]; len(h.list) == 0 {
		h.list = nil
	}
}

// expire drops what is too old.
func (h *history) expire() {
	h.Lock()
	defer h.Unlock()
	now := time.Now()
	h.trim(now)
	if h.timer = nil; len(h.list) > 0 && !h.closed {
		h.timer = time.AfterFunc(h.list[0].at.Add(h.keep).Sub(now), h.expire)
	}
}

// close drops everything.
func (h *history) close() {
	h.Lock()
	defer h.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.list, h.shares = nil, make(map[string]*share)
}

// position returns the place of the newest event. The caller holds the lock.
func (h *history) position() uint64 { return h.next - 1 }

func (h *history) offset(place uint64) string {
	return h.epoch + "-" + strconv.FormatUint(place, 36)
}

// place reads an offset that a client gave.
func (h *history) place(offset string) (uint64, bool) {
	digits, ok := strings.CutPrefix(offset, h.epoch+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 36, 64)
	return n, err == nil
}

// catchUp implements past.
func (h *history) catchUp(_ context.Context, c *catchUp) error {
	h.Lock()
	defer h.Unlock()
	if c.upTo >= h.next || c.upTo+1 < h.first() {
		return errNotKept
	}
	for i := c.upTo + 1 - h.first(); i < uint64(len(h.list)); i++ {
		e, place := h.list[i], h.first()+i
		if !meant(c.rooms, e.to, e.except) {
			continue
		}
		if e.msgs == nil {
			return errNotKept
		}
		if err := c.add(place, e.size, withOffset(e.msgs, h.offset(place))); err != nil {
			return err
		}
	}
	c.upTo = h.position()
	return nil
}

// share returns under what an event is counted in the history: the session that it is
// for, else its room.
func (n *Namespace) share(to []string) string {
	switch len(to) {
	case 0:
		return everybody
	case 1:
		if s := n.rooms.get(to[0]); s != nil {
			return s.share
		}
		return to[0]
	}
	return ""
}
