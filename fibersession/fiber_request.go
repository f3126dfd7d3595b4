package fibersession

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// fiberRequest connects the sessions of Fiber's own store (Store.Fiber) with the Session of one
// request. Each of them has its own ID, so that Save can tell what that session changed, apart
// from what others in the request saved meanwhile.
type fiberRequest struct {
	f     *fiberStore
	token string

	mu    sync.Mutex // guards the fields below; never held during I/O
	c     *fiber.Ctx // nil when the request is over
	given []givenValues
	ended int // counts the sessions that ended in the request
	last  struct {
		of      *snapshot
		encoded []byte // immutable
	}
}

// givenValues are the values that a session of Fiber's store began with.
type givenValues struct {
	encoded []byte
	ended   int // fiberRequest.ended of the session that had them
}

// open makes the request's session available to the genuine store, until close. The request
// keeps nothing that the client sent under the private name.
func (f *fiberStore) open(c *fiber.Ctx) *fiberRequest {
	r := &fiberRequest{f: f, token: rand.Text(), c: c}
	f.requests.Store(r.token, r)
	h := &c.Context().Request.Header
	h.DelCookie(f.name)
	h.Del(f.name)
	id := r.issueID(givenValues{})
	h.SetCookie(f.name, id) // Fiber looks there first, and leaves it alone
	h.Set(f.name, id)       // in case that a middleware replaces the cookies
	return r
}

// close ends the access, and removes the private name from request and response.
func (r *fiberRequest) close() {
	r.f.requests.Delete(r.token)
	r.f.forget(r)
	r.mu.Lock()
	c := r.c
	r.c = nil
	r.mu.Unlock()
	ctx := c.Context()
	ctx.Request.Header.DelCookie(r.f.name)
	ctx.Request.Header.Del(r.f.name)
	ctx.Response.Header.Del(r.f.name)
}

// issueID returns a new ID for a session that begins with these values.
func (r *fiberRequest) issueID(g givenValues) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = append(r.given, g)
	return fiberIDPrefix + r.token + "." + strconv.Itoa(len(r.given)-1)
}

// givenTo returns what the session with an ID began with. Values of a session that has ended
// since do not count.
func (r *fiberRequest) givenTo(number string) (n int, g givenValues, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err = strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(r.given) || r.c == nil {
		return 0, givenValues{}, ErrRequestOver
	}
	if g = r.given[n]; g.ended != r.ended {
		g = givenValues{ended: r.ended}
	}
	return n, g, nil
}

// session returns the request's Session. After Destroy it begins a new session.
func (r *fiberRequest) session() (*Session, error) {
	r.mu.Lock()
	c := r.c
	r.mu.Unlock()
	if c == nil {
		return nil, ErrRequestOver
	}
	return r.f.store.Get(c)
}

// read returns the session's values for the session with this ID, and gives the next session of
// Fiber's store another ID.
func (r *fiberRequest) read(number string) ([]byte, error) {
	n, _, err := r.givenTo(number)
	if err != nil {
		return nil, err
	}
	sess, err := r.session()
	if err != nil {
		return nil, err
	}
	h, err := sess.load()
	if err != nil {
		return nil, err
	}
	sess.collectLent(h)
	encoded, err := r.encode(h)
	if err != nil {
		return nil, err
	}
	r.gave(n, encoded)
	next := r.issueID(givenValues{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.c != nil {
		r.c.Context().Request.Header.SetCookie(r.f.name, next)
	}
	return encoded, nil
}

// encode returns h's values, encoded. Middlewares call Get several times in a request, so it
// keeps the result for as long as the values are the same.
func (r *fiberRequest) encode(h *Handle) ([]byte, error) {
	cur, err := h.current()
	if err != nil {
		return nil, err
	}
	unsaved := h.Changed()
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if !unsaved && last.of == cur {
		return last.encoded, nil
	}
	encoded, err := r.f.store.encodeForFiber(h.Keys(), h.peek)
	if err == nil && !unsaved {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last.of, r.last.encoded = cur, encoded
	}
	return encoded, err
}

// gave records the values of the session with the nth ID.
func (r *fiberRequest) gave(n int, encoded []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given[n] = givenValues{encoded, r.ended}
}

// write stores the difference between values and what the session with this ID began with.
func (r *fiberRequest) write(number string, values []byte, exp time.Duration) error {
	n, g, err := r.givenTo(number)
	if err != nil {
		return err
	}
	ch, err := fiberChanges(g.encoded, values)
	if err != nil {
		return err
	}
	sess, err := r.session()
	if err != nil {
		return err
	}
	if exp == r.f.genuine.Expiration {
		exp = 0 // SetExpiry was not called
	}
	if err := sess.saveChanges(ch, exp); err != nil {
		return err
	}
	r.gave(n, values)
	return nil
}

// remove ends the session, or gives it a new ID, for a method of Fiber's Session.
func (r *fiberRequest) remove(number, method string) error {
	_, g, err := r.givenTo(number)
	if err != nil {
		return err
	}
	sess, err := r.session()
	if err != nil {
		return err
	}
	if method == "Regenerate" {
		if err := sess.regenerateUntilSave(); err != nil {
			return err
		}
		r.f.expectNewID(r, g)
		return nil
	}
	if err := sess.Destroy(); err != nil {
		return err
	}
	r.mu.Lock()
	r.ended++
	r.mu.Unlock()
	r.f.expectNewID(r, givenValues{}) // after Reset
	return nil
}

// saveChanges stores changes apart from the request's own unsaved ones, which stay unsaved,
// except for the keys that ch changes. It writes the cookie if one is due. A positive idle is a
// new idle limit.
func (s *Session) saveChanges(ch changes, idle time.Duration) error {
	h, err := s.loadToWrite()
	if err != nil {
		return err
	}
	if err := s.store.checkKept(ch); err != nil {
		return err
	}
	own := h.Detach()
	defer own.Release()
	own.client = s.client
	own.QueuedSince(h.queuedSince())
	for key, c := range ch {
		own.change(key, c)
	}
	own.setExpiry(idle)
	if err := own.saveOrExtend(s.context()); err != nil {
		return err
	}
	h.discardKeys(ch)
	for key := range ch {
		s.forgetLent(key)
	}
	return s.sendID(false)
}

// checkKept returns an error if Config.Codec would change the type of a value: a middleware
// then does not find the value that it stored.
func (s *Store) checkKept(ch changes) error {
	if s.typed != nil {
		return nil
	}
	ready, err := s.prepare(ch)
	if err != nil {
		return err
	}
	for key, c := range ch {
		if c.kind != changeSet {
			continue
		}
		before, after := reflect.TypeOf(c.value), reflect.TypeOf(ready[key].value)
		if before != after && !(isNumber(before) && isNumber(after)) {
			return fmt.Errorf("%w: key %q holds a %v, which Config.Codec stores as %v", ErrUnsupportedType, key, before, after)
		}
	}
	return nil
}

func isNumber(t reflect.Type) bool {
	return t != nil && (t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64)
}
