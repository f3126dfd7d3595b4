package fibersession

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// Handle is a session without a request: for sockets and background work. It stays with
// its session when the session's ID changes. All handles of a session on this node share
// its stored values: what one of them saves or reloads, the others see at once. Unsaved
// changes belong to the handle.
//
// A Handle is safe for concurrent use. Release it when it is no longer needed.
type Handle struct {
	store  *Store
	state  *state     // may have been forwarded: use resolve
	client clientInfo // of the request that the handle was made in; recorded at a login

	mu       sync.Mutex // guards the fields below; never held during I/O or user code
	ch       changes    // unsaved changes
	idle     time.Duration
	remember cookieFlags // unsaved choice of Session.Remember, or 0
	seq      uint32
	queuedAt time.Time // when the caller's work was queued: see QueuedSince
	counted  bool      // included in Stats.Handles
	root     *Handle   // the handle whose reference a fork uses; nil if h has its own; never changes

	closed atomic.Pointer[closedHandle] // nil while h can be used; written under mu
}

// closedHandle says why a handle cannot be used.
type closedHandle struct{ cause error }

// newHandle returns a handle that takes over the caller's reference to st.
func (s *Store) newHandle(st *state) *Handle {
	s.stats.handles.Add(1)
	return &Handle{store: s, state: st, counted: true}
}

// failedHandle returns a handle whose calls all fail with err.
func (s *Store) failedHandle(err error) *Handle {
	h := &Handle{store: s}
	h.closed.Store(&closedHandle{err})
	return h
}

func (h *Handle) queuedSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queuedAt
}

// closedErr returns why h cannot be used, or nil.
func (h *Handle) closedErr() error {
	for ; h != nil; h = h.root {
		if c := h.closed.Load(); c != nil {
			return c.cause
		}
	}
	return nil
}

// Release gives h up and discards its unsaved changes. Once no handle and no request uses
// a session, it leaves this node's memory. Further calls do nothing.
func (h *Handle) Release() { h.release(errReleaseCalled) }

// release implements Release. cause is why h cannot be used from now on.
func (h *Handle) release(cause error) {
	h.mu.Lock()
	again := h.closed.Load() != nil
	if !again {
		h.closed.Store(&closedHandle{cause})
		h.ch = nil
	}
	h.mu.Unlock()
	if again || h.root != nil {
		return
	}
	if h.counted {
		h.store.stats.handles.Add(-1)
	}
	h.store.table.release(h.state)
}

// Detach returns another handle of the same session, for work that outlives the request or
// socket that h belongs to, such as a job that an event starts. It does not have h's unsaved
// changes. Release it when the work is done: until then the session stays in this node's
// memory. If h cannot be used, all calls of the returned handle return the reason. Detach
// does not keep the session alive: the session can still end, and the handle then returns
// ErrSessionGone.
func (h *Handle) Detach() *Handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	owner := h
	if h.root != nil {
		owner = h.root
		owner.mu.Lock()
		defer owner.mu.Unlock()
	}
	if err := h.closedErr(); err != nil {
		return h.store.failedHandle(err)
	}
	h.state.refs.Add(1) // never from 0: owner holds a reference until it is closed
	return h.store.newHandle(h.state)
}

// current returns the newest known revision, or why h cannot be used.
func (h *Handle) current() (*snapshot, error) {
	if err := h.closedErr(); err != nil {
		return nil, err
	}
	return h.state.resolve().current()
}

// ID returns the session's ID, a secret shared with the browser. It returns "" if another
// node changed the ID, because only the browser knows the new one, and after Release.
func (h *Handle) ID() string {
	if _, err := h.current(); err != nil {
		return ""
	}
	return h.state.resolve().place().id
}

// Fresh reports whether the session was never stored.
func (h *Handle) Fresh() bool {
	cur, err := h.current()
	return err == nil && cur.fresh()
}

// Err returns nil while the session can be used. Otherwise it returns ErrExpired,
// ErrDestroyed or ErrCorrupt, which all match ErrSessionGone, or ErrReleased. It does not
// ask the store: Reload finds out what happened on other nodes.
func (h *Handle) Err() error {
	_, err := h.current()
	return err
}

// Revision returns the number of the session's stored revision, or 0 before the first.
func (h *Handle) Revision() uint64 {
	cur, err := h.current()
	if err != nil {
		return 0
	}
	return cur.revision
}

// Deadline returns when the session ends if it is not used again. It returns the zero
// time if the session is not stored or is gone.
func (h *Handle) Deadline() time.Time {
	cur, err := h.current()
	if err != nil || cur.fresh() {
		return time.Time{}
	}
	return cur.deadline()
}

// Get returns the value of key: this handle's unsaved value or else the stored one. It
// returns nil if there is none, if this build cannot decode it (see Store.RegisterType), or
// if the session is gone. Maps, slices and other references are copies: to change one, Set
// the changed copy.
func (h *Handle) Get(key string) any {
	v, err := h.lookup(key)
	h.store.reportTooLate(err)
	return codec.CopyOut(v)
}

// lookup is Get without the copy. It returns why h cannot be used, and a *codec.Stored for a
// value that gob encoded.
func (h *Handle) lookup(key string) (any, error) {
	h.mu.Lock()
	cur, err := h.current()
	c, unsaved := h.ch[key]
	h.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case !unsaved:
		return cur.values[key], nil
	case c.kind == changeDelete:
		return nil, nil
	}
	return c.value, nil
}

// peek is Get without the copy: the caller must not change what it returns.
func (h *Handle) peek(key string) any {
	v, _ := h.lookup(key)
	return codec.Value(v)
}

// Set sets key to a copy of v, in this handle. Save stores it.
func (h *Handle) Set(key string, v any) {
	h.change(key, change{kind: changeSet, value: codec.CopyIn(v)})
}

// Delete removes key, in this handle. Save stores that.
func (h *Handle) Delete(key string) { h.change(key, change{kind: changeDelete}) }

func (h *Handle) change(key string, c change) {
	if err := h.addChange(key, c); err != nil {
		h.store.reportTooLate(err)
	}
}

// addChange records an unsaved change. It returns why h cannot be used.
func (h *Handle) addChange(key string, c change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.closedErr(); err != nil {
		return err
	}
	if h.ch == nil {
		h.ch = make(changes)
	}
	h.seq++
	c.seq = h.seq
	h.ch[strings.Clone(key)] = c // key may alias a request's memory
	return nil
}

// setRemember sets what the browser does with the cookie, with the next save.
func (h *Handle) setRemember(choice cookieFlags) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closedErr() == nil {
		h.remember = choice
	}
}

// setExpiry sets the session's own idle limit, with the next save.
func (h *Handle) setExpiry(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = min(max(d, 0), maxLimit)
}

// Keys returns the keys in ascending order, including unsaved changes, and including keys
// whose values this build cannot decode.
func (h *Handle) Keys() []string {
	keys, err := h.keys()
	h.store.reportTooLate(err)
	return keys
}

func (h *Handle) keys() ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cur, err := h.current()
	if err != nil {
		return nil, err
	}
	return keysOf(cur.values, h.ch), nil
}

func keysOf(values map[string]any, ch changes) []string {
	keys := make([]string, 0, len(values)+len(ch))
	for key := range values {
		if c, ok := ch[key]; !ok || c.kind != changeDelete {
			keys = append(keys, key)
		}
	}
	for key, c := range ch {
		if _, stored := values[key]; !stored && c.kind != changeDelete {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Changed reports whether h has unsaved changes.
func (h *Handle) Changed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ch) > 0 || h.idle > 0 || h.remember != 0
}

// Reload discards h's unsaved changes and reads the session from the store. All handles of
// the session on this node see the result. It returns ErrSessionGone if the session has
// ended. If the store does not answer, it returns ErrUnavailable and keeps the changes.
func (h *Handle) Reload(ctx context.Context) error {
	if err := h.do(ctx, &op{kind: opReload}); err != nil {
		return err
	}
	h.discardChanges()
	return nil
}

// Save stores h's changes: only the keys that h changed, merged with what the session
// contains by then. Without changes it does nothing. If it fails, h keeps the changes. It
// returns ErrSessionGone (a retry cannot succeed), ErrUnavailable, ErrUnknownOutcome,
// ErrTooLarge, ErrTooManyKeys, ErrUnsupportedType, ErrReservedKey or ErrNested.
func (h *Handle) Save(ctx context.Context) error { return h.save(ctx, false) }

// save implements Save. If always is set, it also stores an empty session that was never
// stored, and a session whose stored value does not contain its expiry.
func (h *Handle) save(ctx context.Context, always bool) error {
	h.mu.Lock()
	cur, err := h.current()
	ch, idle, remember := maps.Clone(h.ch), h.idle, h.remember
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if len(ch) == 0 && idle == 0 && remember == 0 && !(always && (cur.fresh() || !h.store.layout.carriesExpiry())) {
		return nil
	}
	ready, err := h.store.prepare(ch)
	if err != nil {
		return err
	}
	if err := h.do(ctx, &op{kind: opChange, ch: ready, idle: idle, remember: remember, client: h.loginClient(ch)}); err != nil {
		return err
	}
	h.clearSaved(ch, idle, remember)
	return nil
}

// clearSaved removes the changes that were stored, but not later ones of the same keys.
func (h *Handle) clearSaved(ch changes, idle time.Duration, remember cookieFlags) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, c := range ch {
		if h.ch[key].seq == c.seq {
			delete(h.ch, key)
		}
	}
	if h.idle == idle {
		h.idle = 0
	}
	if h.remember == remember {
		h.remember = 0
	}
}

// Touch records that the session is in use, which slides its idle limit. The limit is
// written to the store at most once per Config.Timeouts.TouchInterval, for all handles
// together. A failed write is no error while Config.Tracking.OutageGrace serves the
// session.
func (h *Handle) Touch(ctx context.Context) error {
	if cur, err := h.current(); err != nil || cur.fresh() || !h.store.touchDue(&cur.meta, time.Now()) {
		return err
	}
	err := h.do(ctx, &op{kind: opTouch})
	if (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome)) && h.state.resolve().inOutageGrace() {
		return nil
	}
	return err
}

// Update runs fn on the newest revision of the session and stores fn's changes. If a value
// that fn read changes before they are stored, fn runs again, so it must have no other
// side effects. No lock is held while fn runs. If fn returns an error, Update returns it
// and stores nothing. fn does not see h's unsaved changes; h keeps them, except for the
// keys that fn changed.
//
// Inside fn, change the session only through tx: other changes, by a nested Update, Incr or
// Save, return ErrNested.
func (h *Handle) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if _, err := h.current(); err != nil {
		return err
	}
	ch, err := h.state.update(ctx, h.queuedSince(), fn, h.store.prepare)
	if err != nil {
		return err
	}
	h.discardKeys(ch)
	return nil
}

// discardKeys removes the unsaved changes of keys that have newer stored values.
func (h *Handle) discardKeys(ch changes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key := range ch {
		delete(h.ch, key)
	}
}

// Incr adds delta to the integer under key and returns the sum. Concurrent calls all
// count. A missing key counts as the int 0; other number types keep their type. An unsaved
// change of the key is stored too. Incr returns ErrNotInteger if the value is not an
// integer, such as 1.5 or a value that this build cannot decode, or if the sum overflows its
// type or an int.
func (h *Handle) Incr(ctx context.Context, key string, delta int) (int, error) {
	h.mu.Lock()
	_, err := h.current()
	c, unsaved := h.ch[key]
	h.mu.Unlock()
	if err != nil {
		return 0, err
	}
	key = strings.Clone(key)
	ch := changes{key: {kind: changeAdd, value: delta}}
	if unsaved {
		var from any
		if c.kind == changeSet {
			from = c.value
		}
		sum, err := add(from, delta)
		if err != nil {
			return 0, fmt.Errorf("%w: key %q", err, key)
		}
		ch[key] = change{kind: changeSet, value: sum}
	}
	if ch, err = h.store.prepare(ch); err != nil {
		return 0, err
	}
	o := &op{kind: opChange, ch: ch}
	if err := h.do(ctx, o); err != nil {
		return 0, err
	}
	if unsaved {
		h.clearSaved(changes{key: c}, -1, 0)
	}
	return toInt(codec.Value(o.values[key]))
}

// Regenerate gives the session a new ID. Call it when a user logs in or gains rights. Data
// and handles stay; the old ID is invalid when Regenerate returns. Only a response can
// carry the new ID to the browser: see Session.Regenerate.
func (h *Handle) Regenerate(ctx context.Context) error {
	if _, err := h.current(); err != nil {
		return err
	}
	id, _, err := h.store.newIdentity()
	if err != nil {
		return err
	}
	return h.do(ctx, &op{kind: opRegenerate, to: h.store.layout.place(id)})
}

// Destroy ends the session on all nodes, for good. It returns nil if the session has ended
// already. If the store fails, the session may still exist: try again.
func (h *Handle) Destroy(ctx context.Context) error {
	err := h.do(ctx, &op{kind: opDestroy})
	if err == nil {
		ctx, cancel := h.store.withTimeout(context.WithoutCancel(detachRequest(ctx)))
		defer cancel()
		h.store.removeTraces(ctx, h.state.resolve())
	}
	return err
}

// do submits o to the session's state, unless h was released.
func (h *Handle) do(ctx context.Context, o *op) error {
	if _, err := h.current(); err != nil && (o.kind != opDestroy || !errors.Is(err, ErrSessionGone)) {
		return err
	}
	o.queuedSince = h.queuedSince()
	return h.state.do(ctx, o)
}

// Watch calls fn for every Event of the session until stop is called: for changes of this
// node at once, for those of other nodes when the storage's feed delivers them. Without a
// feed (storage.Feed) that takes up to Config.Tracking.Recheck. While it is watched, h is
// kept up to date, and the session's end is reported when its limit passes. Quick successive
// changes of other nodes may be coalesced into one event. fn is called with no lock held,
// one call at a time and in order. It must not block. stop does not wait for a running call.
func (h *Handle) Watch(fn func(Event)) (stop func()) {
	if _, err := h.current(); err != nil {
		return func() {}
	}
	return h.state.resolve().addWatcher(fn)
}

// Pseudonym returns a name for the session for use in rooms, logs and metrics. It has 22
// characters and reveals neither the ID nor anything else about the session. It is the same
// on every node and after Regenerate. Different labels give unrelated names. It returns ""
// after Release.
func (h *Handle) Pseudonym(label string) string {
	h.mu.Lock()
	closed := h.closedErr()
	h.mu.Unlock()
	if closed != nil {
		return ""
	}
	cur, _ := h.state.resolve().current()
	return cur.lineage.pseudonym(label)
}

func (l lineage) pseudonym(label string) string {
	mac := hmac.New(sha256.New, l[:])
	mac.Write([]byte(label))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// discardChanges removes all unsaved changes.
func (h *Handle) discardChanges() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ch, h.idle, h.remember = nil, 0, 0
}
