package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

// scanPage is the COUNT of each SCAN.
const scanPage = 1000

// Reset removes every key and set with the storage's prefix. Without a prefix, it
// returns ErrFlushRefused unless AllowFlush is set; with AllowFlush it flushes the
// whole database, without notifying the watches.
func (s *Storage) Reset() error {
	ctx := context.Background() // unbounded as a whole; each round trip is bounded
	if s.prefix != "" {
		return s.resetNames(ctx, s.prefix)
	}
	if !s.allowFlush {
		return ErrFlushRefused
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	nodes, err := s.router.masters(ctx)
	if err != nil {
		return wrap(err, false)
	}
	for _, node := range nodes {
		if err := node.FlushDB(ctx).Err(); err != nil {
			return partialReset(err)
		}
	}
	return nil
}

// ResetPrefix removes every key and set that begins with prefix, and notifies the
// watches. It scans all names of the database in pages: slow on a large database, but
// without blocking the server. It ends at ctx's deadline or, when ctx is cancelled,
// at the next page.
func (s *Storage) ResetPrefix(ctx context.Context, prefix string) error {
	if prefix == "" {
		return fmt.Errorf("%w: empty prefix", storage.ErrInvalid)
	}
	return s.resetNames(ctx, s.name(prefix))
}

func (s *Storage) resetNames(ctx context.Context, prefix string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	nodes, err := s.router.masters(ctx)
	if err != nil {
		return wrap(err, false)
	}
	for _, node := range nodes {
		if err := s.resetNode(ctx, node, prefix); err != nil {
			return partialReset(err)
		}
	}
	return nil
}

// partialReset returns the error of a reset that may have removed some keys.
func partialReset(err error) error {
	return fmt.Errorf("%w: incomplete reset: %w", storage.ErrUnknownOutcome, err)
}

func (s *Storage) resetNode(ctx context.Context, node *goredis.Client, prefix string) error {
	if err := node.ScriptLoad(ctx, deleteScript.source).Err(); err != nil {
		return err
	}
	pattern := globEscaper.Replace(prefix) + "*"
	for cursor := uint64(0); ; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		names, next, err := node.Scan(ctx, cursor, pattern, scanPage).Result()
		if err != nil {
			return err
		}
		if len(names) > 0 {
			_, err = node.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for _, name := range names {
					_ = p.Process(ctx, deleteScript.command(ctx, false, name, []any{string(storage.Any), s.channel(name)}))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// globEscaper escapes a prefix for the pattern of SCAN.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `-`, `\-`)
