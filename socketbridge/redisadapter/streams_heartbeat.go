package redisadapter

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// The cluster message types with which nodes of @socket.io/redis-streams-adapter 0.2 count
// each other.
const (
	clusterInitialHeartbeat = 1 // asks all other nodes for a heartbeat
	clusterHeartbeat        = 2
	clusterAdapterClose     = 13
)

var errNotReading = errors.New("redisadapter: this node cannot read the stream at present")

// streamPeer is another node that added an entry to the stream.
type streamPeer struct {
	lastSeen   time.Time
	streamOnly bool // it sends heartbeats, and takes no part in pub/sub
	both       bool // it sends heartbeats, and takes part in pub/sub: a node with this package
	sent       bool // it added an entry since the last check
}

// countNodes counts the nodes that are subscribed to the channel for requests, and those that
// read the stream only. It returns an error while the stream cannot be read, because
// heartbeats do not arrive then.
func (l *streamLink) countNodes(ctx context.Context, namespace string) (int, error) {
	if s := l.streamOf(namespace); s == nil || !s.isReading() {
		return 0, errNotReading
	}
	n := 1
	if l.a.asEmitter() != nil {
		n = 0
	}
	if l.requests != nil {
		var err error
		if n, err = l.requests.countNodes(ctx, namespace); err != nil {
			return 0, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ns := l.namespaces[namespace]
	if ns == nil { // closed meanwhile
		return n, nil
	}
	ns.removeExpired(l.a.cfg.HeartbeatTimeout)
	return n + ns.count(func(p *streamPeer) bool { return p.streamOnly || p.both && l.requests == nil }), nil
}

// heartbeat returns an entry for the other nodes. The caller holds l.mu.
func (l *streamLink) heartbeat(namespace string, kind int) streamEntry {
	return streamEntry{uid: l.uid, namespace: namespace, kind: kind, both: l.requests != nil}
}

// hasStreamOnlyPeers reports whether there are nodes that take no part in pub/sub.
func (l *streamLink) hasStreamOnlyPeers(namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ns := l.namespaces[namespace]
	if ns == nil {
		return false
	}
	for _, p := range ns.peers {
		if p.streamOnly && time.Since(p.lastSeen) <= l.a.cfg.HeartbeatTimeout {
			return true
		}
	}
	return false
}

// removeExpired removes the nodes that sent nothing for the given time. The caller holds the
// link's mu.
func (ns *streamNamespace) removeExpired(after time.Duration) {
	for uid, p := range ns.peers {
		if time.Since(p.lastSeen) > after {
			delete(ns.peers, uid)
		}
	}
}

// count counts peers. The caller holds the link's mu.
func (ns *streamNamespace) count(match func(*streamPeer) bool) (n int) {
	for _, p := range ns.peers {
		if match(p) {
			n++
		}
	}
	return n
}

// sendHeartbeats adds heartbeats to the streams until ctx ends: one when this node starts, so
// that stream-only nodes count it and make themselves known, and one per interval while there
// are such nodes, or if this is one.
func (l *streamLink) sendHeartbeats(ctx context.Context) {
	tick := time.NewTicker(l.a.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-tick.C:
			l.mu.Lock()
			if l.emitter != nil {
				l.mu.Unlock()
				continue
			}
			for name, ns := range l.namespaces {
				ns.removeExpired(l.a.cfg.HeartbeatTimeout)
				// Heartbeats that pile up during an outage would all be added
				// after it, and trim entries that other nodes have not read yet.
				if ns.isReading() && (l.requests == nil || ns.count(func(p *streamPeer) bool { return p.streamOnly }) > 0) {
					l.due = append(l.due, l.heartbeat(name, clusterHeartbeat))
				}
			}
			l.mu.Unlock()
			l.checkPeers(ctx)
		}
		l.flushHeartbeats(ctx)
	}
}

// flushHeartbeats adds the due heartbeats of the streams that this node can read: it could not
// read the replies of the others. If that fails, only initial heartbeats stay due.
func (l *streamLink) flushHeartbeats(ctx context.Context) {
	l.mu.Lock()
	var due, later []streamEntry
	for _, e := range l.due {
		if ns := l.namespaces[e.namespace]; e.kind == clusterAdapterClose || ns != nil && ns.isReading() {
			due = append(due, e)
		} else {
			later = append(later, e)
		}
	}
	l.due = later
	l.mu.Unlock()
	if len(due) == 0 {
		return
	}
	if l.addAll(ctx, due) != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, e := range due {
			if e.kind == clusterInitialHeartbeat {
				l.due = append(l.due, e)
			}
		}
	}
}

// addAll adds heartbeats in one pipeline. If the client retries it, an entry is added twice,
// which is harmless for heartbeats but not for messages.
func (l *streamLink) addAll(ctx context.Context, entries []streamEntry) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	all := make([]*goredis.XAddArgs, len(entries))
	for i, e := range entries {
		var err error
		if all[i], err = l.addArgs(e); err != nil {
			return err
		}
	}
	return sendToMaster(l.a.client, func() error {
		_, err := l.a.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for _, args := range all {
				p.XAdd(ctx, args)
			}
			return nil
		})
		return err
	})
}

// announceClose tells stream-only nodes that this one closes. The added entries also end the
// readers' blocking calls.
func (l *streamLink) announceClose(ctx context.Context) {
	l.mu.Lock()
	var entries []streamEntry
	for name, ns := range l.namespaces {
		if ns.isReading() && l.emitter == nil {
			entries = append(entries, l.heartbeat(name, clusterAdapterClose))
		}
	}
	l.mu.Unlock()
	if len(entries) > 0 {
		if err := l.addAll(ctx, entries); err != nil {
			l.a.notices.Report(&closeUnannounced, "", "error", err)
		}
	}
}

// noteSender records that a node has sent an entry. It reports whether the entry contains
// a message or reply for this node.
func (l *streamLink) noteSender(e *streamEntry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ns := l.namespaces[e.namespace]
	switch {
	case ns == nil: // this node does not serve the namespace
		return false
	case e.uid == l.uid && (l.emitter == nil || l.emitter.watch == nil): // one that watches receives from other emitters
		return e.loopback
	case e.kind == clusterAdapterClose:
		delete(ns.peers, e.uid)
		return false
	case e.uid != "" && e.uid != emitterUID:
		l.notePeer(ns, e, time.Now())
	}
	return e.kind != clusterInitialHeartbeat && e.kind != clusterHeartbeat
}

// notePeer updates what is known about the sender of an entry that was added at a time. The
// caller holds l.mu.
func (l *streamLink) notePeer(ns *streamNamespace, e *streamEntry, added time.Time) {
	p := ns.peers[e.uid]
	if p == nil {
		p = new(streamPeer)
		ns.peers[e.uid] = p
	}
	p.sent = true
	if added.After(p.lastSeen) {
		p.lastSeen = added
	}
	switch {
	case e.kind != clusterInitialHeartbeat && e.kind != clusterHeartbeat:
		return
	case e.both:
		p.both = true
	default:
		p.streamOnly = true
	}
	if e.kind == clusterInitialHeartbeat && (p.streamOnly || l.requests == nil) && l.emitter == nil {
		l.due = append(l.due, l.heartbeat(e.namespace, clusterHeartbeat))
		l.notify()
	}
}
