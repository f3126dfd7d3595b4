package redisadapter

import (
	"context"
	"errors"
	"maps"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// The cluster message types with which nodes count each other.
const (
	clusterInitialHeartbeat = 1 // asks all other nodes for a heartbeat
	clusterHeartbeat        = 2
	clusterAdapterClose     = 13
)

var errNotReading = errors.New("redisadapter: this node cannot read the stream at present")

// countNodes counts this node and the nodes that sent something within
// Config.HeartbeatTimeout. It returns an error while the stream cannot be read, because
// heartbeats do not arrive then.
func (l *streamLink) countNodes(_ context.Context, namespace string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reading {
		return 0, errNotReading
	}
	l.removeExpired(l.peers[namespace])
	return 1 + len(l.peers[namespace]), nil
}

// removeExpired removes the nodes that sent nothing within Config.HeartbeatTimeout. The
// caller holds l.mu.
func (l *streamLink) removeExpired(peers map[string]time.Time) {
	maps.DeleteFunc(peers, func(_ string, at time.Time) bool { return time.Since(at) > l.a.cfg.HeartbeatTimeout })
}

// sendHeartbeats adds heartbeats to the stream until ctx ends.
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
			for namespace, peers := range l.peers {
				l.removeExpired(peers)
				// Heartbeats that pile up during an outage would all be added
				// after it, and trim entries that other nodes have not read yet.
				if l.reading {
					l.due = append(l.due, streamEntry{uid: l.uid, namespace: namespace, kind: clusterHeartbeat})
				}
			}
			l.mu.Unlock()
		}
		l.flushHeartbeats(ctx)
	}
}

// flushHeartbeats adds the due heartbeats, unless this node could not read the replies. If
// that fails, only initial heartbeats stay due.
func (l *streamLink) flushHeartbeats(ctx context.Context) {
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
	return sendToMaster(l.a.client, func() error {
		_, err := l.a.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i := range entries {
				p.XAdd(ctx, l.addArgs(&entries[i]))
			}
			return nil
		})
		return err
	})
}

// announceClose tells the other nodes that this one closes. The added entries also end the
// reader's blocking call.
func (l *streamLink) announceClose(ctx context.Context) {
	l.mu.Lock()
	var entries []streamEntry
	if l.reading {
		for namespace := range l.peers {
			entries = append(entries, streamEntry{uid: l.uid, namespace: namespace, kind: clusterAdapterClose})
		}
	}
	l.mu.Unlock()
	if len(entries) > 0 {
		if err := l.addAll(ctx, entries); err != nil {
			l.a.cfg.Logger.Info("redisadapter: could not tell other nodes that this node closes; they count it until Config.HeartbeatTimeout", "error", err)
		}
	}
}

// noteSender records that a node has sent an entry. It reports whether the entry contains
// a message or reply for this node.
func (l *streamLink) noteSender(e *streamEntry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	peers := l.peers[e.namespace]
	switch {
	case peers == nil: // this node does not serve the namespace
		return false
	case e.uid == l.uid:
		return e.loopback
	case e.kind == clusterAdapterClose:
		delete(peers, e.uid)
		return false
	case e.uid != "" && e.uid != "emitter":
		peers[e.uid] = time.Now()
	}
	if e.kind == clusterInitialHeartbeat {
		l.due = append(l.due, streamEntry{uid: l.uid, namespace: e.namespace, kind: clusterHeartbeat})
		l.notify()
	}
	return e.kind != clusterInitialHeartbeat && e.kind != clusterHeartbeat
}
