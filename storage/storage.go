package storage

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Basic has exactly the methods of fiber.Storage, so that any Fiber storage is a
// Basic, and any Basic can be passed to Fiber's own middlewares.
type Basic interface {
	// Get returns the value of key, or nil without an error if key does not exist.
	Get(key string) ([]byte, error)
	// Set stores val under key; exp 0 means no expiration. An empty key or value is
	// ignored without an error.
	Set(key string, val []byte, exp time.Duration) error
	// Delete removes key. A key that does not exist is not an error.
	Delete(key string) error
	// Reset removes all keys.
	Reset() error
	// Close closes the storage, and returns when everything it started has ended.
	Close() error
}

// Revision identifies one stored state of one key. It is opaque: compare it only
// for equality, and only with revisions of the same key. The zero value is Absent.
type Revision string

const (
	// Absent is the revision of a key that does not exist.
	Absent Revision = ""
	// Any matches every existing value. Only CompareAndDelete accepts it.
	Any Revision = "*"
)

// Item is a stored value and its revision.
type Item struct {
	Value    []byte // owned by the caller, which may change it
	Revision Revision
}

// Storage is a store with atomic updates. Each call is atomic in the store itself
// and safe for concurrent use.
//
// Every call ends when its context does. A call whose context has already ended
// does nothing and returns ErrUnavailable; so does every call that certainly
// changed nothing because the store could not be reached. If the context ends, or
// the connection breaks, after a write was sent and before the store answered, the
// error wraps ErrUnknownOutcome.
//
// Keys of up to 64 printable ASCII characters, and no spaces, can be stored. A storage may
// refuse other keys with an error; keys that differ never mean the same value.
//
// Neither side keeps the other's slices: the storage copies the values it is given,
// and the caller owns the values it gets. An empty value cannot be stored, and an
// empty value that another program stored counts as absent. A negative ttl is
// ErrInvalid. A storage with a coarser clock rounds a ttl up, never down.
//
// Feed, Index, PrefixResetter, Checker, TTLReader and Pinger are optional interfaces of a
// Storage, found by type assertion. A wrapper may have their methods although its
// base lacks them; they then return errors.ErrUnsupported.
type Storage interface {
	Basic

	// Load returns the value of key. It returns ErrNotFound if key does not exist.
	Load(ctx context.Context, key string) (Item, error)

	// CompareAndSwap stores val under key if the key's revision is old, and returns
	// the new revision. With old Absent, the key must not exist. A ttl of 0 means
	// no expiration. It returns ErrConflict, and changes nothing, if the revision
	// is not old, and ErrInvalid if the key or the value is empty.
	CompareAndSwap(ctx context.Context, key string, old Revision, val []byte, ttl time.Duration) (Revision, error)

	// CompareAndDelete removes key if its revision is old, or unconditionally if
	// old is Any. It returns ErrConflict if the revision is not old, and
	// ErrNotFound if the key does not exist.
	CompareAndDelete(ctx context.Context, key string, old Revision) error

	// Touch sets the ttl of key. It changes neither the value nor the revision, and
	// the feed does not report it. A ttl of 0 means no expiration. It returns
	// ErrNotFound if the key does not exist.
	Touch(ctx context.Context, key string, ttl time.Duration) error
}

// ChangeKind is the kind of a Change.
type ChangeKind uint8

const (
	// Written means that the key has a new value, Change.Item.
	Written ChangeKind = iota + 1
	// Removed means that the key was deleted. A feed does not report expiry.
	Removed
	// Gap means that the feed may have missed changes of any watched key, because
	// its connection was lost or its buffer overflowed. Load the keys that matter
	// again. Key and Item are empty.
	Gap
)

// Change is one notification of a Feed.
type Change struct {
	Kind ChangeKind
	Key  string
	Item Item
}

// Feed is the optional interface of a Storage that sends notifications of changes.
// Every successful CompareAndSwap, CompareAndDelete, Set and Delete, by this process
// or another, notifies the watches of its key. Delivery is only as reliable as the
// transport: a watch that may have missed changes receives a Gap.
type Feed interface {
	// Watch opens a watch that has no keys yet. It calls fn on one goroutine owned
	// by the Watch, one call at a time; changes of the same key arrive in order. fn
	// must not block, and must not call the Watch's Add or Close. The Item is
	// shared: fn must not change its Value. Closing the storage closes its watches.
	Watch(fn func(Change)) (Watch, error)
}

// Watch is a subscription to the changes of selected keys. It is safe for
// concurrent use.
type Watch interface {
	// Add starts watching keys. After it returns without an error, every later
	// change is reported. After an error, each key may or may not be watched: call
	// Add again, or Remove. Adding a watched key is not an error.
	Add(ctx context.Context, keys ...string) error
	// Remove stops watching keys. A change already in transit may still be reported.
	Remove(keys ...string)
	// Close ends the watch, and returns after the last call of fn has returned.
	Close() error
}

// LagReporter is the optional interface of a Watch that knows how late its
// notifications can be. A copy of a watched value that was loaded after Add is then
// at most Lag old.
type LagReporter interface {
	// Lag returns an upper bound for the delay of notifications: for every change
	// of a watched key whose writer got its answer longer ago than the bound, fn has
	// returned, or a Gap was reported instead. A bound of 0 covers every change
	// answered by now. The bool is false if no bound is known, for example while
	// the connection is down. Lag makes no request.
	Lag() (time.Duration, bool)
}

// Checker is the optional interface of a Storage that can verify a revision without
// waiting, so that a caller that already has the value need not load it.
type Checker interface {
	// Holds reports whether key's revision is rev, as a Load at this moment would
	// find it. It reads the store itself and never blocks. False means that the
	// revision differs, or that the check would have to wait: call Load.
	Holds(key string, rev Revision) bool
}

// Index is the optional interface of a Storage that keeps sets of names, such as the
// sessions of one user. A member expires on its own, when its ttl has passed.
type Index interface {
	// AddMember adds member to set, or sets the ttl of an existing member. A ttl of
	// 0 means no expiration.
	AddMember(ctx context.Context, set, member string, ttl time.Duration) error
	// RemoveMember removes member from set. A missing member is not an error.
	RemoveMember(ctx context.Context, set, member string) error
	// Members yields the members of set in no particular order. It stops after the
	// first error.
	Members(ctx context.Context, set string) iter.Seq2[string, error]
}

// PrefixResetter is the optional interface of a Storage that can remove some of its
// keys.
type PrefixResetter interface {
	// ResetPrefix removes every key and every set whose name begins with prefix.
	// It need not be atomic: keys written concurrently may remain. It returns
	// ErrInvalid if prefix is empty.
	ResetPrefix(ctx context.Context, prefix string) error
}

// TTLReader is the optional interface of a Storage that can return the remaining
// ttl of a key. It serves keys whose expiry another program changes.
type TTLReader interface {
	// TTL returns the time until key expires, or 0 if it does not expire. It
	// returns ErrNotFound if the key does not exist.
	TTL(ctx context.Context, key string) (time.Duration, error)
}

// Pinger is the optional interface of a Storage that has a cheaper way than Load to verify
// that the store answers. Call it by Ping.
type Pinger interface {
	// Ping returns nil if the store answers. Otherwise its error wraps ErrUnavailable or
	// ErrClosed. It changes nothing, and ends with its context.
	Ping(ctx context.Context) error
}

// pingKey is a key that is never written.
const pingKey = "fiberbridge|ping"

// Ping verifies that the store of s answers: by Pinger, or by loading a key that does not
// exist. Its errors are those of Load.
func Ping(ctx context.Context, s Storage) error {
	if p, ok := s.(Pinger); ok {
		return p.Ping(ctx)
	}
	if _, err := s.Load(ctx, pingKey); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// NonBlocking marks a Basic whose methods never wait for I/O. From calls it on the
// caller's goroutine, which saves a switch of goroutines per call. If such a Basic
// does block, its callers are not released when their contexts end.
type NonBlocking interface {
	Basic
	// NonBlocking does nothing.
	NonBlocking()
}
