package redis

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/storage"
)

// setSuffix keeps sets apart from keys of the same name.
const setSuffix = ":members"

// AddMember implements storage.Index with a sorted set.
func (s *Storage) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	if ttl < 0 {
		return errNegativeTTL(ttl)
	}
	if set == "" || member == "" {
		return fmt.Errorf("%w: empty set or member", storage.ErrInvalid)
	}
	_, err := s.number(ctx, addMemberScript, s.name(set)+setSuffix, strings.Clone(member), millis(ttl))
	return err
}

// RemoveMember implements storage.Index.
func (s *Storage) RemoveMember(ctx context.Context, set, member string) error {
	if set == "" || member == "" {
		return fmt.Errorf("%w: empty set or member", storage.ErrInvalid)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	name := s.name(set) + setSuffix
	return explain(s.router.do(ctx, name, goredis.NewIntCmd(ctx, "zrem", name, strings.Clone(member))), true)
}

// Members implements storage.Index. It reads page by page: a member that is there
// all the time is yielded at least once, and may be yielded twice while a large
// set changes.
func (s *Storage) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if set == "" {
			yield("", fmt.Errorf("%w: empty set", storage.ErrInvalid))
			return
		}
		name := s.name(set) + setSuffix
		for cursor := "0"; ; {
			cmd, err := s.run(ctx, membersScript, false, name, cursor)
			if err != nil {
				yield("", err)
				return
			}
			page, err := cmd.StringSlice()
			if err != nil || len(page) == 0 {
				yield("", fmt.Errorf("%w: unexpected answer of a script", storage.ErrUnavailable))
				return
			}
			for _, member := range page[1:] {
				if !yield(member, nil) {
					return
				}
			}
			if cursor = page[0]; cursor == "0" {
				return
			}
		}
	}
}
