package redisadapter

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	pageSize    = 100                    // the number of entries read at once
	readBlock   = 500 * time.Millisecond // how long Redis waits for the first entry
	zeroEntryID = "0-0"                  // is before all entries
)

// readLoop delivers the stream's entries until ctx ends.
func (l *streamLink) readLoop(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		err := l.readPage(ctx)
		if err == nil {
			backoff = minBackoff
			continue
		}
		l.mu.Lock()
		wasReading := l.reading
		l.reading = false
		l.mu.Unlock()
		if wasReading && ctx.Err() == nil {
			l.a.cfg.Logger.Warn("redisadapter: the stream cannot be read; messages of other nodes are delayed until it can", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(jittered(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// readPage delivers the next entries, if any. After an error it determines first where to
// continue.
func (l *streamLink) readPage(ctx context.Context) error {
	l.mu.Lock()
	reading, from := l.reading, l.lastID
	l.mu.Unlock()
	if !reading {
		return l.resume(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readBlock+l.a.cfg.Timeout)
	defer cancel()
	read := l.readNew
	if l.catchingUp {
		read = l.readBacklog
	}
	entries, err := read(ctx, from)
	if err != nil {
		return err
	}
	wasCatchingUp := l.catchingUp
	l.catchingUp = len(entries) >= pageSize
	if l.catchingUp && !wasCatchingUp {
		// Read the page again with readBacklog: XREAD does not show whether entries
		// before the page were trimmed.
		return nil
	}
	for _, raw := range entries {
		l.deliver(raw)
	}
	return nil
}

// readNew returns the entries after the entry that was the newest at the last read. It
// waits up to readBlock for the first one.
func (l *streamLink) readNew(ctx context.Context, from string) ([]goredis.XMessage, error) {
	streams, err := l.a.client.XRead(ctx, &goredis.XReadArgs{Streams: []string{l.a.cfg.Key, from}, Count: pageSize, Block: readBlock}).Result()
	if errors.Is(err, goredis.Nil) || err == nil && len(streams) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return streams[0].Messages, nil
}

// readBacklog returns the entries after an entry that may be far behind the newest one. A
// stream is trimmed from its beginning: if it still has this entry, no later one is
// missing. Otherwise messages are lost, which is logged.
func (l *streamLink) readBacklog(ctx context.Context, from string) ([]goredis.XMessage, error) {
	entries, err := l.a.client.XRangeN(ctx, l.a.cfg.Key, from, "+", pageSize+1).Result()
	switch {
	case err != nil:
		return nil, err
	case from == zeroEntryID:
	case len(entries) > 0 && entries[0].ID == from:
		entries = entries[1:]
	default:
		l.a.cfg.Logger.Error("redisadapter: messages are lost: this node was disconnected or slow for longer than the stream keeps entries (Config.MaxLen), or Redis lost data", "max_len", l.a.cfg.MaxLen)
	}
	return entries, nil
}

// resume determines where to read: at the end of the stream when the node starts, and
// after the last delivered entry when it reconnects.
func (l *streamLink) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	l.mu.Lock()
	from, position := l.lastID, l.lastPosition
	l.mu.Unlock()
	newest, err := l.a.client.XRevRangeN(ctx, l.a.cfg.Key, "+", "-", 1).Result()
	if err != nil {
		return err
	}
	endID, endPosition := zeroEntryID, uint64(0)
	if len(newest) > 0 {
		endID = newest[0].ID
		endPosition, _ = parseEntryID(endID)
	}
	switch {
	case from == "":
		from, position = endID, endPosition
	case endPosition < position:
		l.a.cfg.Logger.Error("redisadapter: Redis has lost entries of the stream that this node has read already; it continues at the end of the stream")
		from, position = endID, endPosition
	}
	l.catchingUp = true
	l.mu.Lock()
	l.lastID, l.lastPosition, l.reading = from, position, true
	l.mu.Unlock()
	l.notify()
	return nil
}

// deliver dispatches one entry and advances the reader's position.
func (l *streamLink) deliver(raw goredis.XMessage) {
	position, ok := parseEntryID(raw.ID)
	if e, err := decodeEntry(raw.Values); err != nil {
		l.a.logMalformed(err)
	} else if l.noteSender(e) {
		offset := raw.ID
		if !ok {
			offset = ""
		}
		l.dispatch(e, offset, position)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID = raw.ID
	if ok {
		l.lastPosition = position
	}
	if l.waiters > 0 {
		close(l.advanced)
		l.advanced = make(chan struct{})
	}
}

// dispatch passes the message or reply of an entry to the adapter. The offset is "" if the
// entry's ID has no position.
func (l *streamLink) dispatch(e *streamEntry, offset string, position uint64) {
	if len(e.data) > 2*l.a.cfg.MaxMessage { // base64 makes a message a third larger
		l.a.logTooLarge(len(e.data))
		return
	}
	f, err := e.frame()
	if err != nil {
		l.a.logMalformed(err)
		return
	}
	if f.isReplayable() && offset != "" {
		f.message.Offset, f.message.Position = offset, position
	}
	switch {
	case f.message == nil:
		l.a.handleReply(f)
	case e.loopback && e.uid == l.node().ID():
		l.node().Deliver(f.message)
	default:
		l.a.handleMessage(f)
	}
}
