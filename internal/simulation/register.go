package simulation

import (
	"math"
	"slices"
	"time"
)

// at is a moment of a run, since its start.
type at = time.Duration

const (
	never  at = math.MaxInt64
	always at = math.MinInt64
)

// interval is the time between a call's start and its answer.
type interval struct {
	from, to at   // to is never while the call is under way
	sure     bool // it was acknowledged; otherwise it may or may not have taken place
}

// register is a value that calls write. It knows what a read may return.
type register struct{ writes []*write }

type write struct {
	interval
	val string
}

// begin records a write that is under way.
func (r *register) begin(val string, from at) *write {
	w := &write{interval{from, never, false}, val}
	r.writes = append(r.writes, w)
	return w
}

// allows reports whether a read that began at from and returned at to may return val. The value
// before the first write is "".
func (r *register) allows(val string, from, to at) bool {
	initial := &write{interval{always, always, true}, ""}
	if val == "" && !r.replaced(initial, from) {
		return true
	}
	for _, w := range r.writes {
		if w.val == val && w.from <= to && !r.replaced(w, from) {
			return true
		}
	}
	return false
}

// replaced reports whether another write certainly came after w and before a moment.
func (r *register) replaced(w *write, before at) bool {
	return slices.ContainsFunc(r.writes, func(o *write) bool {
		return o != w && o.sure && o.from > w.to && o.to < before
	})
}

// settled returns the value that is certain at a moment and stays until another one, if there
// is one.
func (r *register) settled(from, to at) (string, bool) {
	val, n := "", 0
	initial := &write{interval{always, always, true}, ""}
	for _, w := range append([]*write{initial}, r.writes...) {
		if w.from <= to && !r.replaced(w, from) {
			val = w.val
			n++
		}
	}
	return val, n == 1
}

// prune drops the writes that no read after a moment can return.
func (r *register) prune(before at) {
	if len(r.writes) < 16 {
		return
	}
	last := slices.MaxFunc(r.writes, func(a, b *write) int { // the newest sure write stands for the initial value
		if !a.sure || !b.sure {
			return boolCompare(a.sure, b.sure)
		}
		return int(min(1, max(-1, a.to-b.to)))
	})
	kept := r.writes[:0]
	for _, w := range r.writes {
		if w == last || !r.replaced(w, before) {
			kept = append(kept, w)
		}
	}
	r.writes = kept
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// counter is a number that calls increment by one.
type counter struct {
	sure, possible int // by calls that were dropped from the list
	calls          []*interval
}

func (c *counter) begin(from at) *interval {
	i := &interval{from, never, false}
	c.calls = append(c.calls, i)
	return i
}

// bounds returns the least and the largest number that a read may return.
func (c *counter) bounds(from, to at) (least, most int) {
	least, most = c.sure, c.possible
	for _, i := range c.calls {
		if i.sure && i.to < from {
			least++
		}
		if i.from <= to {
			most++
		}
	}
	return least, most
}

// prune drops calls that ended before a moment.
func (c *counter) prune(before at) {
	kept := c.calls[:0]
	for _, i := range c.calls {
		if i.to >= before {
			kept = append(kept, i)
			continue
		}
		c.possible++
		if i.sure {
			c.sure++
		}
	}
	c.calls = kept
}
