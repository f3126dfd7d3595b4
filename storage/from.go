package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// From makes a Storage of any fiber.Storage. A Basic that is a Storage already is
// returned as it is.
//
// What a Basic lacks is made good with locks of this process: each call is atomic
// among the callers of the Storage that From returned, and its feed tells of
// their changes. It can promise nothing about anybody else: another process, a
// second From over the same Basic, or code that calls the Basic itself is neither
// held off by the locks nor heard by the feed. So wrap once, share the result,
// and use a storage with locks of its own (storage/redis) for several processes.
//
// Calls end with their context although a Basic knows none; Get, Set, Delete and
// Reset, which have none, take as long as the Basic does. A write that is
// given up while the Basic has it returns ErrUnknownOutcome, and keeps its lock
// until the Basic answers, so that it cannot overwrite a later one: if the Basic
// never answers, one 64th of the keys stays unavailable. At most 256 calls wait
// for the Basic at a time; more wait their turn. A panic of the Basic becomes an
// error. A Basic that has gofiber's GetWithContext, SetWithContext and
// DeleteWithContext is called through these.
//
// The result is also a Feed, an Index (each set is one value in the Basic, under
// its name + ":members", and costs its size per change) and a PrefixResetter (if
// the Basic can list its keys with gofiber's Keys method; otherwise ResetPrefix
// returns errors.ErrUnsupported). Closing it closes b, waits for the calls that
// b still has, and ends its watches. From panics when b is nil.
func From(b Basic) Storage {
	if b == nil {
		panic("storage: From(nil)")
	}
	if s, ok := b.(Storage); ok {
		return s
	}
	return newLocal(b)
}

// local is a Storage over a Basic, with locks of this process.
type local struct {
	basic  Basic
	ctx    contextual // basic, if it takes contexts; else nil
	prompt bool       // basic never waits for I/O
	seed   maphash.Seed
	hub    hub

	stripes [stripes]stripe
	slots   chan struct{} // one for each call that the backend has
	closed  chan struct{}
	close   func() error
}

// contextual is what the newer gofiber storages have beside fiber.Storage.
type contextual interface {
	GetWithContext(ctx context.Context, key string) ([]byte, error)
	SetWithContext(ctx context.Context, key string, val []byte, exp time.Duration) error
	DeleteWithContext(ctx context.Context, key string) error
}

func newLocal(b Basic) *local {
	s := &local{
		basic:  b,
		seed:   maphash.MakeSeed(),
		slots:  make(chan struct{}, maxInBackend),
		closed: make(chan struct{}),
	}
	s.ctx, _ = b.(contextual)
	_, s.prompt = b.(Prompt)
	for i := range s.stripes {
		s.stripes[i] = make(stripe, 1)
	}
	s.close = sync.OnceValue(s.shut)
	return s
}

// revision is a hash of the content, so that a plain Set of the same key by
// another middleware changes it too. It need not outlive the process: neither do
// the locks.
func (s *local) revision(val []byte) Revision {
	if len(val) == 0 {
		return Absent
	}
	rev := s.sum(val)
	return Revision(rev[:])
}

func (s *local) sum(val []byte) (rev [8]byte) {
	binary.NativeEndian.PutUint64(rev[:], maphash.Bytes(s.seed, val))
	return rev
}

func (s *local) Load(ctx context.Context, key string) (Item, error) {
	if key == "" {
		return Item{}, s.absent(ctx)
	}
	return do(s, ctx, nil, func(c *call) (Item, error) {
		val, err := c.get(key)
		if err != nil {
			return Item{}, err
		}
		if len(val) == 0 {
			return Item{}, ErrNotFound
		}
		return Item{Value: val, Revision: s.revision(val)}, nil
	})
}

// Holds implements Checker for a Basic that never waits.
func (s *local) Holds(key string, rev Revision) (held bool) {
	if !s.prompt || rev == Absent || s.ready(context.Background()) != nil {
		return false
	}
	defer func() {
		if recover() != nil {
			held = false // Load says what is wrong
		}
	}()
	c := call{s: s, ctx: context.Background()}
	val, err := c.peek(key)
	if err != nil || val == nil {
		return false
	}
	now := s.sum(val)
	return string(now[:]) == string(rev)
}

func (s *local) CompareAndSwap(ctx context.Context, key string, old Revision, val []byte, ttl time.Duration) (Revision, error) {
	if err := checkWrite(key, val, ttl); err != nil {
		return Absent, err
	}
	key, val = strings.Clone(key), clone(val)
	return do(s, ctx, s.stripe(key), func(c *call) (Revision, error) {
		now, err := c.peek(key)
		if err != nil {
			return Absent, err
		}
		if s.revision(now) != old {
			return Absent, ErrConflict
		}
		return c.set(key, val, ttl)
	})
}

func (s *local) CompareAndDelete(ctx context.Context, key string, old Revision) error {
	if key == "" {
		return s.absent(ctx)
	}
	_, err := do(s, ctx, s.stripe(key), func(c *call) (struct{}, error) {
		now, err := c.peek(key)
		switch {
		case err != nil:
			return struct{}{}, err
		case len(now) == 0:
			return struct{}{}, ErrNotFound
		case old != Any && s.revision(now) != old:
			return struct{}{}, ErrConflict
		}
		return struct{}{}, c.delete(key)
	})
	return err
}

func (s *local) Touch(ctx context.Context, key string, ttl time.Duration) error {
	if ttl < 0 {
		return errNegativeTTL(ttl)
	}
	if key == "" {
		return s.absent(ctx)
	}
	_, err := do(s, ctx, s.stripe(key), func(c *call) (struct{}, error) {
		now, err := c.get(key)
		if err != nil {
			return struct{}{}, err
		}
		if len(now) == 0 {
			return struct{}{}, ErrNotFound
		}
		return struct{}{}, c.store(strings.Clone(key), now, ttl)
	})
	return err
}

func (s *local) Get(key string) ([]byte, error) {
	item, err := s.Load(context.Background(), key)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return item.Value, err
}

func (s *local) Set(key string, val []byte, exp time.Duration) error {
	if key == "" || len(val) == 0 {
		return nil
	}
	if exp < 0 {
		return errNegativeTTL(exp)
	}
	key, val = strings.Clone(key), clone(val)
	_, err := do(s, context.Background(), s.stripe(key), func(c *call) (Revision, error) {
		return c.set(key, val, exp)
	})
	return err
}

func (s *local) Delete(key string) error {
	if key == "" {
		return nil
	}
	_, err := do(s, context.Background(), s.stripe(key), func(c *call) (struct{}, error) {
		return struct{}{}, c.delete(key)
	})
	return err
}

// Reset removes all keys of the Basic. No other write runs meanwhile, so that a
// swap that began before cannot bring its key back.
func (s *local) Reset() error {
	return s.exclusively(context.Background(), func(c *call) error {
		c.begin()
		err := c.s.basic.Reset()
		s.hub.gapAll()
		return unknownOutcome(err)
	})
}

func (s *local) ResetPrefix(ctx context.Context, prefix string) error {
	if prefix == "" {
		return fmt.Errorf("%w: empty prefix", ErrInvalid)
	}
	lister, ok := s.basic.(interface{ Keys() ([][]byte, error) })
	if !ok {
		return fmt.Errorf("storage: ResetPrefix: %T cannot list its keys: %w", s.basic, errors.ErrUnsupported)
	}
	keys, err := do(s, ctx, nil, func(*call) ([][]byte, error) {
		keys, err := lister.Keys()
		return keys, unavailable(err)
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		key := string(k)
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := s.CompareAndDelete(ctx, key, Any); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// Close closes the Basic once, and waits.
func (s *local) Close() error { return s.close() }

func (s *local) shut() error {
	close(s.closed)
	err := contain(func() error { return s.basic.Close() })
	for range cap(s.slots) { // each slot is taken when its call has ended
		s.slots <- struct{}{}
	}
	s.hub.close()
	return err
}

// absent answers calls for the empty key, which is never there.
func (s *local) absent(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return ErrNotFound
}

func checkWrite(key string, val []byte, ttl time.Duration) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: empty key", ErrInvalid)
	case len(val) == 0:
		return fmt.Errorf("%w: empty value", ErrInvalid)
	case ttl < 0:
		return errNegativeTTL(ttl)
	}
	return nil
}

func errNegativeTTL(ttl time.Duration) error {
	return fmt.Errorf("%w: negative ttl %v", ErrInvalid, ttl)
}

func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
