package engineio

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Receive may call the application on the reading goroutine, which saves a change of
// goroutines for each message. While it does, the goroutine is lent (transport.Lender). If the
// application takes longer than a tick of the watch, another goroutine continues to read.
//
// conn.loan is odd while the goroutine is lent. The goroutine that increments it, from the
// loan's value, ends the loan: Return, or the one that detaches. Only then is a second reader
// started.

const (
	// lendTick is the interval of the watch. A handler holds up pongs, answers and the other
	// namespaces of its client for at most twice as long.
	lendTick = time.Millisecond
	// lendSlots is the maximum number of goroutines that are lent at the same time. More than
	// processors are lent only while handlers wait, and after two ticks they are detached.
	lendSlots = 1 << 8 // conn.slot has 8 bits
	// lendProbes is the number of slots that Lend tries.
	lendProbes = 4
	// lendIdleTicks is the number of ticks without a loan after which the watch ends.
	lendIdleTicks = 50
)

// lending is where one watch for the whole server sees which connections' goroutines are lent,
// so that a loan needs no timer.
type lending struct {
	slots    [lendSlots]lendSlot
	watching atomic.Bool
	watches  sync.WaitGroup
}

type lendSlot struct {
	conn atomic.Pointer[conn]
	_    [56]byte // each has a cache line of its own
}

// Lend implements transport.Lender.
func (c *conn) Lend() (loan uint32) {
	if c.reader == nil || !c.takeSlot() {
		return 0
	}
	loan = c.loan.Add(1)
	// finish may have looked for a loan already. If it ends this one, another goroutine reads.
	if c.state.Load() == closed && c.Return(loan) {
		return 0
	}
	if l := &c.server.lending; !l.watching.Load() && l.watching.CompareAndSwap(false, true) {
		l.watches.Go(c.server.watchLoans)
	}
	return loan
}

// takeSlot makes the connection visible to the watch. It returns false if all slots that it
// tries are taken.
func (c *conn) takeSlot() bool {
	slots := &c.server.lending.slots
	for range lendProbes {
		if slots[c.slot].conn.CompareAndSwap(nil, c) {
			return true
		}
		c.slot++ // the last one is followed by the first
	}
	return false
}

// Return implements transport.Lender.
func (c *conn) Return(loan uint32) bool {
	if !c.loan.CompareAndSwap(loan, loan+1) {
		return false
	}
	c.server.lending.slots[c.slot].conn.Store(nil)
	return true
}

// Detach implements transport.Lender.
func (c *conn) Detach() {
	if loan := c.loan.Load(); loan%2 == 0 || !c.detach(loan) {
		c.out.Resume()
	}
}

// detach ends a loan and continues reading on another goroutine. It returns false if the loan
// has ended.
func (c *conn) detach(loan uint32) bool {
	if !c.Return(loan) {
		return false
	}
	c.out.Resume()
	go c.read(c.reader) // inherits receiverSem; Shutdown waits for it
	return true
}

// watchLoans detaches each loan that it sees at two ticks. It ends when it has seen none for
// some time, or when nothing of the server runs any more.
func (s *Server) watchLoans() {
	ticker := time.NewTicker(lendTick)
	defer ticker.Stop()
	var seen [lendSlots]loanSeen
	for idle := 0; idle < lendIdleTicks || !s.endWatch(); {
		select {
		case <-ticker.C:
		case <-s.ended:
			return
		}
		if s.look(&seen) {
			idle = 0
		} else {
			idle++
		}
	}
}

// loanSeen is a loan that the watch has seen in a slot.
type loanSeen struct {
	conn *conn
	loan uint32
}

// look looks at all slots once. It returns false if no goroutine is lent.
func (s *Server) look(seen *[lendSlots]loanSeen) (any bool) {
	for i := range s.lending.slots {
		c := s.lending.slots[i].conn.Load()
		if c == nil {
			seen[i] = loanSeen{}
			continue
		}
		any = true
		now := loanSeen{conn: c, loan: c.loan.Load()}
		if now == seen[i] && now.loan%2 == 1 {
			c.detach(now.loan)
		}
		seen[i] = now
	}
	return any
}

// endWatch returns true if the watch has to end. A Lend that has seen it running is not missed.
func (s *Server) endWatch() bool {
	s.lending.watching.Store(false)
	for i := range s.lending.slots {
		if s.lending.slots[i].conn.Load() != nil {
			return !s.lending.watching.CompareAndSwap(false, true) // else another one has begun
		}
	}
	return true
}
