package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// A client that answers twice does not count for another one.
func TestBroadcast_AnswersCountOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		a, b := join(t, io, "/"), join(t, io, "/")
		got := make(chan []socketbridge.Answer, 1)
		go func() { // received below
			answers, _ := io.Broadcast().EmitWithAck(context.Background(), "q")
			got <- answers
		}()
		id := strings.TrimSuffix(strings.TrimPrefix(a.next(), "2"), `["q"]`)
		b.next()
		a.send("3" + id + `["a"]`)
		a.send("3" + id + `["again"]`)
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("got %d answers before the second client's", len(<-got))
		}
		b.send("3" + id + `["b"]`)
		if answers := <-got; len(answers) != 2 || string(answers[1].Args()[0]) != `"b"` {
			t.Errorf("got %d answers, want those of both clients", len(answers))
		}
	})
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.OnConnection(func(s *socketbridge.Socket) {
		s.On("rooms", func(p *socketbridge.Packet) error {
			var rooms []string
			if err := p.Bind(&rooms); err != nil {
				return err
			}
			if err := s.Join(rooms...); err != nil {
				return err
			}
			return p.Ack(s.Rooms()[1:])
		})
		s.On("shout", func(p *socketbridge.Packet) error { return s.Broadcast().Emit("m", "shout") })
		s.On("near", func(p *socketbridge.Packet) error { return s.To("r1").Emit("m", "near") })
		s.On("not", func(p *socketbridge.Packet) error { return s.Except("r1").Emit("m", "not") })
	})
	names := []string{"none", "r1", "r2", "r1 and r2"}
	in := []string{`[]`, `["r1"]`, `["r2"]`, `["r1","r2"]`}
	peers := make([]*peer, len(names))
	for i := range peers {
		peers[i] = join(t, io, "/")
		peers[i].send(`20["rooms",` + in[i] + `]`)
		peers[i].expect(`30[` + in[i] + `]`)
	}
	id := peers[0].sid
	for i, tt := range []struct {
		name string
		do   func(m string) error
		want []int
	}{
		{"all", func(m string) error { return io.Emit("m", m) }, []int{0, 1, 2, 3}},
		{"to one room", func(m string) error { return io.To("r1").Emit("m", m) }, []int{1, 3}},
		{"to two rooms, once each", func(m string) error { return io.To("r1").To("r2").Emit("m", m) }, []int{1, 2, 3}},
		{"in is to", func(m string) error { return io.In("r1", "r2").Emit("m", m) }, []int{1, 2, 3}},
		{"except", func(m string) error { return io.Except("r1").Emit("m", m) }, []int{0, 2}},
		{"to and except", func(m string) error { return io.To("r1").Except("r2").Emit("m", m) }, []int{1}},
		{"to a socket by its ID", func(m string) error { return io.To(id).Emit("m", m) }, []int{0}},
		{"to an empty room", func(m string) error { return io.To("empty").Emit("m", m) }, nil},
		{"another namespace", func(m string) error { return io.Of("/x").Emit("m", m) }, nil},
		{"volatile", func(m string) error { return io.Of("/").Broadcast().Volatile().Emit("m", m) }, []int{0, 1, 2, 3}},
	} {
		m := fmt.Sprint("message ", i)
		if err := tt.do(m); err != nil {
			t.Fatal(err)
		}
		for _, w := range tt.want {
			if got := peers[w].next(); got != `2["m","`+m+`"]` {
				t.Errorf("%s: peer %q got %s, want %s", tt.name, names[w], got, m)
			}
		}
	}
	peers[1].send(`2["shout"]`)
	for _, i := range []int{0, 2, 3} {
		peers[i].expect(`2["m","shout"]`)
	}
	peers[1].send(`2["near"]`)
	peers[3].expect(`2["m","near"]`)
	peers[2].send(`2["not"]`)
	peers[0].expect(`2["m","not"]`)
	// A peer that got too much would receive it before this.
	_ = io.Emit("end")
	for _, p := range peers {
		p.expect(`2["end"]`)
	}

	io.To("r1").Sockets()[0].Leave("r1")
	if n := len(io.To("r1").Sockets()); n != 1 {
		t.Errorf("got %d sockets in r1, want 1", n)
	}
	if err := io.To("r2").Join("r3"); err != nil {
		t.Error(err)
	}
	if n := len(io.To("r3").Sockets()); n != 2 {
		t.Errorf("got %d sockets in r3, want 2", n)
	}
	io.To("r3").Leave("r3")
	if n := len(io.To("r3").Sockets()); n != 0 {
		t.Errorf("got %d sockets in r3, want 0", n)
	}
	io.To("r2").Disconnect(false)
	peers[2].expect("1")
	peers[3].expect("1")
	io.To(id).Disconnect(true)
	if reason := peers[0].waitForClose(); reason != transport.ForcedClose {
		t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
	}
}

// A broadcast to an empty list of rooms reaches no socket.
func TestBroadcast_ToNoRoom(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	p := join(t, io, "/")
	var friends []string
	for _, b := range []socketbridge.Broadcast{io.To(friends...), io.In(friends...), onlySocket(t, io).To(friends...), io.Except("x").To(friends...)} {
		if err := b.Emit("none"); err != nil || len(b.Sockets()) != 0 {
			t.Errorf("got error %v and %d sockets, want none", err, len(b.Sockets()))
		}
	}
	if err := errors.Join(io.To(friends...).To(p.sid).Emit("one"), io.Except(friends...).Emit("all")); err != nil {
		t.Fatal(err)
	}
	p.expect(`2["one"]`, `2["all"]`)
}

func TestBroadcastWithAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		a, b, gone, mute := join(t, io, "/"), join(t, io, "/"), join(t, io, "/"), join(t, io, "/")
		answer := func(p *peer, with string) {
			id := strings.TrimSuffix(strings.TrimPrefix(p.next(), "2"), `["q"]`)
			p.send("3" + id + with)
		}
		go answer(a, `["a"]`) // the synctest bubble waits for these goroutines
		go answer(b, `["b"]`)
		go func() {
			gone.next()
			gone.leave()
		}()
		begin := time.Now()
		answers, err := io.Of("/").Broadcast().Timeout(5*time.Second).EmitWithAck(context.Background(), "q")
		if !errors.Is(err, socketbridge.ErrAckTimeout) || time.Since(begin) != 5*time.Second {
			t.Errorf("got error %v after %v, want ErrAckTimeout after 5 s", err, time.Since(begin))
		}
		if len(answers) != 2 {
			t.Errorf("got %d answers, want 2", len(answers))
		}
		mute.next()
		mute.leave()
		synctest.Wait()
		go answer(a, `[]`)
		go answer(b, `[]`)
		answers, err = io.Of("/").Broadcast().EmitWithAck(context.Background(), "q")
		if err != nil || len(answers) != 2 {
			t.Errorf("got %d answers and error %v, want 2", len(answers), err)
		}
	})
}

// TestD14_SlowClient checks that a client that does not read is disconnected without
// delaying others.
func TestD14_SlowClient(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	slow, healthy := join(t, io, "/"), join(t, io, "/")
	slow.conn.Limit(100)
	for i := range 1000 {
		if err := io.Emit("n", i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		healthy.expect(fmt.Sprintf(`2["n",%d]`, i))
	}
	if reason := slow.waitForClose(); reason != transport.TransportError {
		t.Errorf("closed with %q, want %q", reason, transport.TransportError)
	}
	waitFor(t, "the slow client's socket to end", func() bool {
		sockets := io.Sockets()
		return len(sockets) == 1 && sockets[0].ID() == healthy.sid
	})
}

func TestB2_TheSessionIsARoom(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).counter()
	s.io.On("notify", func(p *socketbridge.Packet) error {
		return errors.Join(p.Socket().ToSession().Emit("notified", "others"), s.io.ToSession(p.Session()).Emit("notified", "all"))
	})
	s.serve()
	a, b := s.agent(), s.agent()
	a.post("/incr")
	b.post("/incr")
	first, second := a.connect(n, "/", nodetest.Options{}), a.connect(n, "/", nodetest.Options{Transports: []string{"polling"}})
	stranger := b.connect(n, "/", nodetest.Options{})
	first.Emit("notify")
	equal(t, "event in the other tab", second.MustNext("notified").String(), `["others"]`)
	equal(t, "event in the other tab", second.MustNext("notified").String(), `["all"]`)
	equal(t, "event in the emitting tab", first.MustNext("notified").String(), `["all"]`)
	stranger.MustCall("count") // anything sent to it before has arrived now
	if got := first.Waiting("notified") + second.Waiting("notified") + stranger.Waiting("notified"); got != 0 {
		t.Errorf("got %d more notified events, want 0", got)
	}
	for _, sock := range s.io.Sockets() {
		for _, room := range sock.AllRooms() {
			if strings.Contains(room, a.sessionID()) || strings.Contains(room, b.sessionID()) {
				t.Errorf("the room name %q contains a session ID", room)
			}
		}
	}
}

func TestB3_HTTPHandlerEmitsToItsSession(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{})
	s.app.Post("/incr", func(c *fiber.Ctx) error {
		sess := fibersession.FromContext(c)
		n, err := sess.Incr("count", 1)
		if err != nil {
			return err
		}
		return s.io.ToSession(sess).Emit("current count", n)
	})
	s.io.On("sync", func(p *socketbridge.Packet) error { return p.Ack() })
	s.serve()
	a, b := s.agent(), s.agent()
	a.post("/incr")
	b.post("/incr")
	tabs := []*nodetest.Client{a.connect(n, "/", nodetest.Options{}), a.connect(n, "/", nodetest.Options{Transports: []string{"websocket"}})}
	stranger := b.connect(n, "/", nodetest.Options{})
	for i := 2; i < 5; i++ {
		a.post("/incr")
		for _, tab := range tabs {
			equal(t, "current count", tab.MustNext("current count").String(), fmt.Sprintf("[%d]", i))
		}
	}
	stranger.MustCall("sync")
	if got := stranger.Waiting("current count"); got != 0 {
		t.Errorf("another session got %d events, want 0", got)
	}
}
