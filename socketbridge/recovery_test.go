package socketbridge_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// The official client and ours recover with the same ID, rooms and data. They get the
// missed events to the room, the session, the user and all sockets, binary or not, in
// order. The disconnect handler has returned before the recovery.
func TestRecovery_RealClients(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, version := range []string{"4.8", "own"} {
		for _, way := range []string{"websocket", "polling"} {
			t.Run(version+" "+way, func(t *testing.T) {
				t.Parallel()
				s := newRecoverySite(t)
				var meanwhile sync.Once
				var handled bool
				s.io.OnConnection(func(socket *socketbridge.Socket) {
					if socket.Recovered() != handled {
						t.Errorf("recovered: %v, want %v, as the disconnect handler has returned", socket.Recovered(), handled)
					}
					socket.OnDisconnect(func(socketbridge.Reason) {
						meanwhile.Do(func() {
							handled = true
							err := errors.Join(
								s.io.To("room").Emit("note", 1),
								s.io.To("other").Emit("note", "not this"),
								s.io.ToSession(socket.Session()).Emit("note", 2, []byte{1, 2}),
								s.io.ToUser("ann").Except("other").Emit("note", 3),
								s.io.To("room").Volatile().Emit("note", "nor this"),
								s.io.To("room").Except(socket.ID()).Emit("note", "nor that"),
								s.io.Emit("note", 4),
							)
							if e := socket.Emit("note", 5); !errors.Is(e, socketbridge.ErrDisconnected) || err != nil {
								t.Errorf("Emit to the disconnected socket: got error %v, want ErrDisconnected; broadcasts: got error %v, want none", e, err)
							}
						})
					})
				})
				b := s.serveCuttable()
				a := s.loggedIn("ann")
				c := a.connect(n, "/", nodetest.Options{Version: version, Transports: []string{way}, Reconnect: true})
				c.MustCall("join")
				id := c.State().ID
				b.cut()
				c.MustNext(nodetest.Disconnected)
				c.MustNext(nodetest.Connected)
				for i := 1; i <= 5; i++ {
					if got := c.MustNext("note"); string(got[0]) != fmt.Sprint(i) {
						t.Fatalf("got event %s, want %d", got, i)
					}
				}
				equal(t, "state of the socket", call(t, c, "state"), `"true true [`+strings.Trim(s.ownRoomsOf(id), "[]")+` room]"`)
				if st := c.State(); st.ID != id || (version == "4.8" && !st.Recovered) {
					t.Errorf("got state %+v after socket %s, want it recovered", st, id)
				}
				if got := c.Waiting("note"); got > 0 {
					t.Errorf("got %d more events, want 0", got)
				}
			})
		}
	}
}

// ownRoomsOf returns the names of the reserved rooms that a socket is in.
func (s *site) ownRoomsOf(id string) string {
	var own []string
	for _, name := range s.io.Of("/").Socket(id).AllRooms() {
		if strings.HasPrefix(name, "fiberbridge:") {
			own = append(own, name)
		}
	}
	return fmt.Sprint(own)
}

// A socket is recovered only for its own session and user, and only if the middlewares
// accept it again.
func TestRecovery_IsRefused(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	tests := map[string]struct {
		meanwhile func(a *agent)
		recovered bool
	}{
		"nothing happened":            {func(*agent) {}, true},
		"another tab wrote":           {func(a *agent) { a.post("/visit") }, true},
		"the session was destroyed":   {func(a *agent) { a.post("/destroy"); a.post("/login/ann") }, false},
		"another user logged in":      {func(a *agent) { a.post("/login/bob") }, false},
		"the user logged out":         {func(a *agent) { a.post("/logout") }, false},
		"the same user logged in":     {func(a *agent) { a.post("/login/ann") }, true},
		"the devices were logged out": {func(a *agent) { a.post("/end-all/ann"); a.post("/login/ann") }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newRecoverySite(t)
			gone := make(chan struct{}, 1)
			s.io.OnConnection(func(socket *socketbridge.Socket) {
				socket.OnDisconnect(func(socketbridge.Reason) { gone <- struct{}{} })
			})
			b := s.serveCuttable()
			a := s.loggedIn("ann")
			c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			c.MustCall("join")
			id := c.State().ID
			b.cut()
			c.MustNext(nodetest.Disconnected)
			<-gone
			a.http.CloseIdleConnections() // they were closed by cut too
			tt.meanwhile(a)
			if err := s.io.To("room").Emit("secret"); err != nil {
				t.Fatal(err)
			}
			// A browser would send its present cookie, and so does this client.
			c2 := a.resume(n, c)
			if st := c2.State(); st.Recovered != tt.recovered || (st.ID == id) != tt.recovered {
				t.Errorf("got state %+v after socket %s, want it recovered: %v", st, id, tt.recovered)
			}
			c2.MustCall("state")
			if got := c2.Waiting("secret") == 1; got != tt.recovered {
				t.Errorf("got the room's event: %v, want %v", got, tt.recovered)
			}
		})
	}
}

// Clients whose connections break at any moment, with messages in flight, whether or not
// the server has noticed the disconnect, get each event once and in order.
func TestRecovery_ExactlyOnceInOrder(t *testing.T) {
	t.Parallel()
	const clients, events = 8, 2000
	engine := engineio.ConfigDefault
	engine.Limits.MaxQueueMessages = 2 * events
	io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Hour, MaxBytesPerSession: 8 << 20}, Timeouts: socketbridge.Timeouts{Connect: time.Minute}, Engine: engine})
	io.Use(func(c *socketbridge.Connect) error {
		if err := c.Socket().Join("all"); err != nil {
			return err
		}
		return c.Next()
	})
	var ready, done sync.WaitGroup
	ready.Add(clients)
	var crossed [2]int // recoveries after the server noticed the disconnect, and before
	var mu sync.Mutex
	for i := range clients {
		done.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			p := connectRecovering(t, io, "", "")
			ready.Done()
			for want := 1; want <= events; {
				for range 1 + rnd.IntN(300) {
					number, offset := p.event()
					if number != want {
						t.Errorf("client %d: got event %d, want %d", i, number, want)
						return
					}
					p.offset = offset
					if want++; want > events {
						return
					}
				}
				late := rnd.IntN(2)
				if late == 0 {
					p.leave() // messages in flight are lost
				}
				old := p
				if p = connectRecovering(t, io, p.pid, p.offset); !p.recovered || p.sid != old.sid {
					t.Errorf("client %d: not recovered at event %d", i, want)
					return
				}
				mu.Lock()
				crossed[late]++
				mu.Unlock()
			}
		})
	}
	ready.Wait()
	for n := 1; n <= events; n++ {
		if err := io.To("all").Emit("n", n); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
	if crossed[0] == 0 || crossed[1] == 0 {
		t.Errorf("got recoveries %v, want both kinds: the test shows nothing", crossed)
	}
}

// A client that was sent no event has no offset, and a client that was sent no new event
// has an old one, while others were sent many. Both are recovered.
func TestRecovery_QuietClient(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxBytes: 10_000}})
	quiet, once := connectRecovering(t, io, "", ""), connectRecovering(t, io, "", "")
	if err := io.To(once.sid).Emit("n", 1); err != nil {
		t.Fatal(err)
	}
	_, once.offset = once.event()
	flood := func() {
		for range 1000 {
			if err := io.To("others").Emit("n", 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood()
	for _, p := range []*recoveryPeer{quiet, once} {
		p.leave()
		again := connectRecovering(t, io, p.pid, p.offset)
		if !again.recovered || again.sid != p.sid {
			t.Error("the client was not recovered")
		}
		if err := io.To(p.sid).Emit("n", 2); err != nil {
			t.Fatal(err)
		}
		if got, _ := again.event(); got != 2 {
			t.Errorf("got event %d, want 2", got)
		}
		again.leave()
		flood() // now an event may have been dropped
		if late := connectRecovering(t, io, again.pid, again.offset); late.recovered {
			t.Error("the client was recovered although events may have been dropped")
		}
	}
}

// The replay log is bounded per session and per node. A client for which an event was
// dropped gets a new socket instead of a gap.
func TestRecovery_Limits(t *testing.T) {
	t.Parallel()
	t.Run("one session cannot use the space of others", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxBytes: 100_000, MaxBytesPerSession: 10_000}})
		noisy, other := connectRecovering(t, io, "", ""), connectRecovering(t, io, "", "")
		noisy.leave()
		other.leave()
		if err := io.To(other.sid).Emit("n", 1); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if err := io.To(noisy.sid).Emit("n", i, strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if p := connectRecovering(t, io, other.pid, ""); !p.recovered {
			t.Error("the other client was not recovered")
		} else if got, _ := p.event(); got != 1 {
			t.Errorf("got event %d, want 1", got)
		}
		if connectRecovering(t, io, noisy.pid, "").recovered {
			t.Error("the noisy client was recovered although its first events were dropped")
		}
	})
	t.Run("sockets", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxSockets: 2}})
			var pids []string
			for range 3 {
				p := connectRecovering(t, io, "", "")
				p.leave()
				pids = append(pids, p.pid)
				synctest.Wait()
			}
			if n := io.Stats().Recoverable; n != 2 {
				t.Errorf("got %d recoverable sockets, want 2", n)
			}
			for i, want := range []bool{false, true, true} {
				if got := connectRecovering(t, io, pids[i], "").recovered; got != want {
					t.Errorf("socket %d: recovered %v, want %v", i, got, want)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := io.Stats().Recoverable; n != 0 {
				t.Errorf("got %d recoverable sockets after the window, want 0", n)
			}
		})
	})
	t.Run("invalid offsets and private IDs", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		for _, offset := range []string{"x", "-", "-1", strings.Repeat("z", 64), strings.Repeat("z", 1000), "\x00"} {
			p := connectRecovering(t, io, "", "")
			p.leave()
			if connectRecovering(t, io, p.pid, offset).recovered {
				t.Errorf("offset %q was accepted, want a new socket", offset)
			}
		}
		for _, pid := range []string{"x", strings.Repeat("z", 64), strings.Repeat("z", 1000)} {
			if connectRecovering(t, io, pid, "").recovered {
				t.Errorf("private ID %q was accepted, want a new socket", pid)
			}
		}
	})
}

// A state is kept for the window, counted from when the server noticed the disconnect. It
// can be recovered once.
func TestRecovery_Window(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		for _, tt := range []struct {
			after time.Duration
			want  bool
		}{{59 * time.Second, true}, {time.Minute, false}} {
			p := connectRecovering(t, io, "", "")
			p.leave()
			synctest.Wait()
			time.Sleep(tt.after)
			again := connectRecovering(t, io, p.pid, "")
			if again.recovered != tt.want {
				t.Errorf("after %v: recovered %v, want %v", tt.after, again.recovered, tt.want)
			}
		}
		p := connectRecovering(t, io, "", "")
		p.conn.Close(transport.ForcedClose)
		synctest.Wait()
		if connectRecovering(t, io, p.pid, "").recovered {
			t.Error("a socket that the server closed was recovered")
		}
		p = connectRecovering(t, io, "", "")
		p.leave()
		synctest.Wait()
		again := connectRecovering(t, io, p.pid, "")
		again.conn.Close(transport.ForcedClose)
		synctest.Wait()
		if !again.recovered || connectRecovering(t, io, p.pid, "").recovered {
			t.Error("a state was not recovered, or recovered twice")
		}
	})
}

// Row 43: without Config.Recovery, a client gets no private ID, events have no offset, and nothing
// is kept.
func TestRecovery_OffByDefault(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	p := join(t, io, "/")
	if err := io.Emit("n", 1); err != nil {
		t.Fatal(err)
	}
	p.expect(`2["n",1]`)
	p.leave()
	waitFor(t, "the end of the socket", func() bool { return io.Stats().Sockets == 0 })
	if n := io.Stats().Recoverable; n != 0 {
		t.Errorf("%d sockets are kept, want none", n)
	}
	again := dial(t, io)
	again.send(`0{"pid":"` + p.sid + `","offset":"x"}`)
	if got := again.next(); strings.Contains(got, "pid") || strings.Contains(got, p.sid) {
		t.Errorf("got %s, want a new socket without a private ID", got)
	}
}

// A refusal by a middleware keeps the state: the client can try again.
func TestRecovery_MiddlewaresRunAgain(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
	var refuse error
	io.Use(func(c *socketbridge.Connect) error {
		if refuse != nil {
			return refuse
		}
		return c.Next()
	})
	p := connectRecovering(t, io, "", "")
	p.leave()
	refuse = &socketbridge.ConnectError{Message: "not now"}
	again := dial(t, io)
	again.send(`0{"pid":"` + p.pid + `"}`)
	again.expect(`4{"message":"not now"}`)
	refuse = nil
	if q := connectRecovering(t, io, p.pid, ""); !q.recovered || q.sid != p.sid {
		t.Error("the client was not recovered after the refusal")
	}
}

// A state that is put back after a refusal is kept once, and not beyond its window.
func TestRecovery_PutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		slow := time.Duration(0)
		io.Use(func(c *socketbridge.Connect) error {
			if slow == 0 {
				return c.Next()
			}
			time.Sleep(slow)
			return &socketbridge.ConnectError{Message: "no"}
		})
		p := connectRecovering(t, io, "", "")
		p.leave()
		synctest.Wait()
		slow = 2 * time.Minute
		again := dial(t, io)
		again.send(`0{"pid":"` + p.pid + `"}`)
		time.Sleep(3 * time.Minute)
		again.expect(`4{"message":"no"}`)
		again.leave()
		synctest.Wait()
		if n := io.Stats().Recoverable; n != 0 {
			t.Errorf("got %d recoverable sockets two minutes after the window, want 0", n)
		}
	})
}
