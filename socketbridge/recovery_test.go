package socketbridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// brittle is a listener whose connections can all be broken at once.
type brittle struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (b *brittle) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		c = struct{ net.Conn }{c} // a bare one would be given up for another descriptor
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
	}
	return c, err
}

func (b *brittle) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
	clear(b.conns)
}

// serveBrittle is serve on connections that the test can break.
func (s *site) serveBrittle() *brittle {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	b := &brittle{Listener: ln, conns: map[net.Conn]bool{}}
	s.url = "http://" + ln.Addr().String()
	go func() { _ = s.app.Listener(b) }() // ShutdownWithContext, at the test's end, waits for it
	return b
}

// recovering is a site that recovers connections, with a route that emits to a room.
func recovering(t *testing.T) *site {
	return recoveringWith(t, options{
		sessions: fibersession.Config{UserKey: "user"},
		bridge:   socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}},
	})
}

// The official client and ours come back with the same ID, rooms and data, and get
// what was emitted meanwhile to the room, the session, the user and the socket alone,
// binary or not, in order; the disconnect handler has then returned.
func TestRecovery_RealClients(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, version := range []string{"4.8", "own"} {
		for _, way := range []string{"websocket", "polling"} {
			t.Run(version+" "+way, func(t *testing.T) {
				t.Parallel()
				s := recovering(t)
				var meanwhile sync.Once
				var handled bool
				s.io.OnConnection(func(socket *socketbridge.Socket) {
					if socket.Recovered() != handled {
						t.Errorf("recovered: %v, its disconnect handler has returned: %v", socket.Recovered(), handled)
					}
					socket.OnDisconnect(func(socketbridge.Reason) {
						meanwhile.Do(func() {
							handled = true
							err := errors.Join(
								s.io.To("room").Emit("note", 1),
								s.io.To("elsewhere").Emit("note", "not this"),
								s.io.ToSession(socket.Session()).Emit("note", 2, []byte{1, 2}),
								s.io.ToUser("ann").Except("elsewhere").Emit("note", 3),
								s.io.To("room").Volatile().Emit("note", "nor this"),
								s.io.To("room").Except(socket.ID()).Emit("note", "nor that"),
								s.io.Emit("note", 4),
							)
							if e := socket.Emit("note", 5); !errors.Is(e, socketbridge.ErrDisconnected) || err != nil {
								t.Error(e, err)
							}
						})
					})
				})
				b := s.serveBrittle()
				a := s.loggedIn("ann")
				c := a.connect(n, "/", nodetest.Options{Version: version, Transports: []string{way}, Reconnect: true})
				c.MustCall("join")
				id := c.State().ID
				b.cut()
				c.MustNext(nodetest.Disconnected)
				c.MustNext(nodetest.Connected)
				for i := 1; i <= 5; i++ {
					if got := c.MustNext("note"); string(got[0]) != fmt.Sprint(i) {
						t.Fatalf("got %s, want %d", got, i)
					}
				}
				equal(t, "the socket", call(t, c, "state"), `"true true [`+strings.Trim(s.ownRoomsOf(id), "[]")+` room]"`)
				if st := c.State(); st.ID != id || (version == "4.8" && !st.Recovered) {
					t.Errorf("it came back as %+v, was %s", st, id)
				}
				if c.Waiting("note") > 0 {
					t.Error("something came that was not for it, or twice")
				}
			})
		}
	}
}

// ownRoomsOf returns the names of the bridge's rooms that a socket is in.
func (s *site) ownRoomsOf(id string) string {
	var own []string
	for _, name := range s.io.Of("/").Socket(id).Rooms() {
		if strings.HasPrefix(name, "fiberbridge:") {
			own = append(own, name)
		}
	}
	return fmt.Sprint(own)
}

// A socket is given back to nobody but the session and the user that had it, and only
// when the middlewares let it in again.
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
		"somebody else logged in":     {func(a *agent) { a.post("/login/bob") }, false},
		"the user logged out":         {func(a *agent) { a.post("/logout") }, false},
		"the same user logged in":     {func(a *agent) { a.post("/login/ann") }, true},
		"the devices were logged out": {func(a *agent) { a.post("/end-all/ann"); a.post("/login/ann") }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := recovering(t)
			gone := make(chan struct{}, 1)
			s.io.OnConnection(func(socket *socketbridge.Socket) {
				socket.OnDisconnect(func(socketbridge.Reason) { gone <- struct{}{} })
			})
			b := s.serveBrittle()
			a := s.loggedIn("ann")
			c := a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})
			c.MustCall("join")
			id := c.State().ID
			b.cut()
			c.MustNext(nodetest.Disconnected)
			<-gone
			a.http.CloseIdleConnections() // they were cut too
			tt.meanwhile(a)
			if err := s.io.To("room").Emit("secret"); err != nil {
				t.Fatal(err)
			}
			// The page's own reload would bring the cookie along: so does this.
			c2 := a.resume(n, c)
			if st := c2.State(); st.Recovered != tt.recovered || (st.ID == id) != tt.recovered {
				t.Errorf("it came back as %+v, was %s", st, id)
			}
			c2.MustCall("state")
			if got := c2.Waiting("secret") == 1; got != tt.recovered {
				t.Errorf("the room's message came: %v", got)
			}
		})
	}
}

// resume lets a client that was cut come back with the agent's present cookie.
func (a *agent) resume(n *nodetest.Node, c *nodetest.Client) *nodetest.Client {
	a.t.Helper()
	c.SetHeader("Cookie", a.cookie())
	c.Reconnect()
	return c
}

// recoveryPeer speaks the protocol of recovery by hand.
type recoveryPeer struct {
	*peer
	pid, offset string
	recovered   bool
}

// back connects with a private ID and an offset, both "" for a new client.
func back(t testing.TB, io *socketbridge.Server, pid, offset string) *recoveryPeer {
	t.Helper()
	p := &recoveryPeer{peer: dial(t, io), offset: offset}
	auth := "0"
	if pid != "" {
		b, err := json.Marshal(map[string]string{"pid": pid, "offset": offset})
		if err != nil {
			t.Fatal(err)
		}
		auth += string(b)
	}
	p.send(auth)
	got := p.next()
	var body struct{ Sid, PID string }
	if !strings.HasPrefix(got, "0{") || json.Unmarshal([]byte(got[1:]), &body) != nil || body.PID == "" {
		t.Fatalf("CONNECT was answered with %s", got)
	}
	p.sid, p.pid, p.recovered = body.Sid, body.PID, body.PID == pid
	if !p.recovered {
		p.offset = ""
	}
	return p
}

// event reads the next event ["n",<number>,<offset>].
func (p *recoveryPeer) event() (number int, offset string) {
	p.t.Helper()
	got := p.next()
	var body []any
	if json.Unmarshal([]byte(got[1:]), &body) != nil || len(body) != 3 {
		p.t.Fatalf("got %s", got)
	}
	return int(body[1].(float64)), body[2].(string)
}

// Clients whose connections break at any moment, with anything still under way, and
// whether the server has noticed or not, get each event once and in order.
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
	var crossed [2]int // came back after the server knew that it had gone, and before
	var mu sync.Mutex
	for i := range clients {
		done.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			p := back(t, io, "", "")
			ready.Done()
			for want := 1; want <= events; {
				for range 1 + rnd.IntN(300) {
					number, offset := p.event()
					if number != want {
						t.Errorf("client %d: got %d, want %d", i, number, want)
						return
					}
					p.offset = offset
					if want++; want > events {
						return
					}
				}
				late := rnd.IntN(2)
				if late == 0 {
					p.leave() // what is still on its way to it is lost
				}
				old := p
				if p = back(t, io, p.pid, p.offset); !p.recovered || p.sid != old.sid {
					t.Errorf("client %d: not recovered at %d", i, want)
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
		t.Errorf("recoveries: %v; the test shows nothing", crossed)
	}
}

// A client that was sent nothing has no offset, and one to which nothing new was sent
// has an old one, while others were sent much: both come back.
func TestRecovery_QuietClient(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxBytes: 10_000}})
	quiet, once := back(t, io, "", ""), back(t, io, "", "")
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
		again := back(t, io, p.pid, p.offset)
		if !again.recovered || again.sid != p.sid {
			t.Error("it did not get its socket back")
		}
		if err := io.To(p.sid).Emit("n", 2); err != nil {
			t.Fatal(err)
		}
		if got, _ := again.event(); got != 2 {
			t.Errorf("got %d", got)
		}
		again.leave()
		flood() // now something may be lost
		if late := back(t, io, again.pid, again.offset); late.recovered {
			t.Error("it was recovered, though nobody knows what it missed")
		}
	}
}

// What is kept is bounded, for one session and for the node, and a client of which
// something was dropped gets a new socket instead of a gap.
func TestRecovery_Limits(t *testing.T) {
	t.Parallel()
	t.Run("one session cannot take the place of others", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxBytes: 100_000, MaxBytesPerSession: 10_000}})
		noisy, other := back(t, io, "", ""), back(t, io, "", "")
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
		if p := back(t, io, other.pid, ""); !p.recovered {
			t.Error("the other one was not recovered")
		} else if got, _ := p.event(); got != 1 {
			t.Errorf("got %d", got)
		}
		if back(t, io, noisy.pid, "").recovered {
			t.Error("the noisy one was recovered, though its first events are gone")
		}
	})
	t.Run("sockets", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute, MaxSockets: 2}})
			var pids []string
			for range 3 {
				p := back(t, io, "", "")
				p.leave()
				pids = append(pids, p.pid)
				synctest.Wait()
			}
			if n := io.Stats().Recoverable; n != 2 {
				t.Errorf("%d are kept", n)
			}
			for i, want := range []bool{false, true, true} {
				if got := back(t, io, pids[i], "").recovered; got != want {
					t.Errorf("socket %d: recovered %v, want %v", i, got, want)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := io.Stats().Recoverable; n != 0 {
				t.Errorf("%d are kept too long", n)
			}
		})
	})
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		for _, offset := range []string{"x", "-", "-1", strings.Repeat("z", 64), strings.Repeat("z", 1000), "\x00"} {
			p := back(t, io, "", "")
			p.leave()
			if back(t, io, p.pid, offset).recovered {
				t.Errorf("offset %q was accepted", offset)
			}
		}
		for _, pid := range []string{"x", strings.Repeat("z", 64), strings.Repeat("z", 1000)} {
			if back(t, io, pid, "").recovered {
				t.Errorf("private ID %q was accepted", pid)
			}
		}
	})
}

// A state is kept for the window, counted from when the server noticed; and it can be
// taken once.
func TestRecovery_Window(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		for _, tt := range []struct {
			after time.Duration
			want  bool
		}{{59 * time.Second, true}, {time.Minute, false}} {
			p := back(t, io, "", "")
			p.leave()
			synctest.Wait()
			time.Sleep(tt.after)
			again := back(t, io, p.pid, "")
			if again.recovered != tt.want {
				t.Errorf("after %v: recovered %v, want %v", tt.after, again.recovered, tt.want)
			}
		}
		p := back(t, io, "", "")
		p.conn.Close(transport.ForcedClose)
		synctest.Wait()
		if back(t, io, p.pid, "").recovered {
			t.Error("a socket that the server closed came back")
		}
	})
}

// A middleware that refuses does not cost the client its state: it may come again.
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
	p := back(t, io, "", "")
	p.leave()
	refuse = &socketbridge.ConnectError{Message: "not now"}
	again := dial(t, io)
	again.send(`0{"pid":"` + p.pid + `"}`)
	again.expect(`4{"message":"not now"}`)
	refuse = nil
	if q := back(t, io, p.pid, ""); !q.recovered || q.sid != p.sid {
		t.Error("the refusal cost it its state")
	}
}

// What is put back after a refusal is kept once, and no longer than it would have been.
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
		p := back(t, io, "", "")
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
			t.Errorf("%d sockets are kept, a minute after their time", n)
		}
	})
}
