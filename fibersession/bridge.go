package fibersession

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/storage"
)

// The contract with socketbridge.
//
// This file holds what socketbridge needs of a Store and its handles, and what other
// code rarely calls. In the order in which socketbridge uses it:
//
//   - At the handshake, Store.Lift gives the connection its Handle. If Lift fails,
//     Store.TolerateFailure lets the handshake be answered anyway, because a namespace
//     that shares no session may still be joined. Handle.Epoch and Store.PresentedIDHash
//     record which ID the connection came with.
//   - At each later request of the connection, Store.Owns reports whether the request
//     carries the connection's session. A client that came without a stored session is
//     recognised by Store.PresentedIDHash instead.
//   - For each socket and each packet, Handle.Fork gives a handle with its own unsaved
//     changes. Handle.QueuedSince tells it how long the packet has already waited, and
//     Handle.Epoch whether the session got a new ID in the meantime. Handle.Refresh,
//     KeepAliveDue, KeepAlive and Save do the rest.
//   - For rooms and presence, Config.UserKey names the key to watch, Store.UserPseudonym
//     names a user's room, and Store.Backend and Config.Prefix say where presence records
//     are kept.
//   - At the end of the connection, Handle.Retire frees the lifted handle, and with it
//     all of its forks.

// Lift returns a handle of the request's session for work that outlives the request,
// such as a socket. It saves unsaved changes of the request first. If the request
// carries no session, Lift begins a new one and this response carries its cookie. The
// first save stores it; until then it exists only while this node holds a handle of it.
// Release the handle when the work is done.
func (s *Store) Lift(c *fiber.Ctx) (*Handle, error) {
	s.start()
	s.checkHandler(c)
	sess, err := s.Get(c)
	if err != nil {
		return nil, err
	}
	if sess.Changed() {
		err = sess.Save()
	} else {
		err = sess.sendID(false)
	}
	if err != nil {
		return nil, err
	}
	h := sess.Detach()
	if err := h.Err(); err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// LiftWithoutCookies is Lift for a request whose cookies must not be trusted, because any page
// could have sent it. The caller has removed them from the request; what a Handler made of
// them earlier does not count. It never begins a session: it returns ErrNotFound if the
// request names none in a header, in its URL or to a custom function, which runs once more.
func (s *Store) LiftWithoutCookies(c *fiber.Ctx) (*Handle, error) {
	s.start()
	p := s.readPresentedID(c.Context(), c, s.isSecure(c))
	if p.err != nil {
		return nil, p.err
	}
	if p.id == "" {
		return nil, ErrNotFound
	}
	st, err := s.acquirePresented(c.UserContext(), &p)
	if err != nil {
		return nil, err
	}
	return s.newHandle(st), nil
}

// OwnsWithoutCookies is Owns for a handle from LiftWithoutCookies.
func (s *Store) OwnsWithoutCookies(c *fiber.Ctx, h *Handle) bool {
	s.start()
	ended := h.Err()
	if ended != nil && !errors.Is(ended, ErrSessionGone) {
		return false
	}
	p := s.readPresentedID(c.Context(), c, s.isSecure(c))
	return p.err == nil && s.ownsByID(s.operationContext(c.Context()), p, h, ended)
}

// checkHandler warns if the request passed the Handler of another store alone. The request
// and the lifted handle then have two different sessions.
func (s *Store) checkHandler(c *fiber.Ctx) {
	handled := FromContext(c)
	if handled == nil || handled.store == s || s.sessionOf(c.Context()) != nil {
		return
	}
	s.notices.Report(&otherStoreNotice, "")
}

// TolerateFailure makes Handler keep the answer of the request's own handlers if the
// session cannot be loaded or saved. It is for a caller of Get or Lift that saw the
// error and can answer without a session.
func (s *Store) TolerateFailure(c *fiber.Ctx) {
	s.start()
	if sess := s.sessionOf(c.Context()); sess != nil {
		sess.mu.Lock()
		defer sess.mu.Unlock()
		sess.tolerateFailure = true
	}
}

// Owns reports whether a request carries the ID of h's session. For a session that has
// ended, this is the last ID that it had. Owns asks the storage only if the request
// carries another ID than the one this node knows, because another node may have given
// the session a new ID. The old ID of a session that was taken over counts as its ID while
// the session keeps the one that it got then (see OldLogins).
func (s *Store) Owns(c *fiber.Ctx, h *Handle) bool {
	s.start()
	ended := h.Err()
	if ended != nil && !errors.Is(ended, ErrSessionGone) {
		return false
	}
	return s.ownsByID(s.operationContext(c.Context()), s.presentedIDOf(c), h, ended) || s.ownsByOldID(c, h)
}

// ownsByID is Owns for an ID of this package. ended is why h's session has ended, or nil.
func (s *Store) ownsByID(ctx context.Context, p presentedID, h *Handle, ended error) bool {
	if !s.validID(p.id) {
		return false
	}
	ours, _ := h.state.resolve().current()
	if !s.accepts(&p, &ours.meta) {
		return false
	}
	at, mine := s.layout.place(p.id), h.state.resolve().place()
	if subtle.ConstantTimeCompare(at.owner[:], mine.owner[:]) == 1 {
		return true
	}
	if ended != nil {
		return false
	}
	st, err := s.acquire(ctx, p.id)
	if err != nil {
		return false
	}
	defer s.table.release(st)
	theirs, _ := st.resolve().current()
	if ours, _ = h.state.resolve().current(); theirs.lineage != ours.lineage {
		return false
	}
	// The reload tells h's state its new ID, or that the session has ended.
	return h.do(ctx, &op{kind: opReload}) == nil
}

// PresentedIDHash returns a hash of the session ID that a request presents, or "" if it
// presents none. It does not check the ID: an unknown or malformed one has a hash too.
// Equal IDs have equal hashes, except that a cookie has one hash over https and another over
// plain http. The ID cannot be recovered from its hash.
func (s *Store) PresentedIDHash(c *fiber.Ctx) string {
	s.start()
	p := s.presentedIDOf(c)
	if !p.present {
		return ""
	}
	return s.hashPresented(p.id, p.inCookie && p.secure)
}

// AnsweredIDHash returns the PresentedIDHash of later requests with the ID that the response to
// this request carries. h is the handle that Lift returned for it. It returns "" if responses
// carry no ID.
func (s *Store) AnsweredIDHash(c *fiber.Ctx, h *Handle) string {
	p := s.presentedIDOf(c)
	if p.source == nil {
		return ""
	}
	return s.hashPresented(h.ID(), p.source.kind == SourceCookie && p.secure)
}

func (s *Store) hashPresented(id string, secureCookie bool) string {
	label := "fiberbridge named\x00"
	if secureCookie && s.layout.keepsCookieFlags() {
		label = "fiberbridge named over https\x00"
	}
	sum := sha256.Sum256([]byte(label + id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Fork returns another handle of the same session, without h's unsaved changes. It
// costs one small allocation and needs no Release: it works until the handle that was
// lifted, detached or got by ID is released.
func (h *Handle) Fork() *Handle {
	root := h
	if h.root != nil {
		root = h.root
	}
	f := &Handle{store: h.store, state: h.state, root: root}
	f.closed.Store(h.closed.Load())
	return f
}

// Retire is Release for the owner of a handle that other code has forks of. Their calls then
// return ErrReleased with this reason in its text, which says what ended.
func (h *Handle) Retire(reason string) { h.release(fmt.Errorf("%w: %s", ErrReleased, reason)) }

// QueuedSince records when the caller's work was queued. If the storage hangs, calls
// that were queued behind the hung call fail with it instead of each waiting for
// Config.Timeouts.Storage in turn. A call for work that was queued after the hung call
// began is always made, so it succeeds once the storage is back. Sockets set this for
// each event; the handle of a request's session uses the time of the request.
func (h *Handle) QueuedSince(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queuedAt = t
}

// Epoch returns how often the session got a new ID (see Regenerate), on any node. It is
// 0 if the session has ended.
func (h *Handle) Epoch() uint64 {
	cur, err := h.current()
	if err != nil {
		return 0
	}
	return cur.epoch
}

// Unconfirmed reports whether the storage may hold the session although it is Fresh: the
// outcome of its first save is unknown. Reload finds out, and ends the session if the
// storage does not hold it.
func (h *Handle) Unconfirmed() bool {
	s := h.state.resolve()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isUnconfirmed()
}

// Backend returns the storage that holds the sessions, for other parts of the same app, and
// for type assertions: Store.Storage is another value (see Config.Storage). The store and its
// sockets use the keys that begin with Config.Prefix and "s:", "u:", "p:", "t:", "c:", "o:" or
// "r:".
func (s *Store) Backend() storage.Storage {
	s.start()
	return s.base
}

// UserPseudonym returns a name of 22 characters for a user, for rooms and indexes. It is
// a hash keyed with Config.Prefix: the same on every node of an app, and different for
// each label and each app. It keeps user IDs out of names, but it is not a secret:
// anyone who knows the prefix and guesses the user ID can compute it.
func (s *Store) UserPseudonym(user, label string) string {
	s.start()
	mac := hmac.New(sha256.New, []byte("fiberbridge user\x00"+s.Config.Prefix))
	mac.Write([]byte(label))
	mac.Write([]byte{0})
	mac.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
