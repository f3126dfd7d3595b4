package redisadapter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// StreamsAdapter is an Adapter that speaks through a Redis stream, in the format of
// @socket.io/redis-streams-adapter 0.2, and so is an adapter.Log too: clients get their
// sockets back on any node (socketbridge.Config.Recovery). Nodes that are away for a
// moment miss nothing.
type StreamsAdapter struct {
	*Adapter
	stream *streamLink
}

var (
	_ adapter.Log         = (*StreamsAdapter)(nil)
	_ adapter.RoomWatcher = (*StreamsAdapter)(nil)
)

// NewStreams is New for a stream, and for Redis 5 or newer. Config.Mode may be left
// out. While it runs, the adapter uses one connection of the client's pool.
func NewStreams(client goredis.UniversalClient, config ...Config) *StreamsAdapter {
	var cfg Config
	if len(config) > 0 {
		cfg = config[0]
	}
	cfg.Mode = Streams
	a := newAdapter(client, cfg)
	l := newStreamLink(a)
	a.link = l
	return &StreamsAdapter{Adapter: a, stream: l}
}

// Append implements adapter.Log.
func (s *StreamsAdapter) Append(ctx context.Context, m *adapter.Message) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	channel, data, err := s.stream.message(m, "", "")
	if err != nil {
		return err
	}
	if len(data) > s.cfg.MaxMessage {
		return fmt.Errorf("%w: %d bytes, at most %d", adapter.ErrTooLarge, len(data), s.cfg.MaxMessage)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	id, err := s.stream.add(ctx, m.Namespace, channel, data, true)
	if err != nil {
		return explain(err)
	}
	if at, ok := placeOf(id); ok {
		s.stream.await(ctx, at)
	}
	return nil
}

// Position implements adapter.Log.
func (s *StreamsAdapter) Position() uint64 {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.stream.last
}

// Place implements adapter.Log.
func (s *StreamsAdapter) Place(offset string) (uint64, bool) { return placeOf(offset) }

// Since implements adapter.Log. The stream must still have the entry at the place: it
// is trimmed from its beginning, so that it has all that came after.
func (s *StreamsAdapter) Since(ctx context.Context, namespace string, after uint64, yield func(*adapter.Message) bool) (uint64, error) {
	key := s.cfg.Key
	var at, newest *goredis.XMessageSliceCmd
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		at = p.XRangeN(ctx, key, idOf(after), idOf(after), 1)
		newest = p.XRevRangeN(ctx, key, "+", "-", 1)
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	case len(at.Val()) == 0 || len(newest.Val()) == 0:
		return 0, adapter.ErrNotKept
	}
	end, ok := placeOf(newest.Val()[0].ID)
	if !ok {
		return 0, adapter.ErrNotKept
	}
	for from := after; from < end; {
		page, err := s.client.XRangeN(ctx, key, idOf(from+1), idOf(end), readCount).Result()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
		}
		if len(page) == 0 {
			return 0, adapter.ErrNotKept // it was trimmed meanwhile
		}
		for _, one := range page {
			if from, ok = placeOf(one.ID); !ok {
				return 0, adapter.ErrNotKept
			}
			if m := keptMessage(namespace, one); m != nil && !yield(m) {
				return 0, nil
			}
		}
	}
	return end, nil
}

// keptMessage reads an entry that is an event of a namespace and kept, or returns nil.
func keptMessage(namespace string, one goredis.XMessage) *adapter.Message {
	e, err := readEntry(one.Values)
	if err != nil || e.namespace != namespace || e.kind != clusterBroadcast {
		return nil
	}
	f, err := e.frame()
	if err != nil || !f.keeps() {
		return nil
	}
	f.message.Offset = one.ID
	f.message.Place, _ = placeOf(one.ID)
	return f.message
}

// session is what Node's adapter keeps of a socket, and what this one adds.
type session struct {
	ID    name            `json:"sid"`
	PID   string          `json:"pid"`
	Rooms []name          `json:"rooms"`
	Data  json.RawMessage `json:"data"`
	Ours  *sessionOurs    `json:"fiberbridge,omitempty"`
}

type sessionOurs struct {
	Namespace string `json:"nsp"`
	Owner     string `json:"owner"`
	State     string `json:"state"`
}

// sessionKey is where the remains of a socket are: what belongs to nobody in
// particular, where servers of Node find it too. Those know no owners.
func (s *StreamsAdapter) sessionKey(pid, owner string) string {
	if owner == "" {
		return s.cfg.SessionKey + pid
	}
	return s.cfg.Key + ":recovery:" + pid
}

// Keep implements adapter.Log.
func (s *StreamsAdapter) Keep(ctx context.Context, r *adapter.RecoveryState, ttl time.Duration) error {
	v := session{ID: name(r.ID), PID: r.PID, Data: r.Data}
	for _, room := range r.Rooms {
		v.Rooms = append(v.Rooms, name(room))
	}
	if r.State != nil {
		v.Ours = &sessionOurs{Namespace: r.Namespace, Owner: r.Owner, State: string(r.State)}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data, err := msgpack.Append(nil, text, nil)
	if err != nil {
		return err
	}
	err = s.client.Set(ctx, s.sessionKey(r.PID, r.Owner), base64.StdEncoding.EncodeToString(data), max(ttl, time.Millisecond)).Err()
	if err != nil {
		return explain(err)
	}
	return nil
}

// takeScript deletes a key when it still has the value that was read: of many who read
// it, one takes it.
var takeScript = goredis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// Take implements adapter.Log.
func (s *StreamsAdapter) Take(ctx context.Context, namespace, pid, owner string) (*adapter.RecoveryState, error) {
	key := s.sessionKey(pid, owner)
	value, err := s.client.Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	text, _, err := parse64(value)
	if err != nil {
		return nil, err
	}
	var v session
	if err := unmarshal(text, &v); err != nil {
		return nil, err
	}
	r := &adapter.RecoveryState{PID: v.PID, ID: string(v.ID), Rooms: texts(v.Rooms), Data: object(v.Data)}
	if v.Ours != nil {
		r.Namespace, r.Owner, r.State = v.Ours.Namespace, v.Ours.Owner, []byte(v.Ours.State)
	}
	if r.PID != pid || r.Owner != owner || v.Ours != nil && r.Namespace != namespace {
		return nil, nil
	}
	taken, err := takeScript.Run(ctx, s.client, []string{key}, value).Int()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	}
	if taken == 0 {
		return nil, nil
	}
	return r, nil
}
