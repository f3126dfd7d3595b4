package fibersession

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Session is the session of one request, and bound to it: it reads the request's
// cookie and writes the response's. Its methods are those of Session in Fiber's
// middleware/session, and more. It is for the request's goroutine; Detach gives a
// Handle for others.
//
// With Handler it is loaded when first used, and saved after the request's handlers
// if it changed. Without, Save it. When Handler has returned, the response is out of
// reach: what would write to it fails with ErrRequestOver. When the request is over
// (for a WebSocket: when it was upgraded), reads give zero values and everything
// else fails so. A Session is never used again for another request.
type Session struct {
	store  *Store
	device device                // of the request; zero without Config.UserKey
	wire   *expressWire          // of a session that begins in it; nil without Config.Express
	claim  atomic.Pointer[claim] // what the request presents; nil until it is asked

	mu      sync.Mutex           // guards what follows; never held during I/O or user code
	request *fasthttp.RequestCtx // only touched with mu held; nil when the request is over
	phase   phase
	h       *Handle // nil before the first use
	first   Handle  // what h is at first: one allocation less
	err     error   // why it could not be loaded

	knows           string // the key of the ID that the browser sent or was sent
	owed            bool   // the browser is to be sent an ID of this front's making
	handled         bool   // Handler is going to save it
	tolerateFailure bool   // see Store.TolerateFailure
	destroyed       bool   // by this front

	began time.Time // the idle limit when the session was attached
}

type phase uint8

const (
	phaseOpen   phase = iota
	phaseSealed       // Handler has returned
	phaseOver
)

// requestEnd is a Session as a value of its request: fasthttp closes it when the
// request is over, before anything of the request is used again.
type requestEnd Session

// Close implements io.Closer.
func (e *requestEnd) Close() error {
	(*Session)(e).end()
	return nil
}

func (s *Session) end() {
	s.mu.Lock()
	h := s.h
	s.phase, s.request, s.h = phaseOver, nil, nil
	s.mu.Unlock()
	if h != nil {
		h.Release()
	}
}

// seal is the end of Handler. A connection that was taken over, or a body that is
// still to be streamed, means that code of the request runs on after it.
func (s *Session) seal() {
	s.mu.Lock()
	goesOn := s.request != nil && (s.upgraded() || s.request.Response.IsBodyStream())
	s.phase = max(s.phase, phaseSealed)
	s.mu.Unlock()
	if goesOn {
		s.end()
	}
}

// upgraded says whether the request's connection was taken over, so that nothing
// written to its response is ever sent. It is called with s locked.
func (s *Session) upgraded() bool {
	return s.request.Hijacked() || s.request.Response.StatusCode() == fasthttp.StatusSwitchingProtocols
}

// loaded returns the handle if there is one already, and if the request lasts.
func (s *Session) loaded() *Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseOver || s.upgraded() {
		return nil
	}
	return s.h
}

// load returns the handle, after the first use of the session asked the store.
func (s *Session) load() (*Handle, error) {
	s.mu.Lock()
	if s.phase == phaseOver || s.upgraded() {
		s.mu.Unlock()
		return nil, ErrRequestOver
	}
	if s.h != nil || s.err != nil {
		defer s.mu.Unlock()
		return s.h, s.err
	}
	if s.claim.Load() == nil {
		cl := s.store.claimed(s.request, nil)
		s.claim.Store(&cl)
	}
	cl := s.claim.Load()
	s.store.vary(s.request)
	s.mu.Unlock()

	known, err := true, cl.err
	var st *state
	if err == nil {
		st, err = s.store.acquire(context.Background(), cl.id)
	}
	if errors.Is(err, ErrNotFound) {
		known = false
		st, err = s.store.create(s.device, s.wire)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return nil, err
	}
	if s.phase == phaseOver || s.h != nil { // used from two goroutines at once
		s.store.table.release(st)
		if s.h == nil {
			return nil, ErrRequestOver
		}
		return s.h, nil
	}
	s.attach(st, &s.first, known)
	if known && cl.old && s.phase == phaseOpen {
		if cur, _ := st.current(); cur != nil {
			s.store.writeID(s.request, cl.way, cl.id, cur.meta)
		}
	}
	return s.h, nil
}

// attach makes st the session of this front. It is called with s locked.
func (s *Session) attach(st *state, h *Handle, known bool) {
	h.store, h.state, h.device = s.store, st, s.device
	s.h, s.owed, s.knows = h, !known, ""
	if s.request != nil {
		h.queuedAt = s.request.Time()
	}
	if known {
		s.knows = st.place().key
		if cur, _ := st.current(); cur != nil {
			s.began = cur.expiry
		}
	}
}

// open is load for what writes to the response.
func (s *Session) open() (*Handle, error) {
	s.mu.Lock()
	sealed := s.phase != phaseOpen
	s.mu.Unlock()
	if sealed {
		return nil, ErrRequestOver
	}
	return s.load()
}

// ID returns the session's ID: a secret of its browser.
func (s *Session) ID() string {
	h, err := s.load()
	if err != nil {
		return ""
	}
	return h.ID()
}

// Fresh says whether the session was never stored.
func (s *Session) Fresh() bool {
	h, err := s.load()
	return err == nil && h.Fresh()
}

// Get returns the value of key: what this request set last, else what is stored;
// nil when there is none. Maps, slices and the like are copies: change them and Set
// them.
func (s *Session) Get(key string) any {
	h, err := s.load()
	if err != nil {
		return nil
	}
	return h.Get(key)
}

// Set gives key a copy of val. Handler stores it, or Save.
func (s *Session) Set(key string, val any) {
	if h, err := s.load(); err == nil {
		h.Set(key, val)
	}
}

// Delete removes key. Handler stores that, or Save.
func (s *Session) Delete(key string) {
	if h, err := s.load(); err == nil {
		h.Delete(key)
	}
}

// Keys returns the keys in order.
func (s *Session) Keys() []string {
	h, err := s.load()
	if err != nil {
		return nil
	}
	return h.Keys()
}

// SetExpiry gives the session an idle limit of its own in place of
// Config.Expiration. Handler stores it, or Save.
func (s *Session) SetExpiry(exp time.Duration) {
	if h, err := s.load(); err == nil {
		h.setExpiry(exp)
	}
}

// Changed says whether there are changes that are not saved.
func (s *Session) Changed() bool {
	h := s.loaded()
	return h != nil && h.Changed()
}

// Err returns nil, or why the session cannot be used: ErrRequestOver, an
// ErrSessionGone, or what the store said when it was first used.
func (s *Session) Err() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.Err()
}

// Save stores the changes, as Handle.Save does, and writes the cookie. A new session
// is stored also when it is empty. It may be called any number of times.
func (s *Session) Save() error {
	h, err := s.open()
	if err != nil {
		return err
	}
	if !h.Changed() && !h.Fresh() && s.store.layout.slides() {
		err = h.Touch(context.Background())
	} else {
		err = h.save(context.Background(), true)
	}
	if err != nil {
		return err
	}
	return s.sendID(true)
}

// Reload drops unsaved changes and asks the store what the session is now, as
// Handle.Reload does.
func (s *Session) Reload() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.Reload(context.Background())
}

// Touch says that the session is in use, as Handle.Touch does. With Handler, reading
// it is enough.
func (s *Session) Touch() error {
	h, err := s.load()
	if err != nil {
		return err
	}
	return h.Touch(context.Background())
}

// Update runs fn on the newest revision and stores its changes, as Handle.Update
// does, and writes the cookie of a new session.
func (s *Session) Update(fn func(tx *Tx) error) error {
	h, err := s.open()
	if err != nil {
		return err
	}
	if err := h.Update(context.Background(), fn); err != nil {
		return err
	}
	return s.sendStored(h)
}

// Incr adds delta to the integer under key and stores it, as Handle.Incr does, and
// writes the cookie of a new session.
func (s *Session) Incr(key string, delta int) (int, error) {
	h, err := s.open()
	if err != nil {
		return 0, err
	}
	n, err := h.Incr(context.Background(), key, delta)
	if err != nil {
		return 0, err
	}
	return n, s.sendStored(h)
}

// Regenerate gives the session a new ID and writes the cookie: do it when somebody
// logs in or gains rights. Data, sockets and handles stay; the old ID is dead when
// it returns. Changes that are not saved stay unsaved.
func (s *Session) Regenerate() error {
	h, err := s.open()
	if err != nil {
		return err
	}
	if err := h.Regenerate(context.Background()); err != nil {
		return err
	}
	s.mu.Lock()
	sent := s.knows != ""
	s.owed = true
	s.mu.Unlock()
	if sent {
		return s.sendID(false)
	}
	return s.sendStored(h)
}

// Destroy ends the session, as Handle.Destroy does, and removes the cookie. A later
// Store.Get of the same request gives a new session.
func (s *Session) Destroy() error {
	h, err := s.open()
	if err != nil {
		return err
	}
	if err := h.Destroy(context.Background()); err != nil {
		return err
	}
	h.discardChanges()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen {
		return ErrRequestOver
	}
	s.destroyed, s.owed = true, false
	cur, _ := h.state.resolve().current()
	s.store.expireID(s.request, s.way(), cur.meta)
	return nil
}

// Reset ends the session, removes the cookie, and begins a new, empty one.
func (s *Session) Reset() error {
	if err := s.Destroy(); err != nil {
		return err
	}
	st, err := s.store.create(s.device, s.wire)
	if err != nil {
		return err
	}
	return s.exchange(st, "", nil)
}

// exchange makes st, whose reference it takes over, the session of this front. With an
// ID the response carries it at once; without, when the session is stored.
func (s *Session) exchange(st *state, id string, w *way) error {
	s.mu.Lock()
	if s.phase != phaseOpen {
		s.mu.Unlock()
		s.store.table.release(st)
		return ErrRequestOver
	}
	old := s.h
	s.attach(st, new(Handle), id != "")
	s.err, s.destroyed = nil, false
	if id != "" {
		cur, _ := st.current()
		s.store.writeID(s.request, w, id, cur.meta)
	}
	s.mu.Unlock()
	if old != nil {
		old.Release()
	}
	return nil
}

// Detach returns a handle of the session that outlives the request, without the
// unsaved changes. Release it when it is no longer needed. A session that was never
// saved has a cookie only after Save or Lift. When the session cannot be used, every
// call of the handle says why.
func (s *Session) Detach() *Handle {
	h, err := s.load()
	if err != nil {
		return s.store.failedHandle(err)
	}
	return h.clone()
}

// Pseudonym returns a name for the session that reveals nothing, as
// Handle.Pseudonym does.
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

// sendID writes the cookie if the browser is owed one, or if again is set. It never
// hands out an ID that another request caused: that one may be from before a login
// on purpose.
func (s *Session) sendID(again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != phaseOpen || s.h == nil {
		return ErrRequestOver
	}
	st := s.h.state.resolve()
	at := st.place()
	if at.id == "" || !s.owed && !(again && at.key == s.knows) {
		return nil
	}
	cur, _ := st.current()
	s.store.writeID(s.request, s.way(), at.id, cur.meta)
	s.owed, s.knows = false, at.key
	return nil
}

// way is how the response carries an ID.
func (s *Session) way() *way {
	if cl := s.claim.Load(); cl != nil {
		return cl.way
	}
	return s.store.back
}
