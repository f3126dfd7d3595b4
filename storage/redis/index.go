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

// setSuffix distinguishes a set from a key of the same name.
const setSuffix = ":members"

// AddMember implements storage.Index with a sorted set.
func (s *Storage) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	if ttl < 0 {
		return errNegativeTTL(ttl)
	}
	if set == "" || member == "" {
		return fmt.Errorf("%w: empty set or member", storage.ErrInvalid)
	}
	_, err := s.runWrite(ctx, addMemberScript, s.name(set)+setSuffix, strings.Clone(member), milliseconds(ttl))
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
	return wrap(s.router.do(ctx, name, goredis.NewIntCmd(ctx, "zrem", name, strings.Clone(member)), true), true)
}

// Members implements storage.Index. It reads the set in pages. A member that is
// present throughout is yielded at least once, and possibly twice if a large set
// changes meanwhile.
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
				yield("", fmt.Errorf("%w: unexpected reply of a script", storage.ErrUnavailable))
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
