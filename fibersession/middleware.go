package fibersession

import (
	"context"
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
			if now().toleratesFailure() {
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

func (s *Session) toleratesFailure() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tolerateFailure
}

// due says whether a touch would write.
func (h *Handle) due() bool {
	cur, err := h.current()
	return err == nil && !cur.fresh() && h.store.touchDue(cur.meta, time.Now())
}
