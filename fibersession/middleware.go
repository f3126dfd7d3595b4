package fibersession

import (
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// sessionKey is the request value that holds the Session of one store. contextKey holds the
// Session of the last Handler. They are no strings, so that code that copies a request's
// locals does not copy the session.
type (
	sessionKey struct{ store *Store }
	contextKey struct{}
)

// Handler returns the middleware that gives each request its session (see FromContext).
//
// The session is loaded when it is first used. After the request's handlers, Handler saves
// it if it changed, even if the handlers returned an error. If the session was only read,
// Handler extends its idle limit. If it was not used, the storage is not asked. A panic
// saves nothing. Responses to requests that used the session get "Vary: Cookie".
//
// If loading or saving fails, Config.ErrorHandler answers instead of the handlers. It also
// answers if a handler returns an error of this package, because visitors must not see its
// text.
func (s *Store) Handler() fiber.Handler {
	s.start()
	return func(c *fiber.Ctx) error {
		if s.Config.Next != nil && s.Config.Next(c) {
			return c.Next()
		}
		r := c.Context()
		sess := s.sessionOf(r)
		if sess == nil {
			sess = s.newRequestSession(c)
		}
		if sess.handled {
			return c.Next() // an outer Handler saves it
		}
		sess.handled = true
		r.SetUserValue(contextKey{}, sess)
		defer sess.closeResponse()

		if f := s.fiber.Load(); f != nil {
			defer f.open(c).close()
		}

		err := c.Next()
		if failed := sess.saveAtEnd(); failed != nil {
			if sess.toleratesFailure() {
				return err
			}
			s.notices.Report(&requestRefusedNotice, failed.Error(), "error", failed.Error()) // not the cause, which is logged with storage_failed
			return s.ErrorHandler(c, failed)
		}
		if isSessionError(err) {
			s.notices.Report(&requestFailedNotice, err.Error(), "error", err.Error())
			return s.ErrorHandler(c, err)
		}
		return err
	}
}

// FromContext returns the session of a request that passed a Handler. It returns nil for
// other requests; the methods of a nil Session return ErrNoHandler.
func FromContext(c *fiber.Ctx) *Session {
	sess, _ := c.Context().UserValue(contextKey{}).(*Session)
	return sess
}

// Get loads and returns the session of a request: the one whose ID the request presents, or
// else a new one. All calls in a request return the same Session, and so does FromContext.
// After Destroy, Get begins a new session. It works with and without Handler.
func (s *Store) Get(c *fiber.Ctx) (*Session, error) {
	s.start()
	sess := s.sessionOf(c.Context())
	if sess == nil {
		sess = s.newRequestSession(c)
	}
	if sess.isOver() {
		return nil, ErrRequestOver
	}
	if _, err := sess.loadToSet(); err != nil {
		return nil, err
	}
	return sess, nil
}

// isOver reports whether the request is over.
func (s *Session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == phaseOver || s.upgraded()
}

// sessionOf returns the request's Session of this store, or nil.
func (s *Store) sessionOf(r *fasthttp.RequestCtx) *Session {
	sess, _ := r.UserValue(sessionKey{s}).(*requestCloser)
	return (*Session)(sess)
}

// newRequestSession returns a Session for the request. Nothing is loaded yet.
func (s *Store) newRequestSession(c *fiber.Ctx) *Session {
	r := c.Context()
	sess := &Session{store: s, request: r, secure: s.isSecure(c)}
	if s.readsFrom(SourceCustom) { // now, because only this call has the *fiber.Ctx
		p := s.presentedIDOf(c)
		sess.presented.Store(&p)
	}
	if s.Config.UserKey != "" {
		sess.client = clientOf(c)
	}
	sess.original = s.layout.newOriginal(sess.secure)
	r.SetUserValue(sessionKey{s}, (*requestCloser)(sess))
	return sess
}

// saveAtEnd saves the session at the end of its request.
func (s *Session) saveAtEnd() error {
	s.mu.Lock()
	h, err, destroyed := s.h, s.err, s.destroyed
	if h != nil && s.request != nil {
		s.store.addVary(s.request) // again, because a handler may have replaced the header
	}
	s.mu.Unlock()
	switch {
	case h == nil || err != nil:
		return err
	case destroyed:
		return nil
	}
	s.collectLent(h)
	switch {
	case h.Changed():
		if err := h.Save(s.context()); err != nil {
			return err
		}
		if err := s.sendID(false); err != nil {
			return err
		}
	case h.KeepAliveDue(time.Now()):
		// A session that ended during the request is no error: what was read was valid then.
		if err := h.KeepAlive(s.context()); err != nil && !errors.Is(err, ErrSessionGone) {
			return err
		}
	}
	return s.renewCookie(h)
}

func (s *Session) toleratesFailure() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tolerateFailure
}
