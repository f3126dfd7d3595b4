package redisadapter

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

const (
	readCount = 100                    // entries that are read at a time
	readBlock = 500 * time.Millisecond // how long Redis waits for the first
	noEntry   = "0-0"                  // is before all
)

// streamLink speaks cluster messages through one stream, which each node reads on from
// where it was: what is added while Redis cannot be reached from here comes later.
type streamLink struct {
	a *Adapter

	mu      sync.Mutex // guards what follows; nothing is called under it
	uid     string
	heard   map[string]map[string]time.Time // when other nodes were last heard of, by open namespace
	due     []entry                         // to be added: who is there
	reading bool                            // what is added is read at once
	lastID  string                          // of the last entry that was read; "" before the first
	last    uint64                          // its place
	waiting int                             // how many wait for last to grow
	moved   chan struct{}                   // closed when it does

	wake   chan struct{} // has something when something is due
	behind bool          // there may be more than one page to read; of the reading goroutine
}

func newStreamLink(a *Adapter) *streamLink {
	return &streamLink{a: a, heard: make(map[string]map[string]time.Time), moved: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (l *streamLink) open(namespace, uid string) {
	l.mu.Lock()
	l.uid = uid
	l.heard[namespace] = make(map[string]time.Time)
	l.due = append(l.due, entry{uid: uid, namespace: namespace, kind: clusterHello})
	l.mu.Unlock()
	l.poke()
}

func (l *streamLink) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (l *streamLink) hears(string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reading
}

func (l *streamLink) room(string, string, bool, bool) {} // the stream has all

func (l *streamLink) message(m *adapter.Message, _, requestID string) (string, []byte, error) {
	kind, text, err := messageData(m, requestID)
	if err != nil {
		return "", nil, err
	}
	data, err := pack64(text, m.Payload.Attachments)
	return strconv.Itoa(kind), data, err
}

func (l *streamLink) reply(f *frame, _ string, r *adapter.Reply) (string, []byte, error) {
	kind, text, attachments, err := replyData(f, r)
	if err != nil {
		return "", nil, err
	}
	data, err := pack64(text, attachments)
	return strconv.Itoa(kind), data, err
}

// send adds an entry; its channel is its type.
func (l *streamLink) send(ctx context.Context, namespace, channel string, data []byte) error {
	_, err := l.add(ctx, namespace, channel, data, false)
	return err
}

func (l *streamLink) add(ctx context.Context, namespace, channel string, data []byte, own bool) (id string, err error) {
	kind, err := strconv.Atoi(channel)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	e := entry{uid: l.uid, namespace: namespace, kind: kind, data: data, own: own}
	l.mu.Unlock()
	var added *goredis.StringCmd
	err = once(ctx, l.a.client, l.a.cfg.Key, func(c goredis.Cmdable) goredis.Cmder {
		added = c.XAdd(ctx, l.args(&e))
		return added
	})
	if err != nil {
		return "", err
	}
	return added.Val(), nil
}

func (l *streamLink) args(e *entry) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: l.a.cfg.Key, MaxLen: l.a.cfg.MaxLen, Approx: true, Values: e.values()}
}

// nodes counts the nodes that were heard of lately. It knows none while it reads
// nothing.
func (l *streamLink) nodes(_ context.Context, namespace string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reading {
		return 0, errNotReading
	}
	l.prune(l.heard[namespace])
	return 1 + len(l.heard[namespace]), nil
}

// prune forgets the nodes that were not heard of lately. The caller holds the lock.
func (l *streamLink) prune(nodes map[string]time.Time) {
	maps.DeleteFunc(nodes, func(_ string, at time.Time) bool { return time.Since(at) > l.a.cfg.HeartbeatTimeout })
}

var errNotReading = errors.New("redisadapter: the stream cannot be read at present")

func (l *streamLink) run(ctx context.Context) {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beating sync.WaitGroup
	beating.Go(func() { // ends with ctx; waited for below
		l.beat(ctx)
		l.bye(reading)
		stop()
	})
	l.read(reading)
	beating.Wait()
}

// beat tells other nodes that this one is there, until ctx ends.
func (l *streamLink) beat(ctx context.Context) {
	tick := time.NewTicker(l.a.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-tick.C:
			l.mu.Lock()
			for namespace, nodes := range l.heard {
				l.prune(nodes)
				if l.reading { // else many would be due when it is again, and push out what others have still to read
					l.due = append(l.due, entry{uid: l.uid, namespace: namespace, kind: clusterBeat})
				}
			}
			l.mu.Unlock()
		}
		l.flush(ctx)
	}
}

// flush adds what is due, when the answers would be read. What fails is due again.
func (l *streamLink) flush(ctx context.Context) {
	l.mu.Lock()
	due := l.due
	if !l.reading {
		due = nil
	} else {
		l.due = nil
	}
	l.mu.Unlock()
	if len(due) == 0 {
		return
	}
	if l.addAll(ctx, due) != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, e := range due {
			if e.kind == clusterHello {
				l.due = append(l.due, e)
			}
		}
	}
}

// addAll adds what may be there twice.
func (l *streamLink) addAll(ctx context.Context, all []entry) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	_, err := l.a.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range all {
			p.XAdd(ctx, l.args(&all[i]))
		}
		return nil
	})
	return err
}

// bye tells other nodes that this one ends, which also wakes who reads.
func (l *streamLink) bye(ctx context.Context) {
	l.mu.Lock()
	var all []entry
	if l.reading {
		for namespace := range l.heard {
			all = append(all, entry{uid: l.uid, namespace: namespace, kind: clusterBye})
		}
	}
	l.mu.Unlock()
	if len(all) > 0 {
		if err := l.addAll(ctx, all); err != nil {
			l.a.cfg.Logger.Info("redisadapter: other nodes were not told of this one's end", "error", err)
		}
	}
}

// read delivers what is added until ctx ends.
func (l *streamLink) read(ctx context.Context) {
	pause := minPause
	for ctx.Err() == nil {
		err := l.next(ctx)
		if err == nil {
			pause = minPause
			continue
		}
		l.mu.Lock()
		was := l.reading
		l.reading = false
		l.mu.Unlock()
		if was && ctx.Err() == nil {
			l.a.cfg.Logger.Warn("redisadapter: the stream cannot be read; what is added comes later", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)): // jitter: not all nodes at once
		}
		pause = min(2*pause, maxPause)
	}
}

// next delivers the entries that come next, if any.
func (l *streamLink) next(ctx context.Context) error {
	l.mu.Lock()
	reading, from := l.reading, l.lastID
	l.mu.Unlock()
	if !reading {
		return l.seek(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readBlock+l.a.cfg.Timeout)
	defer cancel()
	read := l.coming
	if l.behind {
		read = l.rest
	}
	entries, err := read(ctx, from)
	if err != nil {
		return err
	}
	was := l.behind
	l.behind = len(entries) >= readCount
	if l.behind && !was {
		return nil // they are read again: XREAD does not say whether any are missing before them
	}
	for _, m := range entries {
		l.take(m)
	}
	return nil
}

// coming returns what comes after an entry that was the newest. It waits for a moment
// when there is nothing.
func (l *streamLink) coming(ctx context.Context, from string) ([]goredis.XMessage, error) {
	streams, err := l.a.client.XRead(ctx, &goredis.XReadArgs{Streams: []string{l.a.cfg.Key, from}, Count: readCount, Block: readBlock}).Result()
	if errors.Is(err, goredis.Nil) || err == nil && len(streams) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return streams[0].Messages, nil
}

// rest returns what comes after an entry from which others may have gone on by much. A
// stream is trimmed from its beginning: as long as it has this one, nothing after it is
// missing.
func (l *streamLink) rest(ctx context.Context, from string) ([]goredis.XMessage, error) {
	entries, err := l.a.client.XRangeN(ctx, l.a.cfg.Key, from, "+", readCount+1).Result()
	switch {
	case err != nil:
		return nil, err
	case from == noEntry:
	case len(entries) > 0 && entries[0].ID == from:
		entries = entries[1:]
	default:
		l.a.cfg.Logger.Error("redisadapter: messages are lost: the stream was trimmed beyond what this node had read (MaxLen), or Redis lost a part of it")
	}
	return entries, nil
}

// seek finds where to read on: at the end of the stream, the first time, and then
// after the last entry that was read.
func (l *streamLink) seek(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	l.mu.Lock()
	from, last := l.lastID, l.last
	l.mu.Unlock()
	newest, err := l.a.client.XRevRangeN(ctx, l.a.cfg.Key, "+", "-", 1).Result()
	if err != nil {
		return err
	}
	end, endPlace := noEntry, uint64(0)
	if len(newest) > 0 {
		end = newest[0].ID
		endPlace, _ = placeOf(end)
	}
	switch {
	case from == "":
		from, last = end, endPlace
	case endPlace < last:
		l.a.cfg.Logger.Error("redisadapter: the stream has lost entries that this node has read; it reads on from the stream's end")
		from, last = end, endPlace
	}
	l.behind = true
	l.mu.Lock()
	l.lastID, l.last, l.reading = from, last, true
	l.mu.Unlock()
	l.poke()
	return nil
}

// take delivers one entry.
func (l *streamLink) take(m goredis.XMessage) {
	at, ok := placeOf(m.ID)
	if e, err := readEntry(m.Values); err != nil {
		l.a.cfg.Logger.Warn("redisadapter: a message was dropped", "error", err)
	} else if l.note(e) {
		offset := m.ID
		if !ok {
			offset = ""
		}
		l.pass(e, offset, at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID = m.ID
	if ok {
		l.last = at
	}
	if l.waiting > 0 {
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// note counts the node that an entry is of, and says whether there is more to it.
func (l *streamLink) note(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	nodes := l.heard[e.namespace]
	switch {
	case nodes == nil:
		return false
	case e.uid == l.uid:
		return e.own
	case e.kind == clusterBye:
		delete(nodes, e.uid)
		return false
	case e.uid != "" && e.uid != "emitter":
		nodes[e.uid] = time.Now()
	}
	if e.kind == clusterHello {
		l.due = append(l.due, entry{uid: l.uid, namespace: e.namespace, kind: clusterBeat})
		l.poke()
	}
	return e.kind != clusterHello && e.kind != clusterBeat
}

// pass hands on what an entry says.
func (l *streamLink) pass(e *entry, offset string, at uint64) {
	if len(e.data) > 2*l.a.cfg.MaxMessage { // base64 makes it larger
		l.a.cfg.Logger.Warn("redisadapter: a message was dropped: it is too large", "bytes", len(e.data), "limit", l.a.cfg.MaxMessage)
		return
	}
	f, err := e.frame()
	if err != nil {
		l.a.cfg.Logger.Warn("redisadapter: a message was dropped", "error", err)
		return
	}
	if f.keeps() && offset != "" {
		f.message.Offset, f.message.Place = offset, at
	}
	switch {
	case f.message == nil:
		l.a.replied(f)
	case e.own && e.uid == l.node().ID():
		l.node().Deliver(f.message)
	default:
		l.a.asked(f)
	}
}

func (l *streamLink) node() adapter.Node {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	return l.a.node
}

// await waits until the node has been delivered what has a place, or until ctx ends.
func (l *streamLink) await(ctx context.Context, at uint64) {
	l.mu.Lock()
	l.waiting++
	for l.last < at && ctx.Err() == nil {
		moved := l.moved
		l.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	l.waiting--
	l.mu.Unlock()
}
