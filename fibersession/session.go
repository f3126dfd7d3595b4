package fibersession

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Session is the session of one request. It reads the request's cookie and writes the
// response's. It has all methods of Session in Fiber's middleware/session. A Session is for
// the request's goroutine; Detach returns a Handle for others.
//
// With Handler, the session is loaded when it is first used, and saved after the request's
// handlers if it changed. Without Handler, call Save. After Handler has returned, methods
// that write to the response return ErrRequestOver. When the request is over, or its
// connection was upgraded to a WebSocket, reads return zero values and all other methods
// return ErrRequestOver. A Session is never reused for another request.
//
// Methods of a nil *Session do nothing, return ErrNoHandler and log the line that is
// missing.
type Session struct {
	store     *Store
	client    clientInfo                  // of the request; zero without Config.UserKey
	original  *originalValue              // of a session that begins in the request
	secure    bool                        // the request's cookies are Secure
	presented atomic.Pointer[presentedID] // nil until it is read

	mu      sync.Mutex           // guards the fields below; never held during I/O. Cookie.Format is called under it
	request *fasthttp.RequestCtx // used only with mu held; nil when the request is over
	phase   phase
	h       *Handle // nil before the first use
	first   Handle  // what h points to at first, which saves an allocation
	err     error   // why the session could not be loaded

	browserKey      string        // storage key of the ID that the browser sent or was sent
	cookieDue       bool          // the browser must be sent an ID that this Session made
	newID           bool          // this request made the session's ID
	abandoned       bool          // end destroys the session: see Regenerate
	handled         bool          // Handler saves the session
	tolerateFailure bool          // see Store.TolerateFailure
	destroyed       bool          // by this Session, which has not begun a new one yet
	nextExpiry      time.Duration // of the session that begins after destroyed
	sent            *snapshot     // the session when this request began, or sent its cookie; nil if the browser has none
	lent            map[string]lentValue
}

type phase uint8

const (
	phaseOpen           phase = iota
	phaseResponseClosed       // Handler has returned
	phaseOver
)

// requestCloser is a Session as a value of its request. fasthttp closes it when the request
// is over and before it reuses the request's memory.
type requestCloser Session

// Close implements io.Closer.
func (c *requestCloser) Close() error {
	(*Session)(c).end()
	return nil
}

// end detaches the session from its request.
func (s *Session) end() {
	s.mu.Lock()
	h, abandoned := s.h, s.abandoned
	s.phase, s.request, s.h, s.abandoned = phaseOver, nil, nil, false
	s.mu.Unlock()
	if h == nil {
		return
	}
	if abandoned {
		s.store.endAbandoned(h)
	}
	h.Release()
}

// endAbandoned ends a session that got a new ID which its browser will never learn.
func (s *Store) endAbandoned(h *Handle) {
	if h.Fresh() {
		return
	}
	// An error has been logged (see storeError). The login is over either way: no browser
	// has the ID.
	_ = h.Destroy(context.Background())
}

// closeResponse ends Handler's work. If the connection was hijacked or the body is still to
// be streamed, code of the request runs on after Handler, so the session ends here.
func (s *Session) closeResponse() {
	s.mu.Lock()
	runsOn := s.request != nil && (s.upgraded() || s.request.Response.IsBodyStream())
	s.phase = max(s.phase, phaseResponseClosed)
	s.mu.Unlock()
	if runsOn {
		s.end()
	}
}

// upgraded reports whether the request's connection was hijacked or upgraded, so that
// nothing written to its response is sent. The caller holds s.mu.
func (s *Session) upgraded() bool {
	return s.request.Hijacked() || s.request.Response.StatusCode() == fasthttp.StatusSwitchingProtocols
}

// loaded returns the handle. It returns nil if the session was not loaded yet or the
// request is over.
func (s *Session) loaded() *Handle {
	if s == nil {
		_ = reportNoHandler()
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseOver || s.upgraded() {
		return nil
	}
	return s.h
}

// load returns the handle. The first call reads the session from the storage.
func (s *Session) load() (*Handle, error) {
	if s == nil {
		return nil, reportNoHandler()
	}
	s.mu.Lock()
	if s.phase == phaseOver || s.upgraded() {
		s.mu.Unlock()
		return nil, ErrRequestOver
	}
	if s.h != nil || s.err != nil {
		defer s.mu.Unlock()
		return s.h, s.err
	}
	if s.presented.Load() == nil {
		p := s.store.readPresentedID(s.request, nil, s.secure)
		s.presented.Store(&p)
	}
	p := s.presented.Load()
	s.store.addVary(s.request)
	s.mu.Unlock()

	known, err := true, p.err
	var st *state
	if err == nil {
		st, err = s.store.acquirePresented(s.context(), p)
	}
	var old *oldLogin
	if errors.Is(err, ErrNotFound) {
		if old, err = s.takeOver(); err == nil {
			st = old.st
		}
	}
	if errors.Is(err, ErrNotFound) {
		known = false
		st, err = s.begin()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return nil, err
	}
	if s.phase == phaseOver || s.h != nil { // another goroutine loaded or ended it meanwhile
		s.store.table.release(st)
		if s.h == nil {
			return nil, ErrRequestOver
		}
		return s.h, nil
	}
	s.attach(st, &s.first, known)
	if s.phase == phaseOpen {
		for _, src := range p.duplicates {
			s.removeDuplicates(src)
		}
	}
	switch {
	case old != nil:
		s.answerTakeover(old)
	case known && p.oldFormat && s.phase == phaseOpen:
		if cur, _ := st.current(); cur != nil {
			s.writeID(p.source, p.id, &cur.meta)
		}
	}
	return s.h, nil
}

// begin returns the state of a new session, with a reference. The session is not stored.
func (s *Session) begin() (*state, error) {
	return s.store.create(s.client, s.original, s.store.begunPlain(s.secure))
}

// attach makes st the state of this Session, with h as its handle. known means that the
// browser has its ID. The caller holds s.mu.
func (s *Session) attach(st *state, h *Handle, known bool) {
	h.store, h.state, h.client = s.store, st, s.client
	s.h, s.cookieDue, s.newID, s.browserKey, s.sent, s.lent = h, !known, !known, "", nil, nil
	if s.request != nil {
		h.queuedAt = s.request.Time()
	}
	if known {
		s.browserKey = st.place().key
		if cur, _ := st.current(); cur != nil {
			s.sent = cur
		}
	}
}

// loadWritable is load for methods that write to the response.
func (s *Session) loadWritable() (*Handle, error) {
	if s == nil {
		return nil, reportNoHandler()
	}
	s.mu.Lock()
	closed := s.phase != phaseOpen
	s.mu.Unlock()
	if closed {
		return nil, ErrRequestOver
	}
	return s.load()
}

// loadToWrite is load for methods that store something. After Destroy it begins a new
// session.
func (s *Session) loadToWrite() (*Handle, error) {
	h, err := s.loadWritable()
	if err != nil || !s.isDestroyed() {
		return h, err
	}
	return s.beginNew()
}

// loadToSet is load for methods that prepare a change. After Destroy it begins a new session
// while the response is open.
func (s *Session) loadToSet() (*Handle, error) {
	h, err := s.load()
	if err != nil || !s.isDestroyed() {
		return h, err
	}
	return s.beginNew()
}

// isDestroyed reports whether this Session ended its session and has not begun a new one.
func (s *Session) isDestroyed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.destroyed
}

// beginNew attaches a new, empty session.
func (s *Session) beginNew() (*Handle, error) {
	st, err := s.begin()
	if err != nil {
		return nil, err
	}
	if err := s.replace(st, "", nil); err != nil {
		return nil, err
	}
	return s.load()
}

// ID returns the session's ID, a secret that only its browser should know. It returns "" if
// the session cannot be loaded.
func (s *Session) ID() string {
	h, err := s.load()
	if err != nil {
		return ""
	}
	return h.ID()
}

// Fresh reports whether this request made the session's ID: the session is new, or
// Regenerate or Reset was called. It stays true after Save, as in Fiber. Handle.Fresh reports
// whether the session was never stored.
func (s *Session) Fresh() bool {
	if _, err := s.load(); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newID
}

// Get returns the value of key: this request's unsaved value or else the stored one. It
// returns nil if there is none, if this build cannot decode it (see Store.RegisterType), or
// if the session cannot be loaded. Maps, slices and pointers are the request's own: what it
// changes in them, Handler or Save stores, as in Fiber.
func (s *Session) Get(key string) any {
	h, err := s.load()
	if err != nil {
		s.reportTooLate(err)
		return nil
	}
	return s.lend(h, key)
}

// lookup is Get without the copy, and returns why the session cannot be read.
func (s *Session) lookup(key string) (any, error) {
	h, err := s.load()
	if err != nil || s.isDestroyed() {
		return nil, err
	}
	return h.lookup(key)
}

// Set sets key to val. Handler or Save stores a copy of it, as it is by then. After Destroy,
// Set begins a new session.
func (s *Session) Set(key string, val any) {
	h, err := s.loadToSet()
	if err != nil {
		s.reportTooLate(err)
		return
	}
	h.Set(key, val)
	s.borrow(h, key, val)
}

// Delete removes key. Handler or Save stores that.
func (s *Session) Delete(key string) {
	h, err := s.load()
	if err != nil {
		s.reportTooLate(err)
		return
	}
	s.forgetLent(key)
	h.Delete(key)
}

// Keys returns the keys in ascending order, including unsaved changes, and including keys
// whose values this build cannot decode.
func (s *Session) Keys() []string {
	h, err := s.load()
	if err != nil {
		s.reportTooLate(err)
		return nil
	}
	return h.Keys()
}

// SetExpiry sets the session's own idle limit, which replaces Config.Expiration. At most
// 100 years. Handler or Save stores it, and sends the cookie again if it must live longer.
// After Destroy, it applies to the session that the next Set begins.
func (s *Session) SetExpiry(exp time.Duration) {
	h, err := s.load()
	if err != nil {
		s.reportTooLate(err)
		return
	}
	s.mu.Lock()
	destroyed := s.destroyed
	if destroyed {
		s.nextExpiry = exp
	}
	s.mu.Unlock()
	if !destroyed {
		h.setExpiry(exp)
	}
}

// Remember sets whether the browser keeps the session's cookie when it closes, as for a
// "remember me" box at a login. It overrides Config.CookieSessionOnly for this session.
// Handler or Save stores the choice, which holds for later cookies of the session too. How
// long a remembered session can stay unused is Config.Expiration, or SetExpiry:
//
//	if form.RememberMe {
//		sess.Remember(true)
//		sess.SetExpiry(30 * 24 * time.Hour)
//	}
//
// The cookie's Max-Age is the longest time that the session can live: Timeouts.Absolute, or
// SetExpiry if that is longer. With Config.Builtin, which has no place for the choice, it holds
// for the cookies of this request. With Config.Express, the choice is express-session's
// cookie.maxAge: a session that is not remembered has none, and lives for Config.Expiration.
func (s *Session) Remember(on bool) {
	h, err := s.loadToSet()
	if err != nil {
		s.reportTooLate(err)
		return
	}
	choice := cookieDropped
	if on {
		choice = cookieKept
	}
	h.setRemember(choice)
}

// Changed reports whether there are unsaved changes.
func (s *Session) Changed() bool {
	h := s.loaded()
	if h == nil {
		return false
	}
	s.collectLent(h)
	return h.Changed()
}

// Err loads the session and returns why it cannot be used: ErrRequestOver, an error that is
// ErrSessionGone, or the error of the load. It returns nil if the session can be used.
func (s *Session) Err() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.Err()
}

// Save stores the changes, as Handle.Save does, and writes the cookie. It also stores a new
// session that is empty. It may be called any number of times. Without changes, it is no
// error to save a session that has ended: after Destroy there is nothing to store.
func (s *Session) Save() error {
	h, err := s.loadWritable()
	if err != nil || s.isDestroyed() {
		return err
	}
	s.collectLent(h)
	err = h.saveOrExtend(s.context())
	if errors.Is(err, ErrSessionGone) && !h.Changed() {
		return nil
	}
	if err != nil {
		return err
	}
	return s.sendID(true)
}

// Reload discards unsaved changes and reads the session from the storage again, as
// Handle.Reload does.
func (s *Session) Reload() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	if err := h.Reload(s.context()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent = nil
	return nil
}

// Touch extends the idle limit, as Handle.Touch does. With Handler, reading the session is
// enough.
func (s *Session) Touch() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.Touch(s.context())
}

// Update runs fn on the newest revision of the session and stores its changes, as
// Handle.Update does. It writes the cookie of a new session.
func (s *Session) Update(fn func(tx *Tx) error) error {
	h, err := s.loadToWrite()
	if err != nil {
		return err
	}
	return s.updateLoaded(s.context(), h, fn)
}

// update is Update with a context of the caller.
func (s *Session) update(ctx context.Context, fn func(tx *Tx) error) error {
	h, err := s.loadToWrite()
	if err != nil {
		return err
	}
	return s.updateLoaded(ctx, h, fn)
}

func (s *Session) updateLoaded(ctx context.Context, h *Handle, fn func(tx *Tx) error) error {
	if err := h.Update(ctx, fn); err != nil {
		return err
	}
	return s.sendStored(h)
}

// Incr adds delta to the integer under key, stores the sum and returns it, as Handle.Incr
// does. It writes the cookie of a new session.
func (s *Session) Incr(key string, delta int) (int, error) {
	h, err := s.loadToWrite()
	if err != nil {
		return 0, err
	}
	n, err := h.Incr(s.context(), key, delta)
	if err != nil {
		return 0, err
	}
	return n, s.sendStored(h)
}

// Regenerate gives the session a new ID. Call it when a user logs in or gains rights (Login
// does). The data, sockets and handles stay. When it returns, the old ID is invalid. Unsaved
// changes stay unsaved. With Handler, the response carries the new ID.
//
// Without Handler, call Save, Update or Incr afterwards: they write the cookie. If none of
// them succeeds by the end of the request, the session ends, as in Fiber: its browser has
// only the old ID.
func (s *Session) Regenerate() error {
	if s == nil {
		return reportNoHandler()
	}
	s.mu.Lock()
	handled := s.handled
	s.mu.Unlock()
	if !handled {
		return s.regenerateUntilSave()
	}
	h, err := s.regenerate()
	if err != nil {
		return err
	}
	return s.sendStored(h)
}

// regenerateUntilSave gives the session a new ID. Without a save by the end of the request, the
// session ends.
func (s *Session) regenerateUntilSave() error {
	if _, err := s.regenerate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned = true
	return nil
}

// regenerate gives the session a new ID, which sendID sends.
func (s *Session) regenerate() (*Handle, error) {
	h, err := s.loadToWrite()
	if err != nil {
		return nil, err
	}
	if err := h.Regenerate(s.context()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookieDue, s.newID = true, true
	return h, nil
}

// Destroy ends the session, as Handle.Destroy does, and removes the cookie. What is set
// afterwards belongs to a new session, which Handler or Save stores. If nothing is set,
// there is nothing to save.
func (s *Session) Destroy() error {
	h, err := s.loadWritable()
	if err != nil {
		return err
	}
	if err := h.Destroy(s.context()); err != nil {
		return err
	}
	h.discardChanges()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen {
		return ErrRequestOver
	}
	s.destroyed, s.cookieDue, s.abandoned, s.nextExpiry, s.lent = true, false, false, 0, nil
	cur, _ := h.state.resolve().current()
	s.removeID(s.responseSource(), &cur.meta)
	return nil
}

// Reset ends the session, removes the cookie, and begins a new, empty one.
func (s *Session) Reset() error {
	if err := s.Destroy(); err != nil {
		return err
	}
	_, err := s.beginNew()
	return err
}

// replace makes st the state of this Session and takes over the caller's reference to it.
// The response carries id at once or, if id is "", the state's own ID once the session is
// stored.
func (s *Session) replace(st *state, id string, src *idSource) error {
	s.mu.Lock()
	if s.phase != phaseOpen {
		s.mu.Unlock()
		s.store.table.release(st)
		return ErrRequestOver
	}
	old := s.h
	s.attach(st, new(Handle), id != "")
	s.h.idle, s.nextExpiry = s.nextExpiry, 0
	s.err, s.destroyed, s.abandoned = nil, false, false
	if id != "" {
		cur, _ := st.current()
		s.writeID(src, id, &cur.meta)
	}
	s.mu.Unlock()
	if old != nil {
		old.Release()
	}
	return nil
}

// Detach returns a handle of the session that outlives the request. It does not have the
// unsaved changes. Release it when it is no longer needed. A session that was never saved
// gets its cookie only from Save or Lift. If the session cannot be used, all calls of the
// handle return the reason.
func (s *Session) Detach() *Handle {
	if s == nil {
		return new(Store).failedHandle(reportNoHandler())
	}
	h, err := s.load()
	if err != nil {
		return s.store.failedHandle(err)
	}
	return h.Detach()
}

// Pseudonym returns a name for the session that does not reveal its ID, as Handle.Pseudonym
// does.
func (s *Session) Pseudonym(label string) string {
	h, err := s.load()
	if err != nil {
		return ""
	}
	return h.Pseudonym(label)
}

// sendStored writes the cookie of a session that was stored for the first time.
func (s *Session) sendStored(h *Handle) error {
	if h.Fresh() {
		return nil
	}
	return s.sendID(false)
}

// sendID writes the cookie if one is due. With again, it also renews the cookie of an ID
// that the browser has. It never sends an ID that another request made: if that request was
// a login, a client that knows only the ID from before must not learn the one after.
func (s *Session) sendID(again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen || s.h == nil {
		return ErrRequestOver
	}
	st := s.h.state.resolve()
	at := st.place()
	if at.id == "" || !s.cookieDue && !(again && at.key == s.browserKey) {
		return nil
	}
	cur, _ := st.current()
	s.writeID(s.responseSource(), at.id, &cur.meta)
	s.sent = cur
	st.sentCookie(cur.expiry)
	s.cookieDue, s.abandoned, s.browserKey = false, false, at.key
	return nil
}

// responseSource returns where the response carries an ID, or nil.
func (s *Session) responseSource() *idSource {
	if p := s.presented.Load(); p != nil {
		return p.source
	}
	return s.store.responseSource
}
