package redisadapter

import (
	"context"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// streamLink carries cluster messages through one stream. Each node reads all entries and
// remembers the last one, so it receives everything that was added while it could not
// reach Redis.
type streamLink struct {
	a *Adapter

	mu           sync.Mutex // guards the fields below; nothing is called while it is held
	uid          string
	peers        map[string]map[string]time.Time // when each other node last sent something, by namespace and uid
	due          []streamEntry                   // heartbeats to add
	reading      bool                            // the reader follows the stream
	lastID       string                          // the last entry that was delivered; "" before the reader's first start
	lastPosition uint64                          // the position of lastID
	waiters      int                             // calls of waitForPosition
	advanced     chan struct{}                   // closed when lastPosition grows and there are waiters

	wake       chan struct{} // has an element when a heartbeat is due
	catchingUp bool          // there may be more than one page to read; used by the reader goroutine only
}

func newStreamLink(a *Adapter) *streamLink {
	return &streamLink{a: a, peers: make(map[string]map[string]time.Time), advanced: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (l *streamLink) subscribe(namespace, uid string) {
	l.mu.Lock()
	l.uid = uid
	l.peers[namespace] = make(map[string]time.Time)
	l.due = append(l.due, streamEntry{uid: uid, namespace: namespace, kind: clusterInitialHeartbeat})
	l.mu.Unlock()
	l.notify()
}

// notify makes the heartbeat goroutine flush.
func (l *streamLink) notify() {
	select {
	case l.wake <- struct{}{}:
	default: // already notified
	}
}

func (l *streamLink) receivesReplies(string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reading
}

func (l *streamLink) roomChanged(string, string, bool, bool) {} // the stream carries the messages of all rooms

// encodeMessage encodes a message. The channel of a stream's message is its type.
func (l *streamLink) encodeMessage(m *adapter.Message, _, requestID string) (string, []byte, error) {
	kind, text, err := encodeClusterMessage(m, requestID)
	if err != nil {
		return "", nil, err
	}
	data, err := encodeBase64(text, m.Payload.Attachments)
	return strconv.Itoa(kind), data, err
}

func (l *streamLink) encodeReply(f *frame, _ string, r *adapter.Reply) (string, []byte, error) {
	kind, text, attachments, err := encodeClusterReply(f, r)
	if err != nil {
		return "", nil, err
	}
	data, err := encodeBase64(text, attachments)
	return strconv.Itoa(kind), data, err
}

func (l *streamLink) publish(ctx context.Context, namespace, channel string, data []byte) error {
	_, err := l.add(ctx, namespace, channel, data, false)
	return err
}

// add adds an entry and returns its ID. With loopback, the entry is delivered to this node
// as well.
func (l *streamLink) add(ctx context.Context, namespace, channel string, data []byte, loopback bool) (id string, err error) {
	kind, err := strconv.Atoi(channel)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	e := streamEntry{uid: l.uid, namespace: namespace, kind: kind, data: data, loopback: loopback}
	l.mu.Unlock()
	var added *goredis.StringCmd
	err = sendOnce(ctx, l.a.client, l.a.cfg.Key, func(c goredis.Cmdable) goredis.Cmder {
		added = c.XAdd(ctx, l.addArgs(&e))
		return added
	})
	if err != nil {
		return "", err
	}
	return added.Val(), nil
}

func (l *streamLink) addArgs(e *streamEntry) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: l.a.cfg.Key, MaxLen: l.a.cfg.MaxLen, Approx: true, Values: e.values()}
}

// run reads the stream and adds heartbeats until ctx ends. The reader ends last, because
// the stream is still read while the node announces that it closes.
func (l *streamLink) run(ctx context.Context) {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var heartbeats sync.WaitGroup
	heartbeats.Go(func() { // ends with ctx; waited for below
		l.sendHeartbeats(ctx)
		l.announceClose(reading)
		stop()
	})
	l.readLoop(reading)
	heartbeats.Wait()
}

func (l *streamLink) node() adapter.Node {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	return l.a.node
}

// waitForPosition waits until all messages up to a position were delivered to this node,
// or until ctx ends.
func (l *streamLink) waitForPosition(ctx context.Context, position uint64) {
	l.mu.Lock()
	l.waiters++
	for l.lastPosition < position && ctx.Err() == nil {
		advanced := l.advanced
		l.mu.Unlock()
		select {
		case <-advanced:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	l.waiters--
	l.mu.Unlock()
}
