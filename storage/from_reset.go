package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Most drivers cannot list their keys, so the keys of a prefix cannot be deleted. Then
// ResetPrefix gives the prefix a new generation, a random token. The names under which the
// Basic keeps the keys of the prefix are hashes that include the token, so no key leads to
// a value of an earlier generation any more. Those values stay until their ttl has passed.
//
// The generations are kept in one record of the Basic. Every call needs them. They are read
// at the first call and again every resetsRecheck, which is how soon a reset by another
// process, or by another From over the same Basic, takes effect.

const (
	// resetsKey is the key of the record. No ID and no prefix of an app has its character |.
	resetsKey = "fiberbridge|resets"
	// resetsRecheck is the longest time for which generations are used without reading the
	// record again.
	resetsRecheck = 30 * time.Second
	// maxResets bounds the prefixes that have a generation, because each call compares its
	// key with all of them.
	maxResets = 64

	resetsMagic = "fbr1"
)

var (
	errTooManyResets = fmt.Errorf("storage: %d other prefixes were reset, and the storage cannot list its keys: reset a common prefix of them, or give the storage a method Keys: %w", maxResets, errors.ErrUnsupported)
	errNoResets      = fmt.Errorf("storage: the value of the key %q is not a record of resets: delete it to go on without the resets that were made", resetsKey)
)

// generation is the token of a prefix that was reset.
type generation struct {
	prefix string
	token  [16]byte
}

// generations is the content of the record. It is immutable.
type generations struct {
	readAt time.Time
	list   []generation // sorted, so that a prefix stands before the prefixes that begin with it
}

// name returns the name under which the Basic keeps key. It begins with the longest prefix
// of key that was reset, so that listing the Basic's keys by prefix finds it.
func (g *generations) name(key string) string {
	var buffer [160]byte // enough for most keys, so that it needs no allocation
	hashed, kept := buffer[:0], ""
	for i := range g.list {
		if one := &g.list[i]; strings.HasPrefix(key, one.prefix) {
			hashed, kept = append(hashed, one.token[:]...), one.prefix
		}
	}
	if kept == "" {
		return key
	}
	sum := sha256.Sum256(append(hashed, key[len(kept):]...))
	name := make([]byte, 0, len(kept)+32)
	return string(base64.RawURLEncoding.AppendEncode(append(name, kept...), sum[:24]))
}

// concern reports whether the names of keys with this prefix differ from the keys.
// If so, namesBegin reports whether they begin with the prefix all the same.
func (g *generations) concern(prefix string) (renamed, namesBegin bool) {
	namesBegin = true
	for _, one := range g.list {
		shorter := len(one.prefix) < len(prefix) && strings.HasPrefix(prefix, one.prefix)
		renamed = renamed || shorter || strings.HasPrefix(one.prefix, prefix)
		namesBegin = namesBegin && !shorter // else a hash stands where the rest of prefix would
	}
	return renamed, namesBegin
}

// with returns the generations after a reset of prefix. The prefix's new token also ends
// the keys of the prefixes that begin with it, so they need none of their own.
func (g *generations) with(prefix string) (*generations, error) {
	next := &generations{readAt: time.Now()}
	for _, one := range g.list {
		if !strings.HasPrefix(one.prefix, prefix) {
			next.list = append(next.list, one)
		}
	}
	if len(next.list) >= maxResets {
		return nil, errTooManyResets
	}
	added := generation{prefix: strings.Clone(prefix)}
	_, _ = rand.Read(added.token[:]) // never fails
	next.list = append(next.list, added)
	slices.SortFunc(next.list, func(a, b generation) int { return strings.Compare(a.prefix, b.prefix) })
	return next, nil
}

func (g *generations) encode() []byte {
	b := []byte(resetsMagic)
	for _, one := range g.list {
		b = binary.AppendUvarint(b, uint64(len(one.prefix)))
		b = append(b, one.prefix...)
		b = append(b, one.token[:]...)
	}
	return b
}

func decodeGenerations(b []byte) (*generations, error) {
	g := &generations{readAt: time.Now()}
	if len(b) == 0 {
		return g, nil
	}
	rest, ok := strings.CutPrefix(string(b), resetsMagic)
	for ok && rest != "" {
		size, n := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		if ok = n > 0 && size > 0 && size <= uint64(len(rest)-n); !ok {
			break
		}
		one := generation{prefix: rest[n : n+int(size)]}
		rest = rest[n+int(size):]
		if ok = len(rest) >= len(one.token); !ok {
			break
		}
		rest = rest[copy(one.token[:], rest):]
		g.list = append(g.list, one)
	}
	sorted := slices.IsSortedFunc(g.list, func(a, b generation) int { return strings.Compare(a.prefix, b.prefix) })
	if !ok || !sorted {
		return nil, errNoResets
	}
	return g, nil
}

// resets holds the generations that this process knows.
type resets struct {
	known   atomic.Pointer[generations] // nil: to be read before the next call
	reading atomic.Bool                 // a call reads the record again
}

// name returns the name under which the Basic keeps key. It reads the record if that is
// due. All names of one call are of the same generations: a swap must not read a key before
// a reset and write it after.
func (c *call) name(key string) (string, error) {
	if key == resetsKey {
		return "", fmt.Errorf("%w: the key %q is reserved", ErrInvalid, key)
	}
	if c.generations == nil {
		g, err := c.currentGenerations()
		if err != nil {
			return "", err
		}
		c.generations = g
	}
	return c.generations.name(key), nil
}

func (c *call) currentGenerations() (*generations, error) {
	r := &c.s.resets
	for {
		known := r.known.Load()
		if known != nil {
			if c.s.nonBlocking || time.Since(known.readAt) < resetsRecheck || !r.reading.CompareAndSwap(false, true) {
				return known, nil
			}
			defer r.reading.Store(false)
		}
		read, err := c.readGenerations()
		if err != nil {
			return nil, err
		}
		// If a reset has replaced the known ones meanwhile, the record that was read is older.
		if r.known.CompareAndSwap(known, read) {
			if known != nil && !slices.Equal(known.list, read.list) {
				c.s.feed.publishGapToAll() // another process has reset a prefix
			}
			return read, nil
		}
	}
}

func (c *call) readGenerations() (*generations, error) {
	val, err := c.read(resetsKey)
	if err != nil {
		return nil, err
	}
	g, err := decodeGenerations(val)
	return g, unavailable(err)
}

// Reset removes all keys of the Basic. It holds all locks, so that a swap that began
// earlier cannot restore its key.
func (s *local) Reset() error {
	_, err := do(s, context.Background(), s.locks[:], func(c *call) (struct{}, error) {
		c.startWrite()
		if s.lent != nil {
			s.lent.Lock()
			defer s.lent.Unlock()
		}
		err := c.s.basic.Reset()
		if s.nonBlocking {
			s.resets.known.Store(&generations{})
		} else {
			s.resets.known.Store(nil) // the record is gone too
		}
		s.feed.publishGapToAll()
		return struct{}{}, unknownOutcome(err)
	})
	return err
}

// ResetPrefix implements PrefixResetter. It deletes the keys if the Basic can list them. It
// gives the prefix a new generation if not, or if the prefix already has one.
func (s *local) ResetPrefix(ctx context.Context, prefix string) error {
	if prefix == "" {
		return fmt.Errorf("%w: empty prefix", ErrInvalid)
	}
	renamed, names, err := s.namesOf(ctx, prefix)
	if err == nil && renamed {
		err = s.newGeneration(ctx, prefix)
	}
	for _, name := range names {
		if err != nil {
			return err
		}
		if renamed { // no key has this name any more, so no lock is needed
			_, err = do(s, ctx, nil, func(c *call) (struct{}, error) { return struct{}{}, c.remove(name) })
		} else if err = s.CompareAndDelete(ctx, name, Any); errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return err
}

// namesOf returns the names of the keys with this prefix, if the Basic can list them. It
// reports in renamed whether deleting the names is not enough to reset the prefix.
func (s *local) namesOf(ctx context.Context, prefix string) (renamed bool, names []string, err error) {
	type listing struct {
		renamed bool
		names   []string
	}
	lister, canList := s.basic.(interface{ Keys() ([][]byte, error) })
	l, err := do(s, ctx, nil, func(c *call) (listing, error) {
		g, err := c.currentGenerations()
		if err != nil {
			return listing{}, err
		}
		renamed, namesBegin := g.concern(prefix)
		if !canList || !namesBegin {
			return listing{renamed: true}, nil
		}
		l := listing{renamed: renamed}
		all, err := lister.Keys()
		for _, name := range all {
			if strings.HasPrefix(string(name), prefix) && string(name) != resetsKey {
				l.names = append(l.names, string(name))
			}
		}
		return l, unavailable(err)
	})
	return l.renamed, l.names, err
}

// newGeneration gives prefix a new generation. It holds all locks, so that a swap that
// began earlier is over, and a later one sees the new generation.
func (s *local) newGeneration(ctx context.Context, prefix string) error {
	_, err := do(s, ctx, s.locks[:], func(c *call) (struct{}, error) {
		now, err := c.readGenerations()
		if err != nil {
			return struct{}{}, err
		}
		next, err := now.with(prefix)
		if err != nil {
			return struct{}{}, err
		}
		if err := c.write(resetsKey, next.encode(), 0); err != nil {
			if !s.nonBlocking && c.phase.Load() == phaseWriting {
				s.resets.known.Store(nil) // it may have been written
				s.feed.publishGapToAll()
			}
			return struct{}{}, err
		}
		s.resets.known.Store(next)
		s.feed.publishRemoved(prefix)
		return struct{}{}, nil
	})
	return err
}
