package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// member is a client that stays connected, as the official one does: when its connection ends,
// it connects again after a backoff.
type member struct {
	v         *visitor
	elsewhere func() string // the URL of the next attempt; nil if the proxy chooses the node
	onLost    func()        // may be nil
	leaves    atomic.Bool   // the next disconnect is that of a logout
	resumes   bool          // asks for the events that it missed

	mu          sync.Mutex
	cur         *tab // nil while it is not connected
	disconnects int
	outages     []time.Duration
	recovered   int            // outages after which the server gave the socket back
	said        map[string]int // broadcasts by value
	foreign     []string       // events for others
}

// run keeps the member connected until ctx ends. connected is called after the first time.
func (m *member) run(ctx context.Context, connected func()) {
	m.said = map[string]int{}
	var last *tab
	var lost time.Time
	for attempt := 0; ctx.Err() == nil; {
		dialing, cancel := context.WithTimeout(ctx, 20*time.Second) // the official client's timeout
		var resume *tab
		if m.resumes {
			resume = last
		}
		t, err := m.v.open(dialing, m.event, resume)
		cancel()
		if err != nil {
			if m.elsewhere != nil {
				m.v.moveTo(m.elsewhere())
			}
			pause(ctx, backoff(attempt))
			attempt++
			continue
		}
		attempt = 0
		m.mu.Lock()
		m.cur = t
		if last != nil {
			m.outages = append(m.outages, time.Since(lost))
			if t.recovered {
				m.recovered++
			}
		}
		m.mu.Unlock()
		if last == nil {
			connected()
		}
		select {
		case <-t.done:
		case <-ctx.Done():
		}
		lost = time.Now()
		m.mu.Lock()
		m.cur = nil
		expected := m.leaves.Swap(false)
		if ctx.Err() == nil && !expected {
			m.disconnects++
		}
		m.mu.Unlock()
		t.close(ctx.Err() != nil)
		last = t
		if ctx.Err() == nil {
			if m.onLost != nil && !expected {
				m.onLost()
			}
			if m.elsewhere != nil {
				m.v.moveTo(m.elsewhere())
			}
			pause(ctx, backoff(0))
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (m *member) event(name string, args []json.RawMessage) {
	values := make([]string, len(args))
	for i, a := range args {
		_ = json.Unmarshal(a, &values[i])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case name == "said" && len(values) == 2 && values[0] == "room-"+m.v.me[:1]:
		m.said[values[1]]++
	case (name == "hello" || name == "private") && len(values) > 0 && values[0] == m.v.me:
	default:
		m.foreign = append(m.foreign, fmt.Sprint(name, values))
	}
}

func (m *member) tab() *tab {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cur
}

// clusterLoad is steady load of visitors: each makes requests, and events over a socket.
type clusterLoad struct {
	t       *testing.T
	pace    time.Duration                                 // between two operations of a visitor's requests or events
	logouts bool                                          // visitors log out and in again now and then
	failed  func(what string, began time.Time, err error) // a request that failed, or an event without an answer
	members []*member
	relogin []atomic.Bool // the visitor's session may be lost: log in again

	paused                 atomic.Bool  // makes no requests and emits nothing; sockets stay
	requests, events, sent atomic.Int64 // acknowledged; sent: broadcasts
	acked, unknown         []atomic.Int64

	mu   sync.Mutex
	said map[string]string // acknowledged broadcasts: value to room
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// start logs the visitors in, connects their sockets and begins.
func (l *clusterLoad) start(count int, url func(i int) string, resumes bool, onLost func()) {
	l.t.Helper()
	l.said = map[string]string{}
	l.acked, l.unknown, l.relogin = make([]atomic.Int64, count), make([]atomic.Int64, count), make([]atomic.Bool, count)
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.t.Cleanup(l.end)
	var up sync.WaitGroup
	for i := range count {
		v := newVisitor(fmt.Sprintf("%c%04d", 'a'+i%8, i), url(i))
		if _, err := v.do(ctx, "POST", "/login/"+v.me); err != nil {
			l.t.Fatalf("login: %v", err)
		}
		m := &member{v: v, resumes: resumes, onLost: onLost}
		l.members = append(l.members, m)
		up.Add(1)
		l.wg.Go(func() { m.run(ctx, up.Done) }) // end waits for it, as for those below
	}
	up.Wait()
	for i, m := range l.members {
		l.wg.Go(func() { l.makeRequests(ctx, i, m) })
		l.wg.Go(func() { l.emitEvents(ctx, i, m) })
	}
}

// end stops the load and waits for it.
func (l *clusterLoad) end() {
	l.stop()
	l.wg.Wait()
}

func (l *clusterLoad) makeRequests(ctx context.Context, i int, m *member) {
	for round := 1; ctx.Err() == nil; round++ {
		pause(ctx, l.pace)
		if l.paused.Load() {
			continue
		}
		began := time.Now()
		if l.relogin[i].Swap(false) || l.logouts && round%200 == 100+i%100 {
			m.leaves.Store(m.tab() != nil)
			if _, err := m.v.do(ctx, "POST", "/logout"); err != nil && ctx.Err() == nil {
				l.failed("POST /logout", began, err)
			}
			m.v.forget("node") // the proxy's: a new visitor can come to any node, a restarted one too
			if _, err := m.v.do(ctx, "POST", "/login/"+m.v.me); err != nil && ctx.Err() == nil {
				l.failed("POST /login", began, err)
				l.relogin[i].Store(true)
			}
			continue
		}
		if round%3 == 0 {
			me, err := m.v.do(ctx, "GET", "/who")
			switch {
			case ctx.Err() != nil:
			case err != nil:
				l.failed("GET /who", began, err)
			case me == "":
				l.failed("GET /who", began, errors.New("the session is lost"))
				l.relogin[i].Store(true)
			case me != m.v.me:
				l.t.Errorf("%s got the session of %s", m.v.me, me)
			default:
				l.requests.Add(1)
			}
			continue
		}
		l.unknown[i].Add(1) // until the response
		_, err := m.v.do(context.WithoutCancel(ctx), "POST", "/incr")
		if err != nil {
			if ctx.Err() == nil {
				l.failed("POST /incr", began, err)
			}
			continue
		}
		l.unknown[i].Add(-1)
		l.acked[i].Add(1)
		l.requests.Add(1)
	}
}

func (l *clusterLoad) emitEvents(ctx context.Context, i int, m *member) {
	for round := 1; ctx.Err() == nil; round++ {
		pause(ctx, l.pace)
		t := m.tab()
		if t == nil || l.paused.Load() {
			continue
		}
		began := time.Now()
		timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		switch {
		case round%10 == 0:
			value := m.v.me + "/" + strconv.Itoa(round)
			if _, err := t.call(timeout, "say", value); err == nil {
				l.sent.Add(1)
				l.mu.Lock()
				l.said[value] = m.v.me[:1]
				l.mu.Unlock()
			} else if !errors.Is(err, errTabClosed) && !tabEnded(t) {
				l.failed("event say", began, err)
			}
		case round%5 == 0:
			got, err := t.call(timeout, "who")
			if err != nil {
				if !errors.Is(err, errTabClosed) && !tabEnded(t) {
					l.failed("event who", began, err)
				}
				break
			}
			if want := strconv.Quote(m.v.me); len(got) != 4 || string(got[0]) != want || string(got[1]) != want || string(got[2]) != want || string(got[3]) != want {
				l.t.Errorf("a socket of %s is told %s", m.v.me, got)
			}
			l.events.Add(1)
		default:
			l.unknown[i].Add(1)
			_, err := t.call(timeout, "incr")
			if err != nil {
				if !errors.Is(err, errTabClosed) && !tabEnded(t) {
					l.failed("event incr", began, err)
				}
				break
			}
			l.unknown[i].Add(-1)
			l.acked[i].Add(1)
			l.events.Add(1)
		}
		cancel()
	}
}

// missing counts the acknowledged broadcasts that have not reached a member of their room.
func (l *clusterLoad) missing() (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		m.mu.Lock()
		for value, room := range l.said {
			if room == m.v.me[:1] && m.said[value] == 0 {
				count++
			}
		}
		m.mu.Unlock()
	}
	return count
}

// tabEnded reports whether the connection ended: an event of that moment has no answer.
func tabEnded(t *tab) bool {
	select {
	case <-t.done:
		return true
	case <-time.After(100 * time.Millisecond): // the writer fails before the reader knows
		select {
		case <-t.done:
			return true
		default:
			return false
		}
	}
}

// quantile returns a quantile of durations: 0.5 is the median, 1 the maximum.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

// describe returns the median, the 99th percentile and the maximum.
func describe(all []time.Duration) string {
	unit := time.Millisecond
	if quantile(all, 1) < 10*time.Millisecond {
		unit = time.Microsecond
	}
	return fmt.Sprintf("p50 %v, p99 %v, max %v (%d)", quantile(all, .5).Round(unit), quantile(all, .99).Round(unit), quantile(all, 1).Round(unit), len(all))
}
