package reliability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// R7: ten million operations of 10,000 users: requests, events, connects, half of them ended by
// a disconnect or a canceled request at any moment, while connections to Redis break. No user
// gets a session value, a cookie or a message of another.
//
// The short run has the same mix with few users. R7_OPS=NUMBER sets the number of operations.
// TestNoForeignData in socketbridge is the same in memory, with callbacks that outlive their
// sockets.
func TestR7_NoForeignData(t *testing.T) {
	t.Parallel()
	users, operations, workers := scaled(24, 10_000), scaled(int64(2_000), 10_000_000), scaled(8, 64)
	if s := os.Getenv("R7_OPS"); s != "" {
		var err error
		if operations, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr())
	nodes := startClusterNodes(t, 2, clusterConfig{
		storage: network.URL(), recovery: time.Minute, freshness: scaled(fibersession.Strict, fibersession.Tracked),
		sessions: fibersession.Config{Timeouts: fibersession.Timeouts{Storage: 10 * time.Second}},
	})
	f := &foreignData{t: t, nodes: nodes, operations: operations}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began := time.Now()
	var working, faults sync.WaitGroup
	faults.Go(func() { // ends with ctx; waited for below
		for {
			pause(ctx, scaled(100*time.Millisecond, 5*time.Second))
			if ctx.Err() != nil {
				return
			}
			network.Disconnect() // replies that were under way are lost
			f.resets.Add(1)
		}
	})
	for w := range workers {
		working.Go(func() {
			mine := make([]*visitor, 0, users/workers+1)
			for i := w; i < users; i += workers {
				mine = append(mine, newVisitor(fmt.Sprintf("%c%05d", 'a'+i%20, i), ""))
			}
			for f.done.Load() < operations && !t.Failed() {
				f.visit(ctx, mine[rand.N(len(mine))])
			}
		})
	}
	working.Wait()
	took := time.Since(began)
	stop()
	faults.Wait()
	if f.checked.Load() < operations/4 || f.canceled.Load() == 0 || f.dropped.Load() == 0 {
		t.Errorf("of %d operations, %d had an answer, %d were canceled; %d sockets were dropped: too few", f.done.Load(), f.checked.Load(), f.canceled.Load(), f.dropped.Load())
	}
	if t.Failed() {
		return
	}
	report(t, "R7", "%d operations of %d users in %v (%.0f a second): %d answers and %d messages were checked, 0 foreign; %d requests canceled, %d sockets dropped, %d failed, connections to Redis reset %d times",
		f.done.Load(), users, took.Round(time.Second), float64(f.done.Load())/took.Seconds(), f.checked.Load(), f.messages.Load(), f.canceled.Load(), f.dropped.Load(), f.failed.Load(), f.resets.Load())
}

type foreignData struct {
	t          *testing.T
	nodes      []*clusterNode
	operations int64
	owners     sync.Map // session cookie to user

	done, checked, messages, canceled, dropped, failed, resets atomic.Int64
}

// visit makes requests and emits events as one user, on any node, and ends in one of several
// ways. A user is visited by one worker at a time.
func (f *foreignData) visit(ctx context.Context, v *visitor) {
	v.moveTo("http://" + f.nodes[rand.N(len(f.nodes))].addr)
	if v.jar["session"] == "" {
		f.done.Add(1)
		if _, err := v.do(ctx, "POST", "/login/"+v.me); err != nil {
			f.failed.Add(1)
			delete(v.jar, "session")
			return
		}
		f.checkCookie(v)
	}
	f.done.Add(1)
	socket, err := v.open(ctx, func(name string, args []json.RawMessage) { f.checkMessage(v, name, args) }, nil)
	if err != nil {
		f.failed.Add(1)
		return
	}
	for range 5 + rand.N(25) {
		f.done.Add(1)
		call, cancel := ctx, context.CancelFunc(func() {})
		ends := rand.N(10) == 0
		if ends {
			call, cancel = context.WithTimeout(ctx, rand.N(2*time.Millisecond))
		}
		if err := f.operate(call, v, socket); err != nil {
			if ends {
				f.canceled.Add(1)
			} else {
				f.failed.Add(1)
			}
		}
		cancel()
		if tabEndedNow(socket) {
			break
		}
	}
	if rand.N(2) == 0 {
		f.dropped.Add(1)
		// In the middle of a call.
		call, cancel := context.WithTimeout(ctx, rand.N(time.Millisecond))
		_, _ = socket.call(call, "who")
		cancel()
		socket.close(false)
		return
	}
	socket.close(true)
}

func tabEndedNow(t *tab) bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (f *foreignData) operate(ctx context.Context, v *visitor, socket *tab) error {
	want := strconv.Quote(v.me)
	switch rand.N(8) {
	case 0, 1:
		body, err := v.do(ctx, "GET", "/who")
		return f.check(v, body, err)
	case 2:
		body, err := v.do(ctx, "POST", "/touch")
		f.checkCookie(v)
		return f.check(v, body, err)
	case 3:
		_, err := v.do(ctx, "POST", "/incr")
		f.checkCookie(v)
		return err
	case 4:
		_, err := socket.call(ctx, "tell", v.me)
		return err
	case 5:
		_, err := socket.call(ctx, "say", v.me[:1])
		return err
	case 6:
		_, err := socket.call(ctx, "incr")
		return err
	default:
		got, err := socket.call(ctx, "who")
		if err != nil {
			return err
		}
		f.checked.Add(1)
		for _, g := range got {
			if string(g) != want {
				f.t.Errorf("a socket of %s is told %s", v.me, got)
			}
		}
		return nil
	}
}

func (f *foreignData) check(v *visitor, body string, err error) error {
	if err != nil {
		return err
	}
	f.checked.Add(1)
	if body != v.me {
		f.t.Errorf("%s got the session of %q", v.me, body)
	}
	return nil
}

// checkCookie checks that no other user had the visitor's session cookie.
func (f *foreignData) checkCookie(v *visitor) {
	v.mu.Lock()
	id := v.jar["session"]
	v.mu.Unlock()
	if owner, known := f.owners.LoadOrStore(id, v.me); known && owner != v.me {
		f.t.Errorf("%s got a cookie of %s", v.me, owner)
	}
}

// checkMessage checks that a message is for this user, or for the user's room.
func (f *foreignData) checkMessage(v *visitor, name string, args []json.RawMessage) {
	f.messages.Add(1)
	mine, room := strconv.Quote(v.me), strconv.Quote(v.me[:1])
	ok := false
	switch {
	case name == "hello" && len(args) > 0:
		ok = string(args[0]) == mine
	case name == "private" && len(args) > 1:
		ok = string(args[0]) == mine && string(args[1]) == mine
	case name == "said" && len(args) > 1:
		ok = string(args[0]) == strconv.Quote("room-"+v.me[:1]) && string(args[1]) == room
	}
	if !ok {
		f.t.Errorf("%s got %s %s", v.me, name, args)
	}
}
