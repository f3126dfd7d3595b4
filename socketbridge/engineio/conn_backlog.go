package engineio

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

const (
	maxBacklogSetting = "Config.Limits.MaxBacklogBytes"

	// packetOverhead is roughly what a queued packet takes in addition to its data.
	packetOverhead = 64

	// shedPause is the pause of shedBacklog, which looks at all connections, after it could
	// not free enough.
	shedPause = 100 * time.Millisecond

	// backlogShare is the part of Limits.MaxBacklogBytes that one connection may use.
	backlogShare = 4
)

// backlog measures the memory behind all packets that were queued, by senders that do not
// wait, on connections above their limits. A broadcast is encoded once, and its connections
// share the data. So data counts once however many connections hold it, and each connection
// adds packetOverhead.
type backlog struct {
	max int

	mu    sync.Mutex
	refs  map[*byte]int // by the first byte of the data
	bytes int
}

// add counts packets and marks them.
func (b *backlog) add(packets []packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refs == nil {
		b.refs = make(map[*byte]int)
	}
	for i := range packets {
		p := &packets[i]
		p.counted = true
		b.bytes += packetOverhead
		if data := unsafe.SliceData(p.data); len(p.data) > 0 {
			if b.refs[data]++; b.refs[data] == 1 {
				b.bytes += len(p.data)
			}
		}
	}
}

// remove stops counting the packets that are marked.
func (b *backlog) remove(packets []packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range packets {
		p := &packets[i]
		if !p.counted {
			continue
		}
		b.bytes -= packetOverhead
		if data := unsafe.SliceData(p.data); len(p.data) > 0 {
			if b.refs[data]--; b.refs[data] == 0 {
				delete(b.refs, data)
				b.bytes -= len(p.data)
			}
		}
	}
	if len(b.refs) == 0 {
		b.refs = nil // a map does not shrink
	}
}

func (b *backlog) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

func (b *backlog) exceeded() bool { return b.size() > b.max }

// countBacklog counts packets that are about to be queued above the limits.
func (c *conn) countBacklog(packets []packet) {
	c.hasBacklog.Store(true)
	c.server.backlog.add(packets)
}

// released is called by the queue for packets that were sent or dropped.
func (c *conn) released(packets []packet) {
	if c.hasBacklog.Load() {
		c.server.backlog.remove(packets)
	}
}

// shedBacklog closes connections that are above their limits, those that have taken nothing
// for longest first, until a quarter of the budget is free.
func (s *Server) shedBacklog() {
	if !s.shedding.TryLock() {
		return // another sender does it
	}
	defer s.shedding.Unlock()
	if !s.backlog.exceeded() || s.now() < s.nextShed {
		return
	}
	type candidate struct {
		conn     *conn
		progress time.Duration
	}
	var all []candidate
	for _, c := range s.allConns() {
		if c.hasBacklog.Load() && c.out.High() {
			c.mu.Lock()
			all = append(all, candidate{c, c.progress()})
			c.mu.Unlock()
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.progress, b.progress) })
	for _, a := range all {
		if s.backlog.size() <= s.backlog.max/4*3 {
			return
		}
		a.conn.closeSlow(maxBacklogSetting, s.now()-a.progress)
	}
	if s.backlog.exceeded() { // the rest is held by connections that are within their limits again
		s.nextShed = s.now() + shedPause
	}
}

var _ transport.Conn = (*conn)(nil)
