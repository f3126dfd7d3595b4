package storage

import (
	"context"
	"iter"
	"time"
)

// Basic is fiber.Storage, word for word, so that any Fiber storage is a Basic
// and any Basic can be given to Fiber's own middlewares.
type Basic interface {
	// Get returns the value of key, or nil and no error when there is none.
	Get(key string) ([]byte, error)
	// Set stores val under key; exp 0 means no expiration. An empty key or
	// value is ignored without an error.
	Set(key string, val []byte, exp time.Duration) error
	// Delete removes key; a key that is not there is not an error.
	Delete(key string) error
	// Reset removes all keys.
	Reset() error
	// Close ends the storage. It returns when all that it started has ended.
	Close() error
}

// Revision names one stored state of one key. It is opaque: compare it for
// equality only, and only with revisions of the same key. Absent is its zero
// value.
type Revision string

const (
	// Absent is the revision of a key that is not there.
	Absent Revision = ""
	// Any matches whatever is there. Only CompareAndDelete takes it.
	Any Revision = "*"
)

// Item is a stored value and its revision.
type Item struct {
	Value    []byte // the caller's to keep and change
	Revision Revision
}

// Storage is what sharing a session needs of a store: each call is atomic in
// the store itself and safe for concurrent use. Every call ends when its context
// does; a write whose context ended, or whose connection broke, before the store
// answered returns an error that wraps ErrUnknownOutcome. A call whose context
// had ended before it began does nothing and returns ErrUnavailable, as does
// every call that certainly changed nothing because the store could not be asked.
//
// A value is kept by neither side: the storage copies what it is given, and what
// it returns is the caller's. An empty value cannot be stored and a stored empty
// value (another program's) counts as absent. A negative ttl is ErrInvalid.
// Storages that count in coarser steps round a ttl up, never down.
//
// Feed, Index, PrefixResetter and Checker are optional abilities beside it, found by type
// assertion. A wrapper may have their methods for a base that has not: these then
// return errors.ErrUnsupported.
type Storage interface {
	Basic

	// Load returns the value of key, or ErrNotFound.
	Load(ctx context.Context, key string) (Item, error)

	// CompareAndSwap stores val under key if the key's revision is old, and
	// returns the new revision. Old Absent means that the key must not exist.
	// A ttl of 0 means no expiration. It returns ErrConflict when the revision
	// is another one, and then nothing was changed; ErrInvalid when the key or
	// the value is empty.
	CompareAndSwap(ctx context.Context, key string, old Revision, val []byte, ttl time.Duration) (Revision, error)

	// CompareAndDelete removes key if its revision is old, or whatever is there
	// when old is Any. It returns ErrConflict when the revision is another one
	// and ErrNotFound when the key is not there.
	CompareAndDelete(ctx context.Context, key string, old Revision) error

	// Touch gives key a new ttl without changing its value; its revision stays,
	// and the feed does not tell of it. A ttl of 0 means no expiration. It returns
	// ErrNotFound when the key is not there.
	Touch(ctx context.Context, key string, ttl time.Duration) error
}

// ChangeKind says what happened to a key.
type ChangeKind uint8

const (
	// Written: the key has a new value, which is Change.Item.
	Written ChangeKind = iota + 1
	// Removed: the key was deleted. Expiry is not told: it has no author.
	Removed
	// Gap: the feed may have missed changes of every watched key (its
	// connection was lost, or its buffer ran over). Load what matters again.
	// Key and Item are empty.
	Gap
)

// Change is one event of a Feed.
type Change struct {
	Kind ChangeKind
	Key  string
	Item Item
}

// Feed is the optional ability to tell of changes as they happen. Every
// CompareAndSwap and CompareAndDelete that succeeded, and every Set and Delete,
// by this process or another, is told to the watches of its key. It is as lossy
// as what carries it, and says so with Gap.
type Feed interface {
	// Watch opens a watch that has no keys yet. fn runs on one goroutine that
	// the Watch owns, one call at a time, in the order of changes of a key; it
	// must not block and must not call the Watch's Add or Close. The Item it is
	// given is shared: fn must not change its Value. When the storage is closed
	// its watches end as if they were closed.
	Watch(fn func(Change)) (Watch, error)
}

// Watch is one subscription to the changes of chosen keys. It is safe for
// concurrent use.
type Watch interface {
	// Add begins to watch keys. When it returns without an error, every later
	// change is told. After an error a key may be watched or not: Add it again,
	// or Remove it. A key that is watched already is not an error.
	Add(ctx context.Context, keys ...string) error
	// Remove ends watching keys. A change already on its way may still be told.
	Remove(keys ...string)
	// Close ends the watch and returns after the last call of fn has.
	Close() error
}

// Punctual is the optional ability of a Watch to say how late it can be. A copy of
// a watched value that was loaded after Add is then known to be no older than Lag.
type Punctual interface {
	// Lag returns a bound: every change of a watched key whose writer had its answer
	// longer ago than that was told, and fn has returned, or a Gap was told in its
	// place. 0 means every change that was answered by now. It is false when no bound
	// is known, as while the connection is down. It asks nobody.
	Lag() (time.Duration, bool)
}

// Checker is the optional ability to say at once whether a key is still what it was,
// so that who has the value already reads nothing.
type Checker interface {
	// Holds says whether key's revision is rev, as a Load at this moment would find
	// it. It asks the store itself and never waits. False means that it is another
	// one, or that this cannot be told without waiting: Load.
	Holds(key string, rev Revision) bool
}

// Index is the optional ability to keep sets of names, such as the sessions of
// one user. A member is gone when its ttl has passed.
type Index interface {
	// AddMember adds member to set, or gives it a new ttl. A ttl of 0 means no
	// expiration.
	AddMember(ctx context.Context, set, member string, ttl time.Duration) error
	// RemoveMember removes member from set; one that is not there is not an error.
	RemoveMember(ctx context.Context, set, member string) error
	// Members yields the members of set in no order. It stops after the first error.
	Members(ctx context.Context, set string) iter.Seq2[string, error]
}

// PrefixResetter is the optional ability to clear a part of a storage.
type PrefixResetter interface {
	// ResetPrefix removes every key and every set whose name begins with prefix.
	// It is not one atomic step: what others write meanwhile may stay. An empty
	// prefix is ErrInvalid.
	ResetPrefix(ctx context.Context, prefix string) error
}

// Prompt is the promise of a Basic that no call of it ever waits for I/O. From
// then calls it on the caller's goroutine, which saves a switch of goroutines
// per call. A Basic that makes the promise and breaks it can keep a caller past
// the end of its context.
type Prompt interface {
	Basic
	// Prompt does nothing.
	Prompt()
}
