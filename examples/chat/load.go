package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	loadRoomSize = 10               // visitors in one room
	loadPollers  = 3                // one visitor of so many polls
	answerIn     = 15 * time.Second // within which a request or an event must be answered
)

// load is a number of visitors that use the site at the same time. Each has a session and a
// socket, and reads a page and writes a message to its room once per pace, which must be longer
// than limitEvery.
type load struct {
	site     string
	pace     time.Duration
	visitors []*loadVisitor
	finish   chan struct{} // closed when no further message is to begin
	stop     context.CancelFunc
	running  sync.WaitGroup // all goroutines but those of talkers
	talking  sync.WaitGroup

	mu       sync.Mutex // guards the fields below, and those of visitors that say so
	requests int
	messages int
	failures []string              // of requests and handshakes
	rooms    map[string]*roomTally // by name
	returns  []comeback            // of sockets whose connection was closed
}

// roomTally is what the visitors know about the messages of a room.
type roomTally struct {
	last int            // the highest number of an acknowledged message
	ids  map[string]int // the number of each message, by its ID
}

// comeback is a reconnection.
type comeback struct {
	closed    time.Time // when the connection was closed
	began     time.Time // when the handshake that succeeded was sent
	at        time.Time // when the socket was connected
	recovered bool      // the server gave the socket back
}

// startLoad logs the visitors in, opens their sockets and returns when all have joined their
// rooms and begin to write.
func startLoad(site string, count int, pace time.Duration) (*load, error) {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{site: site, pace: pace, stop: stop, finish: make(chan struct{}), rooms: map[string]*roomTally{}}
	ready := make(chan error, count)
	gate := make(chan struct{}, 20) // logins at a time
	for i := range count {
		v, err := newLoadVisitor(l, i)
		if err != nil {
			l.end()
			return nil, err
		}
		l.visitors = append(l.visitors, v)
		l.rooms[v.room] = &roomTally{ids: map[string]int{}}
		l.running.Go(func() { // end waits for it
			gate <- struct{}{}
			err := v.begin(ctx)
			<-gate
			ready <- err
			if err == nil {
				v.run(ctx)
			}
		})
	}
	var err error
	for range count {
		err = errors.Join(err, <-ready)
	}
	if err != nil {
		l.end()
		return nil, err
	}
	for _, v := range l.visitors {
		l.talking.Go(func() { v.talk(ctx) })   // settle waits for it
		l.running.Go(func() { v.browse(ctx) }) // end waits for it
	}
	return l, nil
}

// settle stops the writing, waits until the last messages are acknowledged, and then until they
// have arrived everywhere, for answerIn at most.
func (l *load) settle() {
	close(l.finish)
	l.talking.Wait()
	for deadline := time.Now().Add(answerIn); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if lost, _ := l.tally(); lost == 0 {
			return
		}
	}
}

// end disconnects all visitors.
func (l *load) end() {
	l.stop()
	l.talking.Wait()
	l.running.Wait()
	for _, v := range l.visitors {
		v.http.CloseIdleConnections()
	}
}

// tally counts the acknowledged messages that did not reach a visitor of their room, and those
// that reached one twice or were stored twice.
func (l *load) tally() (lost, doubled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.visitors {
		for number := 1; number <= l.rooms[v.room].last; number++ {
			if v.got[number] == 0 && !v.fetched[number] {
				lost++
			}
		}
		for _, times := range v.got {
			doubled += max(0, times-1)
		}
		doubled += v.twice
	}
	return lost, doubled
}

func (l *load) fail(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return // the load ends
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf("%s: %v", what, err))
}

// loadVisitor is one visitor.
type loadVisitor struct {
	load       *load
	name, room string
	polls      bool // its sockets poll; those of the others are WebSockets
	http       *http.Client
	sockets    chan *loadSocket // holds the present socket while it is connected

	got     map[int]int  // how often a message arrived, by its number; guarded by load.mu
	twice   int          // messages that arrived under two numbers; guarded by load.mu
	fetched map[int]bool // messages that were loaded from the history; guarded by load.mu
}

func newLoadVisitor(l *load, i int) (*loadVisitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: loadDialer(i).DialContext, MaxIdleConnsPerHost: 4}
	return &loadVisitor{
		load: l,
		name: fmt.Sprintf("visitor %d", i), room: fmt.Sprintf("load-%d", i/loadRoomSize), polls: i%loadPollers == 0,
		http:    &http.Client{Jar: jar, Transport: transport},
		sockets: make(chan *loadSocket, 1),
		got:     map[int]int{}, fetched: map[int]bool{},
	}, nil
}

// loadDialer gives each visitor an address of its own, because the server limits what one
// address can do. Linux has all of 127.0.0.0/8.
func loadDialer(i int) *net.Dialer {
	addr := &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}
	if ln, err := net.ListenTCP("tcp", addr); err == nil {
		_ = ln.Close()
		return &net.Dialer{LocalAddr: addr}
	}
	return &net.Dialer{}
}

// begin logs in, connects and joins the room.
func (v *loadVisitor) begin(ctx context.Context) error {
	form := url.Values{"name": {v.name}}
	if err := v.request(ctx, http.MethodPost, "/login", strings.NewReader(form.Encode())); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	s, err := v.connect(ctx, nil)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	v.sockets <- s
	if _, err := s.ask(ctx, string(Join), v.room); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	_, err = s.ask(ctx, string(Leave), firstRoom) // its list of members would be most of the traffic
	return err
}

// run keeps the visitor connected.
func (v *loadVisitor) run(ctx context.Context) {
	s := <-v.sockets
	v.sockets <- s
	for ctx.Err() == nil {
		<-s.done
		select {
		case <-v.sockets:
		default:
		}
		back := comeback{closed: time.Now()}
		s, back.began = v.reconnect(ctx, s)
		if s == nil {
			return
		}
		back.at, back.recovered = time.Now(), s.recovered
		v.load.mu.Lock()
		v.load.returns = append(v.load.returns, back)
		v.load.mu.Unlock()
		if !s.recovered {
			v.loadHistory(ctx, s)
		}
		v.sockets <- s
	}
	<-s.done
}

// reconnect opens a socket in place of one that was closed, and returns when its handshake began.
// It returns nil when ctx ends.
func (v *loadVisitor) reconnect(ctx context.Context, last *loadSocket) (s *loadSocket, began time.Time) {
	for attempt := 0; ; attempt++ {
		select {
		case <-ctx.Done():
			return nil, began
		case <-time.After(officialDelay(attempt)):
		}
		began = time.Now()
		s, err := v.connect(ctx, last)
		if err == nil {
			return s, began
		}
		v.load.fail(ctx, "handshake", err)
	}
}

// loadHistory does what the page does after a connect: it finds the messages that it missed.
func (v *loadVisitor) loadHistory(ctx context.Context, s *loadSocket) {
	var messages []RoomMessage
	answer, err := s.ask(ctx, string(ReadHistory), v.room)
	if err == nil {
		err = answer.bind(&messages)
	}
	if err != nil {
		return // the socket was closed again
	}
	v.load.mu.Lock()
	defer v.load.mu.Unlock()
	for _, m := range messages {
		if v.got[m.Number] == 0 {
			v.fetched[m.Number] = true
		}
	}
}

// received counts a message.
func (v *loadVisitor) received(m RoomMessage) {
	if m.Room != v.room {
		return
	}
	v.load.mu.Lock()
	defer v.load.mu.Unlock()
	v.got[m.Number]++
	ids := v.load.rooms[v.room].ids
	if number, known := ids[m.ID]; known && number != m.Number {
		v.twice++
	}
	ids[m.ID] = m.Number
}

// talk writes messages. One whose socket is closed before its answer is sent again over the next
// socket, with its ID, as the retries of the official client do.
func (v *loadVisitor) talk(ctx context.Context) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-v.load.finish:
			return
		case <-time.After(v.load.pace/2 + rand.N(v.load.pace)):
		}
		m := SayIn{Draft: Draft{ID: fmt.Sprintf("%s %d", v.name, n), Text: Text(fmt.Sprintf("message %d", n))}, Room: v.room}
		for again := true; again; {
			var s *loadSocket
			select {
			case <-ctx.Done():
				return
			case s = <-v.sockets:
				v.sockets <- s
			}
			again = v.say(ctx, s, m)
		}
	}
}

// say sends one message. It reports whether the socket was closed before its answer.
func (v *loadVisitor) say(ctx context.Context, s *loadSocket, m SayIn) (again bool) {
	var stored RoomMessage
	answer, err := s.ask(ctx, string(Say), m)
	if errors.Is(err, errSocketClosed) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond): // until the socket is known to be closed
			return true
		}
	}
	if err == nil {
		err = answer.bind(&stored)
	}
	if err != nil {
		v.load.fail(ctx, "say", err)
		return false
	}
	v.load.mu.Lock()
	defer v.load.mu.Unlock()
	v.load.messages++
	tally := v.load.rooms[v.room]
	tally.last = max(tally.last, stored.Number)
	return false
}

// browse reads a page again and again.
func (v *loadVisitor) browse(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(v.load.pace/2 + rand.N(v.load.pace)):
		}
		if err := v.request(ctx, http.MethodGet, "/", nil); err != nil {
			v.load.fail(ctx, "GET /", err)
		}
	}
}

// request makes a request. It must lead to the chat's page.
func (v *loadVisitor) request(ctx context.Context, method, path string, body io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, v.load.site+path, body)
	if err != nil {
		return err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := v.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" {
		return fmt.Errorf("%s at %s", res.Status, res.Request.URL.Path)
	}
	v.load.mu.Lock()
	v.load.requests++
	v.load.mu.Unlock()
	return nil
}

// quantile returns the value below which a share q of all is.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}
