package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

var _ storage.TTLReader = (*Storage)(nil)

// TTL implements storage.TTLReader with PTTL, in milliseconds.
func (s *Storage) TTL(ctx context.Context, key string) (time.Duration, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if key == "" {
		return 0, storage.ErrNotFound
	}
	name := s.name(key)
	cmd := goredis.NewIntCmd(ctx, "pttl", name)
	if err := s.router.do(ctx, name, cmd, false); err != nil {
		return 0, wrap(err, false)
	}
	switch ms := cmd.Val(); {
	case ms == -1:
		return 0, nil
	case ms < 0:
		return 0, storage.ErrNotFound
	default:
		return time.Duration(max(ms, 1)) * time.Millisecond, nil
	}
}
