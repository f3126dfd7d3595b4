package adapter

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxKept is the maximum number of messages, and of RecoveryStates, that a Memory stores.
const maxKept = 10_000

// memoryLog is the log that the servers of a Memory share.
type memoryLog struct {
	// order is held while a message gets its position and is delivered to all nodes, so that
	// all see the same order. Deliver does not block.
	order sync.Mutex

	mu     sync.Mutex // guards the fields below
	list   []*Message // oldest first, with consecutive positions
	last   uint64
	states map[string]storedState // by private ID
}

type storedState struct {
	*RecoveryState
	until time.Time
}

var (
	_ Log     = (*memoryLink)(nil)
	_ Emitter = (*memoryLink)(nil)
)

// begin starts a node at the end of the log.
func (log *memoryLog) begin(l *memoryLink) {
	log.order.Lock()
	defer log.order.Unlock()
	log.mu.Lock()
	defer log.mu.Unlock()
	l.read.Store(log.last)
}

// Append implements Log.
func (l *memoryLink) Append(ctx context.Context, m *Message) error {
	if err := l.waitUntilBegun(ctx); err != nil { // without the lock: Run takes it
		return err
	}
	log := &l.hub.log
	log.order.Lock()
	defer log.order.Unlock()
	others, err := l.others(ctx, m.Namespace)
	if err != nil {
		return err
	}
	l.hub.mu.Lock()
	self := l.node
	l.hub.mu.Unlock()
	kept := *m
	log.mu.Lock()
	log.last++
	kept.Position, kept.Offset = log.last, "m-"+strconv.FormatUint(log.last, 10)
	if log.list = append(log.list, &kept); len(log.list) > maxKept {
		log.list[0] = nil
		log.list = log.list[1:]
	}
	log.mu.Unlock()
	for _, other := range others {
		other.node.Deliver(&kept)
	}
	if self != nil {
		self.Deliver(&kept)
	}
	l.hub.show(&kept)
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	for _, link := range l.hub.links {
		link.read.Store(kept.Position)
	}
	return nil
}

// Position implements Log. All namespaces share one order.
func (l *memoryLink) Position(string) uint64 { return l.read.Load() }

// ParseOffset implements Log.
func (l *memoryLink) ParseOffset(offset string) (uint64, bool) {
	digits, ok := strings.CutPrefix(offset, "m-")
	if !ok {
		return 0, false
	}
	position, err := strconv.ParseUint(digits, 10, 64)
	return position, err == nil
}

// Since implements Log.
func (l *memoryLink) Since(ctx context.Context, namespace string, after uint64, yield func(*Message) bool) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	log := &l.hub.log
	log.mu.Lock()
	list, end := log.list, log.last
	log.mu.Unlock()
	first := end - uint64(len(list)) // the position before the oldest message
	if after < first || after > end {
		return 0, ErrNotKept
	}
	for _, m := range list[after-first:] {
		if m.Namespace == namespace && !yield(m) {
			return 0, nil
		}
	}
	return end, nil
}

// SaveState implements Log.
func (l *memoryLink) SaveState(ctx context.Context, r *RecoveryState, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	log := &l.hub.log
	log.mu.Lock()
	defer log.mu.Unlock()
	now := time.Now()
	if len(log.states) >= maxKept {
		for pid, old := range log.states {
			if !now.Before(old.until) {
				delete(log.states, pid)
			}
		}
		for pid := range log.states {
			if len(log.states) < maxKept {
				break
			}
			delete(log.states, pid)
		}
	}
	if log.states == nil {
		log.states = make(map[string]storedState)
	}
	log.states[r.PID] = storedState{r, now.Add(ttl)}
	return nil
}

// TakeState implements Log.
func (l *memoryLink) TakeState(ctx context.Context, namespace, pid, owner string) (*RecoveryState, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	log := &l.hub.log
	log.mu.Lock()
	defer log.mu.Unlock()
	r, ok := log.states[pid]
	if !ok || r.Namespace != namespace || r.Owner != owner {
		return nil, nil
	}
	delete(log.states, pid)
	if !time.Now().Before(r.until) {
		return nil, nil
	}
	return r.RecoveryState, nil
}
