package inspector

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// watchFor is how long a node records emissions and events after a page has last asked it.
const watchFor = 5 * time.Second

// watch records emissions, and the events of users that pages show, while a page is open on any
// node. The zero value records nothing.
type watch struct {
	emissions emissions
	focus     focus

	mu    sync.Mutex
	stop  func()
	timer *time.Timer // fires at the end of watchFor
}

// touch records for watchFor.
func (w *watch) touch(i *inspector) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		w.timer.Reset(watchFor)
		return
	}
	w.stop = i.io.Observe(socketbridge.Trace{Emitted: func(e *socketbridge.Emission) { w.emitted(i, e) }})
	w.timer = time.AfterFunc(watchFor, w.end)
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
	w.stop = nil
	w.emissions.reset()
	w.focus.reset()
}

// handled records an event of a user that a page shows.
func (w *watch) handled(i *inspector, op *socketbridge.Operation, took time.Duration) {
	if !w.focus.allow() {
		return
	}
	r := i.recordOf(op.Socket, kindHandled)
	r.Event, r.Took = op.Event, took.Microseconds()
	i.timeline.add(r)
}

// emitted records an event that was emitted on this node.
func (w *watch) emitted(i *inspector, e *socketbridge.Emission) {
	if e.Namespace == Namespace {
		return
	}
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
