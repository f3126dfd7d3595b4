package redisadapter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"sync"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// maxReplies is how many unread replies to one request are buffered.
const maxReplies = 100_000

// pendingRequest collects the replies to a request of this node.
type pendingRequest struct {
	kind adapter.Kind
	wake chan struct{} // has an element when replies were added

	mu       sync.Mutex
	replies  []*adapter.Reply // received, not yet dequeued
	overflow bool             // replies were dropped
}

// enqueue adds a reply. It does not block.
func (q *pendingRequest) enqueue(r *adapter.Reply) {
	q.mu.Lock()
	if len(q.replies) < maxReplies {
		q.replies = append(q.replies, r)
	} else {
		q.overflow = true
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// dequeue returns all buffered replies.
func (q *pendingRequest) dequeue() (replies []*adapter.Reply, overflow bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	replies, q.replies = q.replies, nil
	return replies, q.overflow
}

// newRequestID returns an ID that is unique and that nodes cannot predict from earlier ones.
func newRequestID() string {
	var b [8]byte
	rand.Read(b[:]) // never returns an error: it crashes the program instead
	return hex.EncodeToString(b[:])
}

// Ask implements adapter.Adapter. It expects replies from as many nodes as Redis counts
// when the request starts. If one of them dies meanwhile, Ask waits until ctx ends.
func (a *Adapter) Ask(ctx context.Context, m *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) {
		if err := a.checkRunning(ctx); err != nil {
			yield(nil, err)
			return
		}
		others, err := a.countOthers(ctx, m.Namespace)
		if err != nil || others == 0 {
			if err != nil {
				yield(nil, err)
			}
			return
		}
		q, id := &pendingRequest{kind: m.Kind, wake: make(chan struct{}, 1)}, newRequestID()
		a.mu.Lock()
		a.requests[id] = q
		a.mu.Unlock()
		defer func() {
			a.mu.Lock()
			delete(a.requests, id)
			a.mu.Unlock()
		}()
		if err := a.sendMessage(ctx, m, id); err != nil {
			yield(nil, err)
			return
		}
		a.yieldReplies(ctx, q, others, yield)
	}
}

// countOthers returns the number of other nodes. If this node cannot receive replies yet,
// because it has just started or its connection has just broken, countOthers waits until
// it can.
func (a *Adapter) countOthers(ctx context.Context, namespace string) (int, error) {
	self := 1
	if a.asEmitter() != nil {
		self = 0
	}
	n, err := a.Nodes(ctx, namespace)
	if err != nil || a.link.receivesReplies(namespace) {
		return max(n-self, 0), err
	}
	if err := a.waitForReplies(ctx, namespace); err != nil {
		return 0, err
	}
	n, err = a.Nodes(ctx, namespace)
	return max(n-self, 0), err
}

// yieldReplies yields replies until all other nodes have replied in full.
func (a *Adapter) yieldReplies(ctx context.Context, q *pendingRequest, others int, yield func(*adapter.Reply, error) bool) {
	for complete := adapter.NewComplete(q.kind, others); ; {
		replies, overflow := q.dequeue()
		for _, r := range replies {
			complete.Add(r)
			if !yield(r, nil) {
				return
			}
		}
		if complete.Done() {
			return
		}
		if overflow {
			yield(nil, fmt.Errorf("%w: more than %d replies arrived before they were read", adapter.ErrIncomplete, maxReplies))
			return
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			yield(nil, fmt.Errorf("%w: %w", adapter.ErrIncomplete, ctx.Err()))
			return
		}
	}
}

// handleReply adds a reply to the request it belongs to. It ignores replies to requests
// that have ended.
func (a *Adapter) handleReply(f *frame) {
	a.mu.Lock()
	q := a.requests[f.requestID]
	a.mu.Unlock()
	if q == nil {
		return
	}
	r := f.replyTo(q.kind)
	if r == nil {
		return
	}
	if q.kind == adapter.ListRooms && r.Kind == adapter.Fetched {
		r = roomsOf(r)
	}
	q.enqueue(r)
}

// roomsOf converts a Fetched reply into a Listed reply with the rooms of its sockets.
func roomsOf(r *adapter.Reply) *adapter.Reply {
	seen := make(map[string]bool)
	list := &adapter.Reply{Kind: adapter.Listed}
	for _, s := range r.Sockets {
		for _, room := range s.Rooms {
			if !seen[room] {
				seen[room] = true
				list.Rooms = append(list.Rooms, room)
			}
		}
	}
	return list
}
