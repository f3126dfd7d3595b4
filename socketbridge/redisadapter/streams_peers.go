package redisadapter

import (
	"context"
	"time"
)

const (
	// peersPage is the number of entries that findPeers reads at once.
	peersPage = 1000
	// settleTime is how long findPeers waits for the heartbeats of senders that may or may not
	// take part in pub/sub.
	settleTime = 250 * time.Millisecond
)

// findPeers makes an emitter count the nodes that take no part in pub/sub. Such a node sends
// something at least once in its heartbeat interval, so those that are alive are in the last
// part of the stream. findPeers also asks all of them for a heartbeat: one that has sent other
// messages all the time has sent none.
func (l *streamLink) findPeers(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	id, err := l.add(ctx, namespace, clusterInitialHeartbeat, nil, false)
	if err != nil {
		return err
	}
	end, ok := parseEntryID(id)
	if !ok {
		return errMalformed
	}
	now, endTime := time.Now(), entryTime(end)
	from := uint64(max(endTime.Add(-l.a.cfg.HeartbeatTimeout).UnixMilli(), 0)) << seqBits
	key := l.keyOf(namespace)
	for from <= end {
		page, err := l.a.client.XRangeN(ctx, key, formatEntryID(from), id, peersPage).Result()
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		l.mu.Lock()
		for _, raw := range page {
			position, ok := parseEntryID(raw.ID)
			if !ok {
				l.mu.Unlock()
				return errMalformed
			}
			from = position + 1
			e, err := decodeEntry(raw.Values)
			if err != nil || e.namespace != namespace {
				continue
			}
			if _, err := l.a.signer.verifyEntry(key, e, entryTime(position)); err == nil {
				l.noteEarlier(e, now.Add(entryTime(position).Sub(endTime)))
			}
		}
		l.mu.Unlock()
	}
	return l.waitForHeartbeats(ctx, namespace)
}

// noteEarlier notes the sender of an entry that was added before this process read the stream.
// The caller holds l.mu.
func (l *streamLink) noteEarlier(e *streamEntry, added time.Time) {
	ns := l.namespaces[e.namespace]
	switch {
	case ns == nil || e.uid == "" || e.uid == emitterUID:
	case e.kind == clusterAdapterClose:
		delete(ns.peers, e.uid)
	default:
		l.notePeer(ns, e, added)
	}
}

// waitForHeartbeats waits until all known senders have sent a heartbeat, for settleTime at most:
// those that take part in pub/sub send none.
func (l *streamLink) waitForHeartbeats(ctx context.Context, namespace string) error {
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.hasUnknownPeers(namespace) {
		select {
		case <-tick.C:
		case <-settled.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *streamLink) hasUnknownPeers(namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ns := l.namespaces[namespace]
	return ns != nil && ns.count(func(p *streamPeer) bool { return !p.streamOnly && !p.both }) > 0
}
