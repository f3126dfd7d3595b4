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
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// Handle is a session without a request: for sockets and work in the background.
// It is about one session for ever, whatever ID that has, and shares what is
// stored with all other handles of the session on this node: what one of them
// saved or reloaded, all see at once. Changes that are not saved yet are its own.
//
// A Handle is safe for concurrent use. Release it when it is no longer needed.
type Handle struct {
	store  *Store
	state  *state // may have yielded: resolve it
	device device // of a front's request: where its user logs in

	mu      sync.Mutex // guards what follows; never held during I/O or user code
	ch      changes    // not saved yet
	idle    time.Duration
	seq     uint32
	since   time.Time // see QueuedSince
	closed  error     // why h works no more, or never did
	counted bool      // it is one of Stats.Handles
	root    *Handle   // whose reference a fork uses; nil for one with its own
}

// newHandle returns a handle that takes over the caller's reference to st.
func (s *Store) newHandle(st *state) *Handle {
	s.stats.handles.Add(1)
	return &Handle{store: s, state: st, counted: true}
}

// dead returns a handle whose every call fails with err.
func (s *Store) failedHandle(err error) *Handle {
	return &Handle{store: s, closed: err}
}

func (h *Handle) waitingSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since
}

// shut returns why h works no more. The caller holds h's lock.
func (h *Handle) closedErr() error {
	if h.closed != nil || h.root == nil {
		return h.closed
	}
	h.root.mu.Lock()
	defer h.root.mu.Unlock()
	return h.root.closed
}

// Release says that h is no longer needed. The last release of a session's handles
// takes it out of this node's memory. Unsaved changes are lost. A second call does
// nothing.
func (h *Handle) Release() {
	h.mu.Lock()
	again := h.closed != nil
	if !again {
		h.closed, h.ch = ErrReleased, nil
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

// own returns another handle of the same session with a reference of its own.
func (h *Handle) clone() *Handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.closedErr(); err != nil {
		return h.store.failedHandle(err)
	}
	h.state.refs.Add(1) // h's own reference keeps it above 0
	return h.store.newHandle(h.state)
}

// look returns the newest known revision, or why h cannot be used.
func (h *Handle) current() (*snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.currentLocked()
}

func (h *Handle) currentLocked() (*snapshot, error) {
	if err := h.closedErr(); err != nil {
		return nil, err
	}
	return h.state.resolve().current()
}

// ID returns the session's ID: a secret of its browser. It is "" when another node
// gave the session a new ID, which only the browser knows, and after Release.
func (h *Handle) ID() string {
	if _, err := h.current(); err != nil {
		return ""
	}
	return h.state.resolve().place().id
}

// Fresh says whether the session was never stored.
func (h *Handle) Fresh() bool {
	cur, err := h.current()
	return err == nil && cur.fresh()
}

// Err returns nil, or why the session cannot be used: ErrExpired, ErrDestroyed or
// ErrCorrupt, each of which is ErrSessionGone, or ErrReleased. It asks nobody: what
// happened elsewhere is known after Reload.
func (h *Handle) Err() error {
	_, err := h.current()
	return err
}

// Revision counts the session's stored revisions. It is 0 before the first.
func (h *Handle) Revision() uint64 {
	cur, err := h.current()
	if err != nil {
		return 0
	}
	return cur.revision
}

// Deadline returns when the session ends if nothing touches it. It is the zero time
// when the session is not stored, or gone.
func (h *Handle) Deadline() time.Time {
	cur, err := h.current()
	if err != nil || cur.fresh() {
		return time.Time{}
	}
	return cur.deadline()
}

// Get returns the value of key: what this handle set last, else what is stored;
// nil when there is none or the session is gone. Maps, slices and the like are
// copies: change them and Set them.
func (h *Handle) Get(key string) any {
	h.mu.Lock()
	cur, err := h.currentLocked()
	c, unsaved := h.ch[key]
	h.mu.Unlock()
	switch {
	case err != nil:
		return nil
	case !unsaved:
		return codec.CopyOut(cur.values[key])
	case c.kind == changeDelete:
		return nil
	}
	return codec.CopyOut(c.value)
}

// Set gives key a copy of v, for this handle; Save stores it.
func (h *Handle) Set(key string, v any) {
	h.change(key, change{kind: changeSet, value: codec.CopyIn(v)})
}

// Delete removes key, for this handle; Save stores that.
func (h *Handle) Delete(key string) { h.change(key, change{kind: changeDelete}) }

func (h *Handle) change(key string, c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closedErr() != nil {
		return
	}
	if h.ch == nil {
		h.ch = make(changes)
	}
	h.seq++
	c.seq = h.seq
	h.ch[strings.Clone(key)] = c // it may be a part of a request
}

// setExpiry gives the session an idle limit of its own, with the next save.
func (h *Handle) setExpiry(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle = min(max(d, 0), maxLimit)
}

// Keys returns the keys in order.
func (h *Handle) Keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	cur, err := h.currentLocked()
	if err != nil {
		return nil
	}
	return keysOf(cur.values, h.ch)
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

// Changed says whether h has changes that are not saved.
func (h *Handle) Changed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ch) > 0 || h.idle > 0
}

// Reload drops h's unsaved changes and asks the store what the session is now. All
// handles of the session on this node see it. It is ErrSessionGone when the session
// has ended, and ErrUnavailable, with the changes kept, when the store does not answer.
func (h *Handle) Reload(ctx context.Context) error {
	if err := h.do(ctx, &op{kind: opReload}); err != nil {
		return err
	}
	h.discardChanges()
	return nil
}

// Save stores h's changes: only the keys that it changed, onto whatever the
// session has become meanwhile. With nothing changed it does nothing. The changes
// are kept when it fails: with ErrSessionGone (for ever), ErrUnavailable,
// ErrUnknownOutcome, ErrTooLarge, ErrTooManyKeys or ErrUnsupportedType.
func (h *Handle) Save(ctx context.Context) error { return h.save(ctx, false) }

// save is Save; with always, a session that was never stored is stored also when it
// is empty, and one whose stored form has no place for its expiry is stored again.
func (h *Handle) save(ctx context.Context, always bool) error {
	h.mu.Lock()
	cur, err := h.currentLocked()
	ch, idle := maps.Clone(h.ch), h.idle
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if len(ch) == 0 && idle == 0 && !(always && (cur.fresh() || !h.store.layout.slides())) {
		return nil
	}
	ready, err := h.store.prepare(ch)
	if err != nil {
		return err
	}
	if err := h.do(ctx, &op{kind: opChange, ch: ready, idle: idle, device: h.loginDevice(ch)}); err != nil {
		return err
	}
	h.clearSaved(ch, idle)
	return nil
}

// saved forgets the changes that were stored, but not those made since.
func (h *Handle) clearSaved(ch changes, idle time.Duration) {
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
}

// Touch says that the session is in use: its idle limit slides. That is written to
// the store at most once per Config.Timeouts.TouchInterval, for all handles together. While
// Config.Tracking.OutageGrace serves the session, that it could not be written is no error.
func (h *Handle) Touch(ctx context.Context) error {
	if cur, err := h.current(); err != nil || cur.fresh() || !h.store.touchDue(cur.meta, time.Now()) {
		return err
	}
	err := h.do(ctx, &op{kind: opTouch})
	if (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome)) && h.state.resolve().inOutageGrace() {
		return nil
	}
	return err
}

// Update runs fn on the newest revision of the session and stores its changes. When
// the session changes in the meantime in what fn read, fn runs again, so it must
// have no other effects. Nothing is locked while it runs. An error of fn is
// returned and nothing is stored. h's unsaved changes are not seen by fn and stay,
// but for keys that fn changed.
//
// Inside fn, changing the session in another way than through tx is ErrNested.
func (h *Handle) Update(ctx context.Context, fn func(tx *Tx) error) error {
	if _, err := h.current(); err != nil {
		return err
	}
	ch, err := h.state.update(ctx, h.waitingSince(), fn, h.store.prepare)
	if err != nil {
		return err
	}
	h.discardKeys(ch)
	return nil
}

// forget drops the unsaved changes of keys that have newer stored values.
func (h *Handle) discardKeys(ch changes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key := range ch {
		delete(h.ch, key)
	}
}

// Incr adds delta to the integer under key, and returns the sum. It is a merge:
// concurrent calls all count. A key that is not there counts as an int of 0; another
// integer type stays what it is. h's unsaved change of the key is stored with it.
// It is ErrNotInteger for other values and when the sum does not fit.
func (h *Handle) Incr(ctx context.Context, key string, delta int) (int, error) {
	h.mu.Lock()
	_, err := h.currentLocked()
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
		h.clearSaved(changes{key: c}, -1)
	}
	return toInt(o.values[key])
}

// Regenerate gives the session a new ID: do it when somebody logs in or gains
// rights. The data and all handles stay; the old ID is dead when it returns. The
// browser learns the new ID only from a response: see Session.Regenerate.
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

// Destroy ends the session, for everybody and for ever. That it has ended already
// is not an error. When the store fails, the session may live on: try again.
func (h *Handle) Destroy(ctx context.Context) error {
	err := h.do(ctx, &op{kind: opDestroy})
	if err == nil {
		ctx, cancel := h.store.withTimeout(context.WithoutCancel(detachRequest(ctx)))
		defer cancel()
		h.store.delist(ctx, h.state.resolve())
	}
	return err
}

// do has the state do o, unless h was released.
func (h *Handle) do(ctx context.Context, o *op) error {
	if _, err := h.current(); err != nil && (o.kind != opDestroy || !errors.Is(err, ErrSessionGone)) {
		return err
	}
	o.waitingSince = h.waitingSince()
	return h.state.do(ctx, o)
}

// Watch has fn told of what happens to the session, on this node and, as soon as the
// storage's feed tells, on all others: from now on until stop, h is kept up to date.
// Without a feed (storage.Feed) it takes up to Config.Tracking.Recheck. Of changes by others
// that follow each other quickly only the sum may be told. fn runs with no lock held,
// one call at a time and in order; it must not block. Stop does not wait for a call
// under way.
func (h *Handle) Watch(fn func(Event)) (stop func()) {
	if _, err := h.current(); err != nil {
		return func() {}
	}
	return h.state.resolve().addWatcher(fn)
}

// Pseudonym returns a name for the session, of 22 characters, that reveals neither
// its ID nor anything else: for rooms, logs and metrics. It is the same on every
// node and after Regenerate; different labels give unrelated names. It is "" after
// Release.
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

// drop forgets all unsaved changes.
func (h *Handle) discardChanges() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ch, h.idle = nil, 0
}
