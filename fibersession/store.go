package fibersession

import (
	"context"
	"crypto/rand"
	"encoding/gob"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/storage"
)

// Store keeps sessions. It is safe for concurrent use. Make one with New. A literal
// Store{Config: ...} works too: the first call of a method checks its configuration as New
// does. A Store must not be copied after that.
type Store struct {
	// Config is the configuration. New fills in the defaults. Its fields are for reading:
	// a change after New, or after the first call of a method, has no defined effect.
	Config

	ready          sync.Once              // by start
	sources        []idSource             // where requests carry IDs
	responseSource *idSource              // where responses carry IDs by default; nil if nowhere
	sameSite       int                    // fasthttp.CookieSameSite
	alwaysSecure   bool                   // cookies are Secure on plain http too
	secureReason   string                 // the setting that makes them so, other than CookieSecure
	hardLimit      bool                   // Timeouts.Absolute was set, so SetExpiry does not extend it
	foreignIDs     bool                   // IDs may have another form than those of this package
	ownIDs         bool                   // this package makes the IDs
	firstID        atomic.Pointer[string] // of KeyGenerator, until it is used
	userField      string                 // field of UserKey's value that holds the user; "" if the value does
	typed          *Typed                 // Config.Codec if it is a *Typed, else nil

	base        storage.Storage // Config.Storage
	storage     storage.Storage // base as this store's calls see it
	checker     storage.Checker // base if it is one, else nil
	ownsStorage bool            // New made base, so Close closes it
	layout      layout
	index       storage.Index // nil without users, or if the storage has none
	takeovers   *takeovers    // nil if no old logins are taken over
	random      io.Reader
	log         *slog.Logger

	table     table
	timers    *expiryTimers
	tracker   *tracker
	stats     counters
	notices   *notice.Board
	tracing   tracing
	deadlines deadlines
	warnIndex sync.Once

	fiberOnce sync.Once
	fiber     atomic.Pointer[fiberStore] // nil until Fiber is called
}

// New returns a Store. It panics if the configuration contradicts itself; the panic says
// what to change.
func New(config ...Config) *Store {
	s := new(Store)
	if len(config) > 0 {
		s.Config = config[0]
	}
	s.start()
	return s
}

// start makes the store ready for use. Every exported method calls it first.
func (s *Store) start() { s.ready.Do(s.configureAndOpen) }

func (s *Store) configureAndOpen() {
	s.random, s.timers = rand.Reader, newExpiryTimers()
	s.configure()
	s.base = storage.From(s.Config.Storage)
	s.storage = s.base
	s.checker, _ = s.base.(storage.Checker)
	s.notices = notice.New(s.log)
	s.layout = s.newLayout()
	if s.layout.hashesID() {
		s.Config.Storage = newSealedStorage(s, s.Config.Storage)
	}
	s.index = s.newIndex()
	s.takeovers = s.newTakeovers()
	s.tracker = newTracker(s)
	s.warnOfWeakness()
	s.warnOfPrefork()
}

// NewWithStore returns a Store's Handler and the Store.
func NewWithStore(config ...Config) (fiber.Handler, *Store) {
	s := New(config...)
	return s.Handler(), s
}

// prefix returns the prefix of all sessions' keys.
func (s *Store) prefix() string { return s.Config.Prefix + "s:" }

// GetByID returns a handle of the session with this ID. How fresh the session is depends on
// Config.Freshness. It returns ErrNotFound if there is none. Release the handle when it is
// no longer needed.
func (s *Store) GetByID(ctx context.Context, id string) (*Handle, error) {
	s.start()
	st, err := s.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.newHandle(st), nil
}

// acquire returns the state of the session with this ID, as fresh as configured, with a
// reference. It returns ErrNotFound if there is none or id is malformed.
func (s *Store) acquire(ctx context.Context, id string) (*state, error) {
	if !s.validID(id) {
		return nil, ErrNotFound
	}
	at := s.layout.place(id)
	st := s.table.getOrCreate(at, func() *state { return &state{store: s, at: at} })
	err := st.refresh(ctx, 0, time.Time{})
	if err == nil {
		err = st.resolve().confirmID(at)
	}
	if err != nil {
		s.table.release(st)
		if errors.Is(err, ErrSessionGone) {
			err = ErrNotFound
		}
		return nil, err
	}
	return st, nil
}

// confirmID returns ErrNotFound if the session no longer has the ID of at. Otherwise it
// records the ID, which this node does not know if another node made it.
func (s *state) confirmID(at place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.key != at.key {
		return ErrNotFound
	}
	s.at.id = at.id
	return nil
}

// create returns the state of a new session, with a reference. The session is not stored.
func (s *Store) create(client clientInfo, original *originalValue, flags cookieFlags) (*state, error) {
	id, l, err := s.newIdentity()
	if err != nil {
		return nil, err
	}
	at := s.layout.place(id)
	cur := &snapshot{}
	cur.client, cur.original, cur.cookie = client, original, flags
	cur.lineage = s.layout.lineageOf(at, l)
	st := &state{store: s, at: at, cur: cur}
	if !s.table.insert(st) {
		return nil, errIDInUse
	}
	return st, nil
}

// Delete ends the session with this ID. It returns nil if there is none, and
// ErrEmptySessionID if id is empty. It also ends a session of Fiber's middleware/session that
// had this ID and would be taken over, or was (see OldLogins).
func (s *Store) Delete(id string) error {
	s.start()
	if id == "" {
		return ErrEmptySessionID
	}
	if err := s.deleteSession(context.Background(), id); err != nil {
		return err
	}
	return s.takeovers.end(context.Background(), id)
}

func (s *Store) deleteSession(ctx context.Context, id string) error {
	h, err := s.GetByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Release()
	return h.Destroy(ctx)
}

// Reset ends all sessions under the prefix and changes nothing else in the storage. Old
// sessions (see OldLogins) stay there until their TTL has passed, but none is taken over any
// more. With Config.Builtin, which has no prefix, it empties the storage, as Fiber's does.
// Sockets and other watchers are told through the storage's feed; other handles notice when
// they next ask the storage. The storage must support removal by prefix
// (storage.PrefixResetter), which storage.From gives to every fiber.Storage.
func (s *Store) Reset() error {
	s.start()
	if err := s.takeovers.revoke(context.Background(), ""); err != nil {
		return err
	}
	for _, prefix := range s.layout.resetPrefixes() {
		part := s.base
		if prefix != "" {
			part = storage.Prefix(s.base, prefix)
		}
		if err := part.Reset(); err != nil {
			return s.storeError("reset", "", err)
		}
	}
	return nil
}

// RegisterType makes values of v's type storable with the default codec and with
// Config.Builtin, which encode them with gob. Call it at start. It also calls gob.Register,
// and types for which only that was called can be stored too. As in Fiber, a pointer to a
// value of a registered type is stored as well, and Get returns what was registered: with
// RegisterType(User{}), after Set("user", &User{}) the next request gets a User.
//
// A node that has not registered a type that another node stored, or has another type by
// that name, goes on without the value: Get returns nil, Value returns ErrType, Keys lists
// the key, and saves write the value back unchanged. Set and Delete replace it.
func (s *Store) RegisterType(v any) {
	s.start()
	gob.Register(v)
	if s.typed != nil {
		s.typed.Register(v)
	}
}

// Close stops the timers of session limits and the tracking of changes. It closes the
// storage if New made it; the caller closes a Config.Storage. Close waits for running calls
// of Watch functions and must not be called from one.
func (s *Store) Close() error {
	s.start()
	s.tracker.stop()
	s.timers.close()
	s.tracker.close()
	if s.ownsStorage {
		return s.base.Close()
	}
	return nil
}

// reportCorrupt reports a stored value that cannot be decoded. The
// value is not removed, because a node of another version may be able to decode it.
func (s *Store) reportCorrupt(err error) {
	s.notices.Report(&sessionCorruptNotice, "", "error", err)
}
