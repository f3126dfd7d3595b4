package redisadapter

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// StreamsAdapter is an Adapter that uses a Redis stream, in the formats of
// @socket.io/redis-streams-adapter 0.2 and 0.3. The stream is a replay log, so a
// StreamsAdapter implements adapter.Log as well: a client can resume its connection on any
// node (socketbridge.Config.Recovery), and a node that loses its connection to Redis for a
// moment misses no broadcast. Requests, such as FetchSockets, need the connection.
type StreamsAdapter struct {
	*Adapter
	stream *streamLink
}

var (
	_ adapter.Log         = (*StreamsAdapter)(nil)
	_ adapter.RoomWatcher = (*StreamsAdapter)(nil)
)

// NewStreams returns an adapter that uses a Redis stream. It needs Redis 5 or newer, and
// StreamsSharded needs Redis 7 and a *redis.Client or a *redis.ClusterClient. Config.Mode is
// Streams, StreamsSharded, StreamsOnly or 0. While it runs, the adapter occupies one connection of the
// client's pool for each stream that has a namespace, and a connection of its own for its
// subscriptions (StreamsSharded on a Redis Cluster: one per master; StreamsOnly: none). It
// neither changes nor closes the client. The client should not retry
// (MaxRetries: -1), because a retried command can add an event twice.
//
// NewStreams panics if the client is nil or the configuration is invalid.
func NewStreams(client goredis.UniversalClient, config ...Config) *StreamsAdapter {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	if cfg.Mode == 0 {
		cfg.Mode = Streams
	}
	cfg = newConfig("", cfg)
	if !cfg.Mode.isStreams() {
		panic(fmt.Sprintf("redisadapter: Config.Mode is %s: NewStreams supports the streams modes only (0 means Streams); use New", modeNames[cfg.Mode]))
	}
	return newStreams(client, cfg)
}

func newStreams(client goredis.UniversalClient, cfg Config) *StreamsAdapter {
	a := newAdapter(client, cfg)
	l := newStreamLink(a)
	a.link = l
	return &StreamsAdapter{Adapter: a, stream: l}
}

// Append implements adapter.Log.
func (s *StreamsAdapter) Append(ctx context.Context, m *adapter.Message) error {
	if err := s.checkRunning(ctx); err != nil {
		return err
	}
	kind, text, err := encodeClusterMessage(m, "")
	if err != nil {
		return err
	}
	data, err := encodeBase64(text, m.Payload.Attachments)
	if err != nil {
		return err
	}
	if len(data) > s.cfg.MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", adapter.ErrTooLarge, len(data), s.cfg.MaxMessage)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	id, err := s.stream.add(ctx, m.Namespace, kind, data, true)
	if err != nil {
		return publishError(err)
	}
	if position, ok := parseEntryID(id); ok {
		if stream := s.stream.streamOf(m.Namespace); stream != nil {
			stream.waitForPosition(ctx, position)
		}
	}
	return nil
}

// Position implements adapter.Log.
func (s *StreamsAdapter) Position(namespace string) uint64 {
	if stream := s.stream.streamOf(namespace); stream != nil {
		return stream.position()
	}
	return 0
}

// ParseOffset implements adapter.Log.
func (s *StreamsAdapter) ParseOffset(offset string) (uint64, bool) { return parseEntryID(offset) }

// Since implements adapter.Log. It returns adapter.ErrNotKept unless the stream still has
// the entry at the given position. A stream is trimmed from its beginning, so that entry
// proves that all later ones are there too.
func (s *StreamsAdapter) Since(ctx context.Context, namespace string, after uint64, yield func(*adapter.Message) bool) (uint64, error) {
	key := s.stream.keyOf(namespace)
	var start, newest *goredis.XMessageSliceCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		start = p.XRangeN(ctx, key, formatEntryID(after), formatEntryID(after), 1)
		newest = p.XRevRangeN(ctx, key, "+", "-", 1)
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	case len(start.Val()) == 0 || len(newest.Val()) == 0:
		return 0, adapter.ErrNotKept
	}
	end, ok := parseEntryID(newest.Val()[0].ID)
	if !ok {
		return 0, adapter.ErrNotKept
	}
	seen := make(map[uint64]bool) // the signatures: a copy of an entry is left out
	for from := after; from < end; {
		page, err := s.client.XRangeN(ctx, key, formatEntryID(from+1), formatEntryID(end), pageSize).Result()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
		}
		if len(page) == 0 {
			return 0, adapter.ErrNotKept // trimmed since the first query
		}
		for _, raw := range page {
			if from, ok = parseEntryID(raw.ID); !ok {
				return 0, adapter.ErrNotKept
			}
			if m := s.replayable(namespace, key, raw, seen); m != nil && !yield(m) {
				return 0, nil
			}
		}
	}
	return end, nil
}

// replayable returns the message of an entry if clients of the namespace receive it when
// they resume, or nil. The reader has counted those that are refused.
func (s *StreamsAdapter) replayable(namespace, key string, raw goredis.XMessage, seen map[uint64]bool) *adapter.Message {
	e, err := decodeEntry(raw.Values)
	if err != nil || e.namespace != namespace || e.kind != clusterBroadcast || s.stream.isTooLarge(e) {
		return nil
	}
	position, _ := parseEntryID(raw.ID)
	signature, err := s.signer.verifyEntry(key, e, entryTime(position))
	if err != nil || signature != 0 && seen[signature] {
		return nil
	}
	seen[signature] = true
	f, err := e.frame()
	if err != nil || !f.isReplayable() {
		return nil
	}
	f.message.Offset, f.message.Position = raw.ID, position
	return f.message
}
