package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"
)

// setSuffix distinguishes a set from a key of the same name. It is a suffix so that
// the stored name still begins with the app's prefix.
const setSuffix = ":members"

// members maps the names in a set to their expiry in Unix milliseconds; 0 means never.
type members map[string]int64

const membersMagic = "fbm1"

var errNotASet = errors.New("storage: the stored value is not a set")

func (m members) encode() []byte {
	b := []byte(membersMagic)
	for name, expiry := range m {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendVarint(b, expiry)
	}
	return b
}

func decodeMembers(b []byte) (members, error) {
	m := members{}
	if len(b) == 0 {
		return m, nil
	}
	rest, ok := strings.CutPrefix(string(b), membersMagic)
	if !ok {
		return nil, errNotASet
	}
	for b := []byte(rest); len(b) > 0; {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errNotASet
		}
		name := string(b[n : n+int(size)])
		b = b[n+int(size):]
		expiry, n := binary.Varint(b)
		if n <= 0 || expiry < 0 {
			return nil, errNotASet
		}
		b = b[n:]
		m[name] = expiry
	}
	return m, nil
}

// prune removes expired members, and returns the ttl of the set: the time until its
// last member expires, 0 if one never does.
func (m members) prune(now time.Time) time.Duration {
	maps.DeleteFunc(m, func(_ string, expiry int64) bool { return expiry != 0 && expiry <= now.UnixMilli() })
	var last int64
	for _, expiry := range m {
		if expiry == 0 {
			return 0
		}
		last = max(last, expiry)
	}
	return time.UnixMilli(last).Sub(now)
}

// AddMember implements Index. The whole set is one value in the Basic.
func (s *local) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	if ttl < 0 {
		return errNegativeTTL(ttl)
	}
	if set == "" || member == "" {
		return fmt.Errorf("%w: empty set or member", ErrInvalid)
	}
	member = strings.Clone(member)
	return s.changeSet(ctx, set, func(m members, now time.Time) bool {
		m[member] = 0
		if ttl > 0 {
			m[member] = now.Add(ttl).UnixMilli() + 1 // rounded up
		}
		return true
	})
}

// RemoveMember implements Index.
func (s *local) RemoveMember(ctx context.Context, set, member string) error {
	if set == "" || member == "" {
		return fmt.Errorf("%w: empty set or member", ErrInvalid)
	}
	return s.changeSet(ctx, set, func(m members, _ time.Time) bool {
		_, found := m[member]
		delete(m, member)
		return found
	})
}

// changeSet rewrites a set, under its lock, if change returns true.
func (s *local) changeSet(ctx context.Context, set string, change func(members, time.Time) bool) error {
	key := set + setSuffix
	_, err := do(s, ctx, s.lockOf(key), func(c *call) (struct{}, error) {
		m, err := c.members(key)
		if err != nil {
			return struct{}{}, err
		}
		now := time.Now()
		if !change(m, now) {
			return struct{}{}, nil
		}
		ttl := m.prune(now)
		if len(m) == 0 {
			return struct{}{}, c.delete(key)
		}
		return struct{}{}, c.store(key, m.encode(), ttl)
	})
	return err
}

// Members implements Index. It yields a snapshot of the set.
func (s *local) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if set == "" {
			yield("", fmt.Errorf("%w: empty set", ErrInvalid))
			return
		}
		m, err := do(s, ctx, nil, func(c *call) (members, error) {
			return c.members(set + setSuffix)
		})
		if err != nil {
			yield("", err)
			return
		}
		m.prune(time.Now())
		for name := range m {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (c *call) members(key string) (members, error) {
	val, err := c.get(key)
	if err != nil {
		return nil, err
	}
	m, err := decodeMembers(val)
	return m, unavailable(err)
}
