package redisadapter

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"unicode/utf16"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// streamLink carries cluster messages through streams, as @socket.io/redis-streams-adapter
// does. Requests and their replies go over pub/sub, as since its version 0.3, unless there are
// nodes that read the stream only, as with version 0.2. Such nodes would not receive a request
// over pub/sub, but all others receive one through the stream. A reply goes the way of its
// request.
type streamLink struct {
	a        *Adapter
	requests *shardedLink // nil with StreamsOnly

	mu         sync.Mutex // guards the fields below; nothing is called while it is held
	uid        string
	emitter    *emitterNode // nil in a node
	namespaces map[string]*streamNamespace
	streams    map[string]*stream // by key
	due        []streamEntry      // heartbeats to add
	reading    context.Context    // of the streams' readers; nil before run
	stopped    bool               // no further reader may start

	readers sync.WaitGroup
	wake    chan struct{} // has an element when a heartbeat is due
}

// streamNamespace is what a streamLink knows about a namespace.
type streamNamespace struct {
	*stream
	peers map[string]*streamPeer // by uid

	// unreachable and mixed count the checks in a row that found a problem: see checkPeers.
	unreachable, mixed int
}

func newStreamLink(a *Adapter) *streamLink {
	l := &streamLink{a: a, namespaces: make(map[string]*streamNamespace), streams: make(map[string]*stream), wake: make(chan struct{}, 1)}
	if a.cfg.Mode == StreamsOnly {
		return l
	}
	l.requests = &shardedLink{
		shardedFormat: shardedFormat{key: a.cfg.ChannelPrefix, mode: ShardedStatic, packed: true},
		a:             a, uids: make(map[string]string),
	}
	if a.cfg.Mode == StreamsSharded {
		l.requests.pubSub = newShardedSubscriber(a, l.requests.routing.dispatch)
	} else {
		l.requests.pubSub = newPlainPubSub(a, l.requests.routing.dispatch)
	}
	return l
}

// streamKey returns the name of a namespace's stream. isRead reports whether Node's adapter
// reads it: if a namespace's hash is negative, it adds to a stream with a negative number and
// reads those from 0 on. Nodes with this package read it.
func streamKey(key string, count int, namespace string) (name string, isRead bool) {
	if count == 1 {
		return key, true
	}
	var hash int32
	for _, unit := range utf16.Encode([]rune(namespace)) {
		hash = hash*31 + int32(unit)
	}
	n := int(hash) % count
	return key + "-" + strconv.Itoa(n), n >= 0
}

func (l *streamLink) keyOf(namespace string) string {
	name, _ := streamKey(l.a.cfg.Key, l.a.cfg.StreamCount, namespace)
	return name
}

func (l *streamLink) subscribe(namespace, uid string) {
	if l.requests != nil {
		l.requests.subscribe(namespace, uid)
	}
	key, isRead := streamKey(l.a.cfg.Key, l.a.cfg.StreamCount, namespace)
	l.mu.Lock()
	l.uid = uid
	s := l.streams[key]
	if s == nil {
		s = newStream(l, key)
		l.streams[key] = s
		l.start(s)
	}
	l.namespaces[namespace] = &streamNamespace{stream: s, peers: make(map[string]*streamPeer)}
	l.due = append(l.due, l.heartbeat(namespace, clusterInitialHeartbeat))
	l.mu.Unlock()
	l.notify()
	if !isRead {
		l.a.notices.Report(&unread, namespace, "namespace", namespace, "stream", key)
	}
}

// listen reads the namespace's stream without heartbeats. The requests of an emitter that go
// through a stream have the sender emitterUID, and servers with version 0.3 reply to it on its
// channel.
func (l *streamLink) listen(namespace string, n *emitterNode) {
	if l.requests != nil {
		l.requests.listen(namespace, &emitterNode{id: emitterUID})
		l.requests.listen(namespace, n)
	}
	key := l.keyOf(namespace)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uid, l.emitter = emitterUID, n
	s := l.streams[key]
	if s == nil {
		s = newStream(l, key)
		l.streams[key] = s
		l.start(s)
	}
	l.namespaces[namespace] = &streamNamespace{stream: s, peers: make(map[string]*streamPeer)}
}

// start starts the reader of a stream, if run has begun. The caller holds l.mu.
func (l *streamLink) start(s *stream) {
	if l.reading == nil || l.stopped {
		return
	}
	ctx := l.reading
	l.readers.Go(func() { s.readLoop(ctx) }) // ends with ctx; run waits for it
}

// unsubscribe also tells stream-only nodes, which otherwise count this one until
// Config.HeartbeatTimeout. The reader of the stream keeps running: the number of streams is
// Config.StreamCount at most.
func (l *streamLink) unsubscribe(namespace, uid string) {
	if l.requests != nil {
		l.requests.unsubscribe(namespace, uid)
	}
	l.mu.Lock()
	delete(l.namespaces, namespace)
	l.due = slices.DeleteFunc(l.due, func(e streamEntry) bool { return e.namespace == namespace })
	l.due = append(l.due, l.heartbeat(namespace, clusterAdapterClose))
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

// streamOf returns the stream of a namespace, or nil if this node does not serve it.
func (l *streamLink) streamOf(namespace string) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ns := l.namespaces[namespace]; ns != nil {
		return ns.stream
	}
	return nil
}

func (l *streamLink) receivesReplies(namespace string) bool {
	s := l.streamOf(namespace)
	return s != nil && s.isReading() && (l.requests == nil || l.requests.receivesReplies(namespace))
}

// catchUp reads the stream up to its end before a request that arrived over pub/sub is
// answered. The requests of a node would otherwise overtake its broadcasts, joins and leaves.
func (l *streamLink) catchUp(ctx context.Context, f *frame) {
	s := l.streamOf(f.message.Namespace)
	if f.entry || s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	newest, err := l.a.client.XRevRangeN(ctx, s.key, "+", "-", 1).Result()
	if err != nil || len(newest) == 0 {
		return
	}
	if position, ok := parseEntryID(newest[0].ID); ok {
		s.waitForPosition(ctx, position)
	}
}

func (l *streamLink) roomChanged(string, string, bool, bool) {} // the stream carries the messages of all rooms

// encodeMessage encodes a message. The channel of a stream's message is its type, a number.
func (l *streamLink) encodeMessage(m *adapter.Message, uid, requestID string) (string, []byte, error) {
	byPubSub := requestID != "" || m.Kind == adapter.ServerSide && l.a.asEmitter() == nil // an emitter may not know the nodes
	if byPubSub && l.requests != nil && !l.hasStreamOnlyPeers(m.Namespace) {
		return l.requests.encodeMessage(m, uid, requestID)
	}
	kind, text, err := encodeClusterMessage(m, requestID)
	if err != nil {
		return "", nil, err
	}
	data, err := encodeBase64(text, m.Payload.Attachments)
	return strconv.Itoa(kind), data, err
}

func (l *streamLink) encodeReply(f *frame, uid string, r *adapter.Reply) (string, []byte, error) {
	if !f.entry {
		return l.requests.encodeReply(f, uid, r)
	}
	kind, text, attachments, err := encodeClusterReply(f, r)
	if err != nil {
		return "", nil, err
	}
	data, err := encodeBase64(text, attachments)
	return strconv.Itoa(kind), data, err
}

func (l *streamLink) publish(ctx context.Context, namespace, channel string, data []byte) error {
	kind, err := strconv.Atoi(channel)
	if err != nil { // the name of a channel, which contains #
		return l.requests.publish(ctx, namespace, channel, data)
	}
	_, err = l.add(ctx, namespace, kind, data, false)
	return err
}

// add adds an entry and returns its ID. With loopback, the entry is delivered to this node
// as well.
func (l *streamLink) add(ctx context.Context, namespace string, kind int, data []byte, loopback bool) (id string, err error) {
	l.mu.Lock()
	e := streamEntry{uid: l.uid, namespace: namespace, kind: kind, data: data, loopback: loopback}
	l.mu.Unlock()
	if l.a.asEmitter() != nil {
		e.uid = emitterUID // it may not listen yet
	}
	args, err := l.addArgs(e)
	if err != nil {
		return "", err
	}
	var added *goredis.StringCmd
	err = sendOnce(ctx, l.a.client, args.Stream, func(c goredis.Cmdable) goredis.Cmder {
		added = c.XAdd(ctx, args)
		return added
	})
	if err != nil {
		return "", err
	}
	return added.Val(), nil
}

// addArgs returns the arguments of the command that adds an entry, and signs it.
func (l *streamLink) addArgs(e streamEntry) (*goredis.XAddArgs, error) {
	key := l.keyOf(e.namespace)
	if l.a.signer.isOn() {
		var err error
		if e.signature, err = l.a.signer.signEntry(key, &e); err != nil {
			return nil, err
		}
	}
	return &goredis.XAddArgs{Stream: key, MaxLen: l.a.cfg.MaxLen, Approx: true, Values: e.values()}, nil
}

// run reads the streams and the channels and adds heartbeats until ctx ends. The readers end
// last, because the streams are still read while the node announces that it closes.
func (l *streamLink) run(ctx context.Context) {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	l.mu.Lock()
	l.reading = reading
	for _, s := range l.streams {
		l.start(s)
	}
	l.mu.Unlock()
	var others sync.WaitGroup
	if l.requests != nil {
		others.Go(func() { l.requests.run(ctx) }) // ends with ctx; waited for below
	}
	l.sendHeartbeats(ctx)
	l.announceClose(reading)
	stop()
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.readers.Wait()
	others.Wait()
}

func (l *streamLink) node() adapter.Node {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	return l.a.node
}
