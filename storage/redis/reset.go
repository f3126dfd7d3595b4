package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

// scanPage is how many keys one SCAN looks at.
const scanPage = 1000

// Reset removes every key and set under the storage's prefix. A storage without a
// prefix returns ErrFlushRefused, unless AllowFlush is set: then the whole
// database is flushed, which the watches are not told of.
func (s *Storage) Reset() error {
	ctx := context.Background() // takes what it takes; each step of it is bounded
	if s.prefix != "" {
		return s.resetNames(ctx, s.prefix)
	}
	if !s.flush {
		return ErrFlushRefused
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	nodes, err := s.router.masters(ctx)
	if err != nil {
		return explain(err, false)
	}
	for _, node := range nodes {
		if err := node.FlushDB(ctx).Err(); err != nil {
			return partly(err)
		}
	}
	return nil
}

// ResetPrefix removes every key and set that begins with prefix, and tells the
// watches. It reads all names of the database, in pages, and so takes its time on
// a large one, without stopping the server for others. It ends with ctx's deadline
// or, when ctx is cancelled, at the next page.
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
		return explain(err, false)
	}
	for _, node := range nodes {
		if err := s.resetNode(ctx, node, prefix); err != nil {
			return partly(err)
		}
	}
	return nil
}

// partly is the error of a reset that may have removed something already.
func partly(err error) error {
	return fmt.Errorf("%w: reset in part: %w", storage.ErrUnknownOutcome, err)
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

// globEscaper makes SCAN take a prefix literally.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `-`, `\-`)
