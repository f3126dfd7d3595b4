package redisadapter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// maxReplies is how many replies to one question may wait to be read.
const maxReplies = 100_000

// question is a message that was asked and whose replies are coming in.
type question struct {
	kind adapter.Kind

	mu      sync.Mutex
	replies []*adapter.Reply
	lost    bool
	wake    chan struct{}
}

// add takes a reply. It does not wait.
func (q *question) add(r *adapter.Reply) {
	q.mu.Lock()
	if len(q.replies) < maxReplies {
		q.replies = append(q.replies, r)
	} else {
		q.lost = true
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns what has come.
func (q *question) take() (replies []*adapter.Reply, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	replies, q.replies = q.replies, nil
	return replies, q.lost
}

// newID returns what nobody else can have drawn, and who hears it cannot guess the next.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}

// Ask implements adapter.Adapter. Replies are awaited from as many nodes as Redis
// counts at the beginning: one that dies meanwhile is waited for until ctx ends.
func (a *Adapter) Ask(ctx context.Context, m *adapter.Message) iter.Seq2[*adapter.Reply, error] {
	return func(yield func(*adapter.Reply, error) bool) {
		if err := a.ready(ctx); err != nil {
			yield(nil, err)
			return
		}
		others, err := a.others(ctx, m.Namespace)
		if err != nil || others == 0 {
			if err != nil {
				yield(nil, err)
			}
			return
		}
		q, id := &question{kind: m.Kind, wake: make(chan struct{}, 1)}, newID()
		a.mu.Lock()
		a.questions[id] = q
		a.mu.Unlock()
		defer func() {
			a.mu.Lock()
			delete(a.questions, id)
			a.mu.Unlock()
		}()
		if err := a.send(ctx, m, id); err != nil {
			yield(nil, err)
			return
		}
		a.collect(ctx, q, others, yield)
	}
}

// others returns how many other nodes there are. When this node would not hear them,
// because it has just begun or its connection has just broken, it waits for that.
func (a *Adapter) others(ctx context.Context, namespace string) (int, error) {
	n, err := a.Nodes(ctx, namespace)
	if err != nil || a.link.hears(namespace) {
		return max(n-1, 0), err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !a.link.hears(namespace) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: replies could not be heard at present", adapter.ErrUnavailable)
		}
	}
	n, err = a.Nodes(ctx, namespace)
	return max(n-1, 0), err
}

func (a *Adapter) collect(ctx context.Context, q *question, others int, yield func(*adapter.Reply, error) bool) {
	for complete := adapter.NewComplete(q.kind, others); ; {
		replies, lost := q.take()
		for _, r := range replies {
			complete.Add(r)
			if !yield(r, nil) {
				return
			}
		}
		if complete.Done() {
			return
		}
		if lost {
			yield(nil, fmt.Errorf("%w: more than %d came at a time", adapter.ErrIncomplete, maxReplies))
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

// replied hands a reply to who waits for it. What nobody waits for is ignored.
func (a *Adapter) replied(f *frame) {
	a.mu.Lock()
	q := a.questions[f.requestID]
	a.mu.Unlock()
	if q == nil {
		return
	}
	r := f.answerTo(q.kind)
	if r == nil {
		return
	}
	if q.kind == adapter.ListRooms && r.Kind == adapter.Fetched {
		r = roomsOf(r)
	}
	q.add(r)
}

// roomsOf makes a list of rooms of the sockets that are in them.
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

// asked takes a message of another node: it is delivered, or answered by a goroutine of
// its own.
func (a *Adapter) asked(f *frame) {
	a.mu.Lock()
	node, ctx := a.node, a.ctx
	a.mu.Unlock()
	if node == nil || f.uid == node.ID() {
		return
	}
	if f.requestID == "" || f.sid != "" {
		node.Deliver(f.message)
		if f.sid != "" && f.requestID != "" && a.rooms.has(f.message.Namespace, f.sid) {
			a.work(ctx, f, a.done)
		}
		return
	}
	a.work(ctx, f, a.answer)
}

// work does something for another node, unless too much is done already.
func (a *Adapter) work(ctx context.Context, f *frame, do func(ctx context.Context, f *frame)) {
	select {
	case a.answering <- struct{}{}:
	default:
		a.cfg.Logger.Warn("redisadapter: a question of another node is not answered: there are too many", "limit", a.cfg.MaxAnswers)
		return
	}
	a.working.Go(func() { // ends with ctx or AnswerTimeout; Run waits
		defer func() { <-a.answering }()
		ctx, cancel := context.WithTimeout(ctx, a.cfg.AnswerTimeout)
		defer cancel()
		do(ctx, f)
	})
}

func (a *Adapter) answer(ctx context.Context, f *frame) {
	a.mu.Lock()
	node := a.node
	a.mu.Unlock()
	for r := range node.Answer(ctx, f.message) {
		channel, data, err := a.link.reply(f, node.ID(), r)
		if err == nil {
			err = a.publish(ctx, f.message.Namespace, channel, data)
		}
		if err != nil && ctx.Err() == nil {
			a.cfg.Logger.Warn("redisadapter: a reply to another node was not sent", "error", err)
		}
	}
}

// done tells an older node that what it wanted of one socket is done.
func (a *Adapter) done(ctx context.Context, f *frame) {
	if l, ok := a.link.(*classicLink); ok {
		channel, data := l.done(f)
		if err := a.publish(ctx, f.message.Namespace, channel, data); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Warn("redisadapter: a reply to another node was not sent", "error", err)
		}
	}
}
