package fibersession

import (
	"context"
	"crypto/rand"
	"encoding/gob"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// Store keeps sessions. It is safe for concurrent use.
type Store struct {
	cfg       Config
	ways      []way // where requests carry IDs
	back      *way  // where responses do, unless the request's came otherwise; nil: nowhere
	sameSite  int   // fasthttp.CookieSameSite
	hardLimit bool  // the absolute limit was chosen, so nothing moves it

	base    storage.Storage // Config.Storage
	storage storage.Storage // base as this store's calls see it
	checker storage.Checker // base, if it is one; else nil
	own     bool            // base was made by New
	layout  layout
	index   storage.Index // nil without users, or when the storage has none
	typed   *Typed        // the codec, when it is that one
	random  io.Reader
	log     *slog.Logger

	table       table
	timers      *expiryTimers
	tracker     *tracker
	stats       counters
	warnCorrupt sync.Once
	warnPlain   sync.Once
	warnLost    sync.Once
	warnForged  minutely
	warnUser    sync.Once
	warnIndex   sync.Once
}

// New returns a Store. It panics when the configuration contradicts itself, with
// a text that says what to change.
func New(config ...Config) *Store {
	s := &Store{random: rand.Reader, timers: newExpiryTimers()}
	if len(config) > 0 {
		s.cfg = config[0]
	}
	s.configure()
	if s.cfg.Storage == nil {
		s.cfg.Storage, s.own = memory.New(), true
	}
	s.base = storage.From(s.cfg.Storage)
	s.storage = s.base
	s.checker, _ = s.base.(storage.Checker)
	s.layout = s.newLayout()
	s.index = s.newIndex()
	s.tracker = newTracker(s)
	s.warnOfWeakness()
	return s
}

// NewWithStore returns a Store's Handler and the Store.
func NewWithStore(config ...Config) (fiber.Handler, *Store) {
	s := New(config...)
	return s.Handler(), s
}

func (s *Store) newLayout() layout {
	if s.cfg.Builtin {
		return &builtin{idle: s.cfg.Expiration, maxSize: s.cfg.Limits.MaxSize}
	}
	if s.cfg.Express != nil {
		return s.newExpress()
	}
	if s.cfg.Codec == nil {
		s.cfg.Codec = new(Typed)
	}
	s.typed, _ = s.cfg.Codec.(*Typed)
	return &sealed{prefix: s.prefix(), codec: s.cfg.Codec, mark: codec.Mark(s.cfg.Codec), maxSize: s.cfg.Limits.MaxSize}
}

// prefix is what all keys of this store begin with.
func (s *Store) prefix() string { return s.cfg.Prefix + "s:" }

// GetByID returns a handle of the session with this ID, as fresh as Config.Freshness
// says. It is ErrNotFound when there is none. Release the handle when it is no longer needed.
func (s *Store) GetByID(ctx context.Context, id string) (*Handle, error) {
	st, err := s.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.newHandle(st), nil
}

// acquire returns the state of the session with this ID, as fresh as configured,
// with a reference; or ErrNotFound, also for what cannot be an ID.
func (s *Store) acquire(ctx context.Context, id string) (*state, error) {
	if !s.validID(id) {
		return nil, ErrNotFound
	}
	at := s.layout.place(id)
	st := s.table.getOrCreate(at, func() *state { return &state{store: s, at: at} })
	err := st.refresh(ctx, 0, time.Time{})
	if err == nil {
		err = st.resolve().recognise(at)
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

// recognise says whether the session still has the ID that a request came with,
// and remembers the ID if another node had chosen it.
func (s *state) recognise(at place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.key != at.key {
		return ErrNotFound
	}
	s.at.id = at.id
	return nil
}

// create returns the state of a new session, which is not stored, with a reference.
func (s *Store) create(d device, w *expressWire) (*state, error) {
	id, l, err := s.newIdentity()
	if err != nil {
		return nil, err
	}
	at := s.layout.place(id)
	cur := &snapshot{}
	cur.device, cur.wire = d, w
	cur.lineage = s.layout.lineage(at, l)
	st := &state{store: s, at: at, cur: cur}
	if !s.table.insert(st) {
		return nil, errIDInUse
	}
	return st, nil
}

// Delete ends the session with this ID. That there is none is not an error; an
// empty ID is ErrEmptySessionID.
func (s *Store) Delete(id string) error {
	if id == "" {
		return ErrEmptySessionID
	}
	h, err := s.GetByID(context.Background(), id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Release()
	return h.Destroy(context.Background())
}

// Reset ends all sessions under the prefix; with Config.Builtin, which has no
// prefix, it empties the storage. Handles learn of it when they next ask the
// store. The storage must be able to remove a prefix (storage.PrefixResetter).
func (s *Store) Reset() error {
	views := []storage.Storage{s.base}
	switch {
	case s.cfg.Express != nil:
		views[0] = storage.Prefix(s.base, s.cfg.Express.Prefix)
	case !s.cfg.Builtin:
		// The index last: what is in it must not be missing from it.
		views = []storage.Storage{storage.Prefix(s.base, s.prefix()), storage.Prefix(s.base, s.userPrefix())}
	}
	for _, view := range views {
		if err := view.Reset(); err != nil {
			return storeError("reset", "", err)
		}
	}
	return nil
}

// RegisterType makes values of v's type storable: with the default codec and with
// Config.Builtin through gob. Call it at start; it also calls gob.Register.
func (s *Store) RegisterType(v any) {
	gob.Register(v)
	if s.typed != nil {
		s.typed.Register(v)
	}
}

// Close ends the watch over the sessions' limits and over what other nodes change,
// and closes the storage that New made. A Config.Storage belongs to who made it. It waits for calls of Watch's
// functions and must not be called from one.
func (s *Store) Close() error {
	s.tracker.stop()
	s.timers.close()
	s.tracker.close()
	if s.own {
		return s.base.Close()
	}
	return nil
}

// corrupt counts a stored value that could not be understood, and logs the first.
// It is not removed: a node of another version may understand it.
func (s *Store) corrupt(err error) {
	s.stats.corrupt.Add(1)
	s.warnCorrupt.Do(func() {
		s.log.Warn("fibersession: a stored session cannot be understood and counts as none; more are only counted", "error", err)
	})
}
