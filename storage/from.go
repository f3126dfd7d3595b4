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

// From turns any fiber.Storage into a Storage. It returns b itself if b already is
// a Storage. If b has a method Backend that returns a Storage, it returns that one:
// the Storage of a fibersession.Store is such a b.
//
// From adds atomicity with locks of this process: calls are atomic among the
// callers of the returned Storage, and its feed reports their changes. Other
// writers are neither blocked by the locks nor reported by the feed: another
// process, a second From over the same Basic, or code that calls the Basic
// directly. So call From once and share the result. For several processes, use a
// storage that is atomic itself (storage/redis).
//
// Calls end with their context, although a Basic takes none. Get, Set, Delete and
// Reset have no context and take as long as the Basic does. A write that is
// abandoned while the Basic executes it returns ErrUnknownOutcome. It keeps its
// lock until the Basic returns, so that it cannot overwrite a later write: if the
// Basic never returns, one 64th of the keys stays unavailable. At most 256 calls
// are in the Basic at a time; further calls wait. A panic of the Basic becomes an
// error. From uses GetWithContext, SetWithContext and DeleteWithContext, which
// newer gofiber storages have, if b has all of them.
//
// A Basic must take keys of up to 64 printable ASCII characters, and must keep keys apart
// that differ. From rounds a ttl up to whole seconds and adds one, because many drivers
// count whole seconds and truncate. Where the Basic ignores the ttl (bbolt), keys stay
// until they are deleted.
//
// The result is also a Feed, an Index and a PrefixResetter. The Index stores each
// set as one value, under its name + ":members", and rewrites it on each change. Close
// closes b, waits for the calls that are in b, and closes the watches. From panics if b
// is nil.
//
// ResetPrefix deletes the keys if b has gofiber's method Keys() ([][]byte, error). Without
// it, the values become unreachable but stay in b until their ttl has passed: from then on
// b keeps the prefix's keys under other names (the prefix and 32 characters). The resets
// are recorded in b, under the key "fiberbridge|resets", and also hold after a restart.
// Another process, or another From over b, learns of a reset within 30 seconds, by one Get.
// At most 64 prefixes can be reset in this way; for a further one, ResetPrefix returns
// errors.ErrUnsupported.
func From(b Basic) Storage {
	if b == nil {
		panic("storage: From(nil)")
	}
	switch b := b.(type) {
	case Storage:
		return b
	case interface{ Backend() Storage }:
		return b.Backend()
	}
	return newLocal(b)
}

// local is a Storage over a Basic, with in-process locks.
type local struct {
	basic       Basic
	ctx         contextual // basic, if its methods take a context; else nil
	nonBlocking bool       // basic is NonBlocking
	seed        maphash.Seed
	feed        localFeed
	resets      resets
	lent        *sync.RWMutex // held for reading while a value is copied; nil unless lendsMemory(basic)

	locks  [stripeCount]ctxLock
	slots  chan struct{} // one token for each call in the backend
	closed chan struct{}
	close  func() error
}

// OneProcess says that the storage's locks and its feed reach this process only. It does
// nothing. A fibersession.Store warns of such a storage in a worker of Fiber's Prefork.
func (*local) OneProcess() {}

// contextual has the methods that newer gofiber storages add to fiber.Storage.
type contextual interface {
	GetWithContext(ctx context.Context, key string) ([]byte, error)
	SetWithContext(ctx context.Context, key string, val []byte, exp time.Duration) error
	DeleteWithContext(ctx context.Context, key string) error
}

func newLocal(b Basic) *local {
	s := &local{
		basic:  b,
		seed:   maphash.MakeSeed(),
		slots:  make(chan struct{}, maxBackendCalls),
		closed: make(chan struct{}),
	}
	s.ctx, _ = b.(contextual)
	if _, s.nonBlocking = b.(NonBlocking); s.nonBlocking {
		s.resets.known.Store(&generations{}) // it has no record of an earlier process
	}
	if lendsMemory(b) {
		s.lent = new(sync.RWMutex)
	}
	for i := range s.locks {
		s.locks[i] = make(ctxLock, 1)
	}
	s.close = sync.OnceValue(s.shutdown)
	return s
}

// revision hashes the content, so that a plain Set by another middleware changes
// the revision too. The hash is valid only in this process, as the locks are.
func (s *local) revision(val []byte) Revision {
	if len(val) == 0 {
		return Absent
	}
	rev := s.hash(val)
	return Revision(rev[:])
}

// isRevision reports whether rev is the revision of val. It allocates nothing.
func (s *local) isRevision(val []byte, rev Revision) bool {
	if len(val) == 0 {
		return rev == Absent
	}
	now := s.hash(val)
	return string(now[:]) == string(rev)
}

func (s *local) hash(val []byte) (rev [8]byte) {
	binary.NativeEndian.PutUint64(rev[:], maphash.Bytes(s.seed, val))
	return rev
}

func (s *local) Load(ctx context.Context, key string) (Item, error) {
	if key == "" {
		return Item{}, s.notFound(ctx)
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

// Holds implements Checker. It returns false for a Basic that may block.
func (s *local) Holds(key string, rev Revision) (held bool) {
	if !s.nonBlocking || rev == Absent || s.ready(context.Background()) != nil {
		return false
	}
	defer func() {
		if recover() != nil {
			held = false // Load returns the error
		}
	}()
	c := call{s: s, ctx: context.Background()}
	val, err := c.peek(key)
	if err != nil || val == nil {
		return false
	}
	return s.isRevision(val, rev)
}

func (s *local) CompareAndSwap(ctx context.Context, key string, old Revision, val []byte, ttl time.Duration) (Revision, error) {
	if err := checkWrite(key, val, ttl); err != nil {
		return Absent, err
	}
	key, val = strings.Clone(key), clone(val)
	return do(s, ctx, s.lockOf(key), func(c *call) (Revision, error) {
		now, err := c.peek(key)
		if err != nil {
			return Absent, err
		}
		if !s.isRevision(now, old) {
			return Absent, ErrConflict
		}
		return c.set(key, val, ttl)
	})
}

func (s *local) CompareAndDelete(ctx context.Context, key string, old Revision) error {
	if key == "" {
		return s.notFound(ctx)
	}
	_, err := do(s, ctx, s.lockOf(key), func(c *call) (struct{}, error) {
		now, err := c.peek(key)
		switch {
		case err != nil:
			return struct{}{}, err
		case len(now) == 0:
			return struct{}{}, ErrNotFound
		case old != Any && !s.isRevision(now, old):
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
		return s.notFound(ctx)
	}
	_, err := do(s, ctx, s.lockOf(key), func(c *call) (struct{}, error) {
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
	_, err := do(s, context.Background(), s.lockOf(key), func(c *call) (Revision, error) {
		return c.set(key, val, exp)
	})
	return err
}

func (s *local) Delete(key string) error {
	if key == "" {
		return nil
	}
	_, err := do(s, context.Background(), s.lockOf(key), func(c *call) (struct{}, error) {
		return struct{}{}, c.delete(key)
	})
	return err
}

// Close closes the Basic once, and waits for the calls in it.
func (s *local) Close() error { return s.close() }

func (s *local) shutdown() error {
	close(s.closed)
	err := s.closeBasic()
	for range cap(s.slots) { // a slot becomes free when its call has ended
		s.slots <- struct{}{}
	}
	s.feed.close()
	return err
}

// closeBasic waits until no value is being copied, if the Basic lends its memory.
func (s *local) closeBasic() error {
	if s.lent != nil {
		s.lent.Lock()
		defer s.lent.Unlock()
	}
	return catchPanic(s.basic.Close)
}

// notFound is the result of calls for the empty key, which never exists.
func (s *local) notFound(ctx context.Context) error {
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
