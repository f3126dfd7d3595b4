package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// S2: the function given to EmitWithAckFunc runs in the order of the socket's events, and
// the handler that asked is over by then.
func TestS2_AckFuncOrder(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	happened := make(events, 16)
	release := make(chan struct{})
	io.On("ask", func(p *socketbridge.Packet) error {
		err := p.Socket().EmitWithAckFunc("question", func(a socketbridge.Answer, err error) {
			var text string
			happened.add("answer %v %v %s", err, a.Bind(&text), text)
		}, 1)
		happened.add("asked %v", err)
		return nil
	})
	io.On("slow", func(*socketbridge.Packet) error { <-release; happened.add("slow"); return nil })
	io.On("say", func(p *socketbridge.Packet) error { happened.add("say %s", p.Args()[0]); return nil })
	c := join(t, io, "/")
	c.send(`2["ask"]`)
	happened.expect(t, "asked <nil>")
	c.expect(`21["question",1]`)
	c.send(`2["slow"]`)
	c.send(`2["say",1]`)
	c.send(`31["yes"]`)
	c.send(`31["again"]`) // a second answer is ignored
	c.send(`2["say",2]`)
	close(release)
	happened.expect(t, "slow", "say 1", "answer <nil> <nil> yes", "say 2")
}

// S2: fn is called once whatever ends the wait, and before the disconnect handlers.
func TestS2_AckFuncEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(c *peer, s *socketbridge.Socket)
		want []string
	}{
		{"timeout", func(*peer, *socketbridge.Socket) {}, []string{"timeout"}},
		{"the client leaves", func(c *peer, _ *socketbridge.Socket) { c.leave() }, []string{"disconnected", "bye"}},
		{"the server disconnects", func(_ *peer, s *socketbridge.Socket) { s.Disconnect() }, []string{"disconnected", "bye"}},
		{"the client leaves after the timeout", func(c *peer, _ *socketbridge.Socket) {
			time.Sleep(11 * time.Second)
			c.leave()
		}, []string{"timeout", "bye"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				io := newServer(t, socketbridge.Config{})
				happened := make(events, 16)
				io.OnConnection(func(s *socketbridge.Socket) {
					s.OnDisconnecting(func(socketbridge.Reason) { happened.add("bye") })
				})
				c := join(t, io, "/")
				s := onlySocket(t, io)
				if err := s.Timeout(10*time.Second).EmitWithAckFunc("q", func(_ socketbridge.Answer, err error) {
					switch {
					case errors.Is(err, socketbridge.ErrAckTimeout):
						happened.add("timeout")
					case errors.Is(err, socketbridge.ErrDisconnected):
						happened.add("disconnected")
					default:
						happened.add("%v", err)
					}
				}); err != nil {
					t.Fatal(err)
				}
				tt.end(c, s)
				happened.expect(t, tt.want...)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				c.leave()
				synctest.Wait()
				if tt.name == "timeout" {
					happened.expect(t, "bye")
				}
				if len(happened) != 0 {
					t.Errorf("then happened: %s", <-happened)
				}
				err := s.EmitWithAckFunc("q", func(socketbridge.Answer, error) { t.Error("fn was called after the end") })
				if !errors.Is(err, socketbridge.ErrDisconnected) {
					t.Errorf("after the end: got error %v, want ErrDisconnected", err)
				}
				synctest.Wait()
			})
		})
	}
}

// S2, R5: answers whose function waits behind a slow handler count as pending, so that a
// client cannot make the server keep more of them.
func TestS2_AckFuncsAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 1024
	io := newServer(t, socketbridge.Config{Limits: socketbridge.Limits{EventsPerSecond: -1}})
	release := make(chan struct{})
	io.On("slow", func(*socketbridge.Packet) error { <-release; return nil })
	c := join(t, io, "/")
	s := onlySocket(t, io)
	c.send(`2["slow"]`)
	called := make(chan struct{}, 2*limit)
	ask := func() error {
		return s.Volatile().EmitWithAckFunc("q", func(socketbridge.Answer, error) { called <- struct{}{} })
	}
	for range limit {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask(); !errors.Is(err, socketbridge.ErrTooManyAcks) {
		t.Fatalf("got error %v, want ErrTooManyAcks", err)
	}
	for i := range limit {
		c.send(fmt.Sprintf(`3%d[]`, i+1))
	}
	if err := ask(); !errors.Is(err, socketbridge.ErrTooManyAcks) {
		t.Fatalf("with all answers waiting for their function: got error %v, want ErrTooManyAcks", err)
	}
	close(release)
	for range limit {
		<-called
	}
	waitFor(t, "room for another answer", func() bool { return ask() == nil })
}

// A panic in the function is contained, and its place is free again.
func TestS2_AckFuncPanics(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := join(t, io, "/")
	s := onlySocket(t, io)
	if err := s.EmitWithAckFunc("q", func(socketbridge.Answer, error) { panic("oops") }); err != nil {
		t.Fatal(err)
	}
	c.expect(`21["q"]`)
	c.send(`31[]`)
	done := make(chan struct{})
	if err := s.EmitWithAckFunc("q", func(socketbridge.Answer, error) { close(done) }); err != nil {
		t.Fatal(err)
	}
	c.expect(`22["q"]`)
	c.send(`32[]`)
	<-done
}

// S2: the official client answers, and the session changes of the function are saved.
func TestS2_AckFuncSavesTheSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	s.io.On("ask", func(p *socketbridge.Packet) error {
		sock := p.Socket()
		return sock.Timeout(time.Minute).Compress(true).EmitWithAckFunc("how many", func(a socketbridge.Answer, err error) {
			var n int
			if err = errors.Join(err, a.Bind(&n)); err == nil {
				sock.Session().Set("count", n)
			}
			_ = sock.Emit("told", err == nil)
		})
	})
	s.serve()
	a := s.agent()
	c := a.connect(n, "/", byWebSocket)
	c.Answer("how many", 7)
	c.Emit("ask")
	equal(t, "event of the function", c.MustNext("told").String(), `[true]`)
	equal(t, "count after it", call(t, c, "count"), "7")
}

// S2: volatile events are dropped while the connection is not ready, and are no error.
func TestS2_VolatileToOneSocket(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{bridge: socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}}})
	s.io.On("say", func(p *socketbridge.Packet) error {
		return errors.Join(p.Socket().Volatile().Emit("volatile", 1), p.Ack(true))
	})
	s.serve()
	c := s.agent().connect(n, "/", byWebSocket)
	c.MustCall("say")
	equal(t, "volatile event on an idle connection", c.MustNext("volatile").String(), "[1]") // without an offset: it is not kept
	sock := s.io.Sockets()[0]
	sock.Close()
	<-sock.Done()
	if err := sock.Volatile().Emit("volatile"); !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Errorf("after the end: got error %v, want ErrDisconnected", err)
	}
}

func TestS2_EmitterTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		c := join(t, io, "/")
		began := time.Now()
		_, err := onlySocket(t, io).Timeout(3*time.Second).EmitWithAck(context.Background(), "q")
		if took := time.Since(began); !errors.Is(err, socketbridge.ErrAckTimeout) || took != 3*time.Second {
			t.Errorf("got error %v after %v, want ErrAckTimeout after 3s", err, took)
		}
		c.leave()
		synctest.Wait()
	})
}

// S2: the listeners of OnAnyOutgoing see what the client is sent: in order, from all
// sources, with the arguments as they were given.
func TestS2_OnAnyOutgoing(t *testing.T) {
	t.Parallel()
	for name, recovery := range map[string]socketbridge.Recovery{"": {}, "recovery": {Window: time.Minute}} {
		for kind, join := range map[string]func(hub *adapter.Memory) adapter.Adapter{
			"own":    func(hub *adapter.Memory) adapter.Adapter { return noLogAdapter{hub.Join()} },
			"shared": (*adapter.Memory).Join,
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				testOnAnyOutgoing(t, recovery, join)
			})
		}
	}
}

// noLogAdapter hides the log of an adapter, so that recovery is local.
type noLogAdapter struct{ adapter.Adapter }

func testOnAnyOutgoing(t *testing.T, recovery socketbridge.Recovery, joinHub func(*adapter.Memory) adapter.Adapter) {
	hub := adapter.NewMemory()
	a := newServer(t, socketbridge.Config{Adapter: joinHub(hub), Recovery: recovery})
	b := newServer(t, socketbridge.Config{Adapter: joinHub(hub), Recovery: recovery})
	waitForLinks(t, a, b)
	seen := make(events, 32)
	var off func()
	listening := make(chan *socketbridge.Socket, 1)
	a.OnConnection(func(s *socketbridge.Socket) {
		off = s.OnAnyOutgoing(func(e *socketbridge.OutgoingEvent) {
			var n int
			var blob []byte
			seen.add("%s %d %v %d %q", e.Event(), len(e.Args()), e.Bind(&n, &blob), n, blob)
			_ = s.Rooms() // no lock is held
		})
		s.PrependAnyOutgoing(func(e *socketbridge.OutgoingEvent) { seen.add("first") })
		listening <- s
	})
	c := join(t, a, "/")
	s := <-listening
	other := join(t, a, "/") // its own listeners do not hear of events to the first
	<-listening
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		emit func() error
	}{
		{"Socket.Emit", func() error { return s.Emit("a", 1, []byte("x")) }},
		{"volatile", func() error { return s.Volatile().Emit("a", 1, []byte("x")) }},
		{"a broadcast", func() error { return a.To(c.sid).Emit("a", 1, []byte("x")) }},
		{"a broadcast of another node", func() error { return b.To(c.sid).Emit("a", 1, []byte("x")) }},
		{"EmitWithAckFunc", func() error {
			return s.EmitWithAckFunc("a", func(socketbridge.Answer, error) {}, 1, []byte("x"))
		}},
	} {
		must(tt.emit())
		seen.expect(t, "first", `a 2 <nil> 1 "x"`)
		c.nextMessage()
		if m := c.nextMessage(); !m.Binary {
			t.Fatalf("%s: got %s", tt.name, m.Data)
		}
	}
	must(a.To(other.sid).Emit("b"))
	seen.expect(t, "first", fmt.Sprintf(`b 0 %v 0 ""`, fmt.Errorf("%w: the answer has 0 arguments, Bind wants 2", socketbridge.ErrMissingArg)))
	off() // of the second socket
	must(a.To(other.sid).Emit("b"))
	seen.expect(t, "first")
	s.OffAnyOutgoing()
	must(s.Emit("a", 1))
	if len(seen) > 0 {
		t.Errorf("heard %s", <-seen)
	}
}
