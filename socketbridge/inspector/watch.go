package inspector

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// watchFor is how long a node measures after a page has last asked it.
const watchFor = 5 * time.Second

// watch measures rates and latencies while a page is open on any node. Its counters only grow:
// pages compute rates from two answers, so that several pages do not disturb each other. The
// zero value measures nothing.
type watch struct {
	on atomic.Bool

	events, errors, sent, saves atomic.Uint64

	answered  histogram // from the beginning of an event's handling to its acknowledgement
	stored    histogram // calls of the session store
	emissions emissions
	focus     focus

	mu    sync.Mutex
	stop  func()
	timer *time.Timer // fires at the end of watchFor
}

// touch measures for watchFor.
func (w *watch) touch(i *inspector) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.timer.Reset(watchFor)
		return
	}
	w.stop = i.io.Observe(socketbridge.Trace{Emitted: func(e *socketbridge.Emission) { w.emitted(i, e) }})
	w.on.Store(true)
	w.timer = time.AfterFunc(watchFor, w.end)
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on.Store(false)
	w.stop()
	w.stop = nil
	w.emissions.reset()
	w.focus.reset()
}

// handled counts an event.
func (w *watch) handled(err error) {
	w.events.Add(1)
	if err != nil {
		w.errors.Add(1)
	}
}

// measure adds the duration of an event's handling, and records the event if a page shows its
// user.
func (w *watch) measure(i *inspector, op *socketbridge.Operation, took time.Duration, shown bool) {
	w.answered.add(took)
	if !shown || !w.focus.allow() {
		return
	}
	r := i.recordOf(op.Socket, kindHandled)
	r.Event, r.Took = op.Event, took.Microseconds()
	i.timeline.add(r)
}

// emitted counts an event that was emitted on this node.
func (w *watch) emitted(i *inspector, e *socketbridge.Emission) {
	if e.Namespace == Namespace {
		return
	}
	w.sent.Add(1)
	if e.Socket != nil {
		if w.focus.has(e.Socket) {
			w.sentTo(i, e.Socket, e)
		}
		return
	}
	w.emissions.add(e)
	for _, user := range w.focus.shown() {
		if !w.focus.resolve() {
			return
		}
		for _, s := range i.io.User(user).Sockets() {
			if e.Reaches(s) {
				w.sentTo(i, s, e)
			}
		}
	}
}

// sentTo records an emission to a socket of a user that a page shows.
func (w *watch) sentTo(i *inspector, s *socketbridge.Socket, e *socketbridge.Emission) {
	if !w.focus.allow() {
		return
	}
	r := i.recordOf(s, kindSent)
	r.Event = e.Event
	if len(e.Rooms) > 0 {
		r.Text = "to " + strings.Join(e.Rooms[:min(len(e.Rooms), shownRooms)], ", ")
	}
	if e.Err != nil {
		r.Text += " · error: " + e.Err.Error()
	}
	i.timeline.add(r)
}

// Above this rate, only each sampleEvery-th operation is timed: two looks at the clock cost a
// sizable part of a small event.
const (
	sampleAbove = 200 // since the last summary
	sampleEvery = 16
)

// buckets is the number of buckets of a histogram.
const buckets = 100

// histogram counts durations in buckets whose bounds are at most 25 % apart. Durations over a
// minute count as a minute. It is safe for concurrent use.
type histogram struct {
	all  [buckets]atomic.Uint64
	seen atomic.Uint64 // operations since the last summary
}

// sample reports whether to time the next operation.
func (h *histogram) sample() bool {
	n := h.seen.Add(1)
	return n <= sampleAbove || n%sampleEvery == 0
}

func (h *histogram) add(d time.Duration) { h.all[bucketOf(d)].Add(1) }

// bucketOf returns the bucket of a duration. page/plot.mjs has the inverse.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 4 {
		return int(us)
	}
	n := bits.Len64(us)
	return min((n-2)*4+int(us>>(n-3)&3), buckets-1)
}

// counts returns the buckets, without the empty ones at the end.
func (h *histogram) counts() []uint64 {
	h.seen.Store(0)
	all := make([]uint64, buckets)
	used := 0
	for b := range all {
		if all[b] = h.all[b].Load(); all[b] > 0 {
			used = b + 1
		}
	}
	return all[:used]
}

const (
	maxEmissions = 200 // that are kept apart
	maxEvictions = 100 // a second
	shownRooms   = 4   // of an emission
)

// emissions are the broadcasts of this node by namespace, event and rooms. The zero value is
// empty.
type emissions struct {
	mu        sync.Mutex
	all       map[string]*emission
	second    int64
	evictions int
}

// emission is what was emitted to the same rooms.
type emission struct {
	Namespace string   `json:"namespace"`
	Event     string   `json:"event"`
	Rooms     []string `json:"rooms"` // none: to all sockets, to a user or to a session
	More      int      `json:"more,omitempty"`
	Count     uint64   `json:"count"`
	Failed    uint64   `json:"failed,omitempty"`
	Last      int64    `json:"last"` // milliseconds since 1970
	Node      string   `json:"node,omitempty"`
}

func (m *emissions) add(e *socketbridge.Emission) {
	rooms := e.Rooms[:min(len(e.Rooms), shownRooms)]
	key := e.Namespace + "\x00" + e.Event + "\x00" + strings.Join(rooms, "\x00")
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.all[key]
	if one == nil {
		if len(m.all) >= maxEmissions && !m.evict(now) {
			return
		}
		if m.all == nil {
			m.all = make(map[string]*emission)
		}
		one = &emission{Namespace: e.Namespace, Event: cut(e.Event, 128), Rooms: slices.Clone(rooms), More: len(e.Rooms) - len(rooms)}
		m.all[key] = one
	}
	one.Count++
	one.Last = now.UnixMilli()
	if e.Err != nil {
		one.Failed++
	}
}

// evict removes the emission that is the longest ago, unless that was done too often.
func (m *emissions) evict(now time.Time) bool {
	if now.Unix() != m.second {
		m.second, m.evictions = now.Unix(), 0
	}
	if m.evictions++; m.evictions > maxEvictions {
		return false
	}
	oldest := ""
	for key, one := range m.all {
		if oldest == "" || one.Last < m.all[oldest].Last {
			oldest = key
		}
	}
	delete(m.all, oldest)
	return true
}

func (m *emissions) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = nil
}

// list returns the latest emissions, the latest first.
func (m *emissions) list(limit int) []emission {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]emission, 0, len(m.all))
	for _, one := range m.all {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b emission) int { return cmp.Compare(b.Last, a.Last) })
	return all[:min(len(all), limit)]
}

const (
	maxFocus    = 16 // users
	focusedRate = 50 // records between two summaries
	resolveRate = 50 // times between two summaries that a broadcast's rooms are compared with a user's
)

// focus are the users that pages show: their events are recorded one by one. The zero value has
// none.
type focus struct {
	users    atomic.Pointer[map[string]time.Time] // until when; replaced, never modified
	mu       sync.Mutex                           // serialises changes of users
	records  atomic.Int32                         // that may still be made until the next summary
	compared atomic.Int32                         // broadcasts that may still be compared
}

// show adds a user, for watchFor.
func (f *focus) show(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	next := map[string]time.Time{user: now.Add(watchFor)}
	if old := f.users.Load(); old != nil {
		for other, until := range *old {
			if other != user && now.Before(until) && len(next) < maxFocus {
				next[other] = until
			}
		}
	}
	f.users.Store(&next)
}

// shown returns the users that pages show.
func (f *focus) shown() []string {
	users := f.users.Load()
	if users == nil {
		return nil
	}
	return slices.Collect(maps.Keys(*users))
}

// has reports whether an event of the socket is to be recorded.
func (f *focus) has(s *socketbridge.Socket) bool {
	users := f.users.Load()
	if users == nil || f.records.Load() <= 0 {
		return false
	}
	_, ok := (*users)[s.User()]
	return ok
}

// allow reports whether another record may be made until the next summary.
func (f *focus) allow() bool { return f.records.Add(-1) >= 0 }

// resolve reports whether another broadcast may be compared with a user until the next summary.
func (f *focus) resolve() bool { return f.compared.Add(-1) >= 0 }

// refill begins the time until the next summary, and forgets users that no page shows any more.
func (f *focus) refill() {
	f.records.Store(focusedRate)
	f.compared.Store(resolveRate)
	f.mu.Lock()
	defer f.mu.Unlock()
	users := f.users.Load()
	if users == nil {
		return
	}
	now, next := time.Now(), map[string]time.Time{}
	for user, until := range *users {
		if now.Before(until) {
			next[user] = until
		}
	}
	if f.users.Store(&next); len(next) == 0 {
		f.users.Store(nil)
	}
}

func (f *focus) reset() { f.users.Store(nil) }
