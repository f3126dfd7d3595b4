package redisadapter

import (
	"context"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	pageSize    = 100                    // the number of entries read at once
	readBlock   = 500 * time.Millisecond // how long Redis waits for the first entry
	zeroEntryID = "0-0"                  // is before all entries
)

// stream is one stream and its reader. The reader delivers all entries in order and remembers
// the last one, so the node receives everything that was added while it could not reach Redis.
type stream struct {
	l   *streamLink
	key string

	mu           sync.Mutex    // guards the fields below; nothing is called while it is held. A streamLink's mu may be held.
	reading      bool          // the reader follows the stream
	lastID       string        // the last entry that was delivered; "" before the reader's first start
	lastPosition uint64        // the position of lastID
	waiters      int           // calls of waitForPosition
	advanced     chan struct{} // closed when lastPosition grows and there are waiters

	catchingUp bool // there may be more than one page to read; used by the reader goroutine only
}

func newStream(l *streamLink, key string) *stream {
	return &stream{l: l, key: key, advanced: make(chan struct{})}
}

func (s *stream) isReading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// position returns the position of the last entry that was delivered.
func (s *stream) position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastPosition
}

// waitForPosition waits until all messages up to a position were delivered to this node,
// or until ctx ends.
func (s *stream) waitForPosition(ctx context.Context, position uint64) {
	s.mu.Lock()
	s.waiters++
	for s.lastPosition < position && ctx.Err() == nil {
		advanced := s.advanced
		s.mu.Unlock()
		select {
		case <-advanced:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	s.waiters--
	s.mu.Unlock()
}

// readLoop delivers the stream's entries until ctx ends.
func (s *stream) readLoop(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		err := s.readPage(ctx)
		if err == nil {
			backoff = minBackoff
			continue
		}
		s.mu.Lock()
		wasReading := s.reading
		s.reading = false
		s.mu.Unlock()
		if wasReading && ctx.Err() == nil {
			s.l.a.notices.Report(&unreadable, s.key, "stream", s.key, "error", err)
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
func (s *stream) readPage(ctx context.Context) error {
	s.mu.Lock()
	reading, from := s.reading, s.lastID
	s.mu.Unlock()
	if !reading {
		return s.resume(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readBlock+s.l.a.cfg.Timeout)
	defer cancel()
	read := s.readNew
	if s.catchingUp {
		read = s.readBacklog
	}
	entries, err := read(ctx, from)
	if err != nil {
		return err
	}
	wasCatchingUp := s.catchingUp
	s.catchingUp = len(entries) >= pageSize
	if s.catchingUp && !wasCatchingUp {
		// Read the page again with readBacklog: XREAD does not show whether entries
		// before the page were trimmed.
		return nil
	}
	for _, raw := range entries {
		s.deliver(raw)
	}
	return nil
}

// readNew returns the entries after the entry that was the newest at the last read. It
// waits up to readBlock for the first one.
func (s *stream) readNew(ctx context.Context, from string) ([]goredis.XMessage, error) {
	streams, err := s.l.a.client.XRead(ctx, &goredis.XReadArgs{Streams: []string{s.key, from}, Count: pageSize, Block: readBlock}).Result()
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
func (s *stream) readBacklog(ctx context.Context, from string) ([]goredis.XMessage, error) {
	entries, err := s.l.a.client.XRangeN(ctx, s.key, from, "+", pageSize+1).Result()
	switch {
	case err != nil:
		return nil, err
	case from == zeroEntryID:
	case len(entries) > 0 && entries[0].ID == from:
		entries = entries[1:]
	default:
		s.l.a.notices.Report(&messagesLost, s.key, "stream", s.key, "max_len", s.l.a.cfg.MaxLen)
	}
	return entries, nil
}

// resume determines where to read: at the end of the stream when the node starts, and
// after the last delivered entry when it reconnects.
func (s *stream) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.l.a.cfg.Timeout)
	defer cancel()
	s.mu.Lock()
	from, position := s.lastID, s.lastPosition
	s.mu.Unlock()
	newest, err := s.l.a.client.XRevRangeN(ctx, s.key, "+", "-", 1).Result()
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
		s.l.a.notices.Report(&streamReset, s.key, "stream", s.key)
		from, position = endID, endPosition
	}
	s.catchingUp = true
	s.mu.Lock()
	s.lastID, s.lastPosition, s.reading = from, position, true
	s.mu.Unlock()
	s.l.notify()
	return nil
}

// deliver dispatches one entry and advances the reader's position.
func (s *stream) deliver(raw goredis.XMessage) {
	position, ok := parseEntryID(raw.ID)
	if e, err := decodeEntry(raw.Values); err != nil {
		s.l.a.reportMalformed(err)
	} else if s.l.isTooLarge(e) {
		s.l.a.reportTooLarge(len(e.data))
	} else if s.l.a.isAccepted(e.signature != "", s.l.a.signer.openEntry(s.key, e, entryTime(position))) && s.l.noteSender(e) {
		offset := raw.ID
		if !ok {
			offset = ""
		}
		s.l.dispatch(e, offset, position)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID = raw.ID
	if ok {
		s.lastPosition = position
	}
	if s.waiters > 0 {
		close(s.advanced)
		s.advanced = make(chan struct{})
	}
}

// isTooLarge reports whether an entry exceeds Config.MaxMessage. Base64 makes a message a third
// larger.
func (l *streamLink) isTooLarge(e *streamEntry) bool { return len(e.data) > 2*l.a.cfg.MaxMessage }

// dispatch passes the message or reply of an entry to the adapter. The offset is "" if the
// entry's ID has no position.
func (l *streamLink) dispatch(e *streamEntry, offset string, position uint64) {
	f, err := e.frame()
	if err != nil {
		l.a.reportMalformed(err)
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
