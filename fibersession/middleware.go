package fibersession

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// frontKey is where a request keeps its Session of one store; contextKey, that of
// the last Handler. Neither is a string, so that nothing which copies a request's
// locals takes them along.
type (
	frontKey   struct{ store *Store }
	contextKey struct{}
)

// Handler returns the middleware that gives each request its session: see
// FromContext. Nothing is loaded until the session is used. After the request's
// handlers, also when they returned an error, it is saved if it changed; if it was
// only read, its idle limit slides; and if neither, the store is not asked. A panic
// saves nothing. Responses of requests that used the session get "Vary: Cookie".
//
// When loading or saving fails, Config.ErrorHandler answers in place of the handlers.
func (s *Store) Handler() fiber.Handler {
	return func(c *fiber.Ctx) error {
		if s.cfg.Next != nil && s.cfg.Next(c) {
			return c.Next()
		}
		r := c.Context()
		f := s.front(r)
		if f == nil {
			f = s.newFront(c)
		}
		if f.handled {
			return c.Next() // by a Handler further out
		}
		f.handled = true
		r.SetUserValue(contextKey{}, f)
		now := func() *Session { // another one after Destroy and Get
			if latest := s.front(r); latest != nil {
				return latest
			}
			return f // somebody reset the request's values, which ended it
		}
		defer func() { now().seal() }()

		err := c.Next()
		if failed := now().finish(); failed != nil {
			if now().isExcused() {
				return err
			}
			s.log.Warn("fibersession: a request was refused", "error", failed)
			return s.cfg.ErrorHandler(c, failed)
		}
		return err
	}
}

// FromContext returns the session of a request that passed a Handler, else nil.
func FromContext(c *fiber.Ctx) *Session {
	f, _ := c.Context().UserValue(contextKey{}).(*Session)
	return f
}

// Get returns the session of a request, loaded: the one that its cookie names, else a
// new one. Every call of a request returns the same, also FromContext; after Destroy
// it is a new one. It works with and without Handler.
func (s *Store) Get(c *fiber.Ctx) (*Session, error) {
	r := c.Context()
	f := s.front(r)
	switch {
	case f == nil:
		f = s.newFront(c)
	case f.over():
		return nil, ErrRequestOver
	case f.destroyed:
		old := f
		f = s.newFront(c)
		if f.handled = old.handled; f.handled {
			r.SetUserValue(contextKey{}, f)
		}
		old.end()
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	if _, err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

func (s *Session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == phaseOver || s.upgraded()
}

// begin gives the front a new session, whatever its request carries.
func (s *Session) begin() error {
	st, err := s.store.create(s.device, s.wire)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attach(st, &s.first, false)
	return nil
}

// front returns the request's Session of this store, or nil.
func (s *Store) front(r *fasthttp.RequestCtx) *Session {
	f, _ := r.UserValue(frontKey{s}).(*requestEnd)
	return (*Session)(f)
}

func (s *Store) newFront(c *fiber.Ctx) *Session {
	r := c.Context()
	f := &Session{store: s, request: r}
	if s.hasWay(SourceCustom) { // now, as a session that is used later has only the request
		cl := s.claimOf(c)
		f.claim.Store(&cl)
	}
	if s.cfg.UserKey != "" {
		f.device = deviceOf(c)
	}
	if l, ok := s.layout.(*express); ok {
		f.wire = l.wireOf(s.secure(r))
	}
	r.SetUserValue(frontKey{s}, (*requestEnd)(f))
	return f
}

// finish saves the session at the end of its request.
func (s *Session) finish() error {
	s.mu.Lock()
	h, err, destroyed := s.h, s.err, s.destroyed
	if h != nil && s.request != nil {
		s.store.vary(s.request) // a handler may have set the header since
	}
	s.mu.Unlock()
	switch {
	case h == nil || err != nil:
		return err
	case destroyed:
		return nil
	case h.Changed():
		if err := h.Save(context.Background()); err != nil {
			return err
		}
		if err := s.sendID(false); err != nil {
			return err
		}
	case h.due():
		// It ended in the meantime: so it did, and what was read of it was so then.
		if err := h.Touch(context.Background()); err != nil && !errors.Is(err, ErrSessionGone) {
			return err
		}
	}
	return s.roll(h)
}

// Lift returns a handle of the request's session for work that outlives the request,
// such as a socket. Unsaved changes of the request are saved first. When the request
// carries no session, a new one begins: its cookie goes out with this response, and
// it is stored by the first save; until then it lives while a handle of this node
// holds it. Release the handle when the work is done.
func (s *Store) Lift(c *fiber.Ctx) (*Handle, error) {
	f, err := s.Get(c)
	if err != nil {
		return nil, err
	}
	if f.Changed() {
		err = f.Save()
	} else {
		err = f.sendID(false)
	}
	if err != nil {
		return nil, err
	}
	h := f.Detach()
	if err := h.Err(); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// Excuse has Handler let the request's own answer stand although its session could not
// be loaded or saved, for a caller of Get or Lift that saw the error and knows how to
// go on without.
func (s *Store) Excuse(c *fiber.Ctx) {
	if f := s.front(c.Context()); f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.excused = true
	}
}

func (s *Session) isExcused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.excused
}

// Owns says whether a request carries the ID of h's session, or the last one that it
// had when it has ended. The store is asked only when the request carries another ID
// than this node knows for h: another node may have given it a new one.
func (s *Store) Owns(c *fiber.Ctx, h *Handle) bool {
	id, ended := s.claimOf(c).id, h.Err()
	if !s.validID(id) || ended != nil && !errors.Is(ended, ErrSessionGone) {
		return false
	}
	at, mine := s.layout.place(id), h.state.resolve().place()
	if subtle.ConstantTimeCompare(at.owner[:], mine.owner[:]) == 1 {
		return true
	}
	if ended != nil {
		return false
	}
	ctx := context.Background()
	st, err := s.acquire(ctx, id)
	if err != nil {
		return false
	}
	defer s.table.release(st)
	theirs, _ := st.resolve().look()
	ours, _ := h.state.resolve().look()
	if theirs.lineage != ours.lineage {
		return false
	}
	// h's state learns of its new ID, or that it is gone.
	return h.do(ctx, &op{kind: opReload}) == nil
}

// Named returns a name for what a request says its session's ID is, known here or not,
// well-formed or not: the same for the same, and "" when it says nothing. The ID cannot
// be found from it.
func (s *Store) Named(c *fiber.Ctx) string {
	claim := s.claimOf(c)
	if !claim.named {
		return ""
	}
	sum := sha256.Sum256([]byte("fiberbridge named\x00" + claim.id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// due says whether a touch would write.
func (h *Handle) due() bool {
	cur, err := h.look()
	return err == nil && !cur.fresh() && h.store.touchDue(cur.meta, time.Now())
}
