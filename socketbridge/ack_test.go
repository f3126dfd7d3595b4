package socketbridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// onlySocket returns the server's only socket.
func onlySocket(t testing.TB, io *socketbridge.Server) *socketbridge.Socket {
	t.Helper()
	all := io.Sockets()
	if len(all) != 1 {
		t.Fatalf("got %d sockets, want 1", len(all))
	}
	return all[0]
}

func TestAckToClient(t *testing.T) {
	t.Parallel()
	var kept *socketbridge.Packet
	second := make(chan error, 1)
	io := newServer(t, socketbridge.Config{})
	io.On("plain", func(p *socketbridge.Packet) error { return p.Ack(1, "two", nil, []string{"<three>"}) })
	io.On("none", func(p *socketbridge.Packet) error {
		if p.WantsAck() {
			t.Error("WantsAck is true for an event without an acknowledgement")
		}
		return p.Ack("not sent")
	})
	io.On("twice", func(p *socketbridge.Packet) error {
		err := p.Ack("first")
		second <- p.Ack("second")
		return err
	})
	io.On("later", func(p *socketbridge.Packet) error { kept = p; return nil })
	io.On("now", func(p *socketbridge.Packet) error { return errors.Join(kept.Ack("late"), p.Ack("now")) })
	io.On("unencodable", func(p *socketbridge.Packet) error {
		if err := p.Ack(make(chan int)); err == nil {
			t.Error("Ack of a channel succeeded, want an error")
		}
		return p.Ack("another try")
	})
	io.On("fails", func(p *socketbridge.Packet) error {
		return fmt.Errorf("wrapped: %w", &socketbridge.EventError{Code: "no_money", Message: "broke", Data: 7})
	})

	c := join(t, io, "/")
	c.send(`21["plain"]`)
	c.expect(`31[1,"two",null,["<three>"]]`)
	c.send(`2["none"]`)
	c.send(`2000000000000003["twice"]`)
	c.expect(`33["first"]`)
	if err := <-second; !errors.Is(err, socketbridge.ErrAcked) {
		t.Errorf("second answer: got error %v, want ErrAcked", err)
	}
	c.send(`24["later"]`)
	c.send(`25["now"]`)
	c.expect(`34["late"]`, `35["now"]`)
	c.send(`26["unencodable"]`)
	c.expect(`36["another try"]`)
	c.send(`27["fails"]`)
	c.expect(`37[{"error":{"code":"no_money","message":"broke","data":7}}]`)
}

func TestEmitWithAck(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		io.On("ask", func(p *socketbridge.Packet) error { // in a handler: the answer comes while it runs
			a, err := p.Socket().EmitWithAck(p.Context(), "question", "x")
			if err != nil {
				return err
			}
			var n int
			var text string
			if err := a.Bind(&n, &text); err != nil {
				return err
			}
			return p.Ack(n, text)
		})
		c := join(t, io, "/")
		c.send(`21["ask"]`)
		q := c.next()
		id := strings.TrimSuffix(strings.TrimPrefix(q, "2"), `["question","x"]`)
		c.send("3" + id + `[42,"yes"]`)
		c.expect(`31[42,"yes"]`)
		c.send("3" + id + `[43,"again"]`) // a second answer is ignored
		c.send(`2["ask"]`)
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			begin := time.Now()
			if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) || time.Since(begin) != 30*time.Second {
				t.Errorf("got error %v after %v, want ErrAckTimeout after 30 s", err, time.Since(begin))
			}
			begin = time.Now()
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) || time.Since(begin) != time.Minute {
				t.Errorf("got error %v after %v, want ErrAckTimeout after 1 min", err, time.Since(begin))
			}
			ctx, cancel = context.WithCancel(bg)
			time.AfterFunc(time.Second, cancel)
			if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled", err)
			}
		})
	})
	t.Run("disconnect ends the wait", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		c := join(t, io, "/")
		s := onlySocket(t, io)
		got := make(chan error, 1)
		go func() { // ends with the wait below
			_, err := s.EmitWithAck(bg, "e")
			got <- err
		}()
		c.next()
		c.leave()
		if err := <-got; !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("during the wait: got error %v, want ErrDisconnected", err)
		}
		if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Errorf("after the disconnect: got error %v, want ErrDisconnected", err)
		}
	})
	t.Run("a timeout frees the pending acknowledgement", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			defer cancel()
			for range 3000 { // 1024 may be pending
				if _, err := s.EmitWithAck(ctx, "e"); !errors.Is(err, socketbridge.ErrAckTimeout) {
					t.Fatalf("got error %v, want ErrAckTimeout", err)
				}
			}
		})
	})
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			join(t, io, "/")
			s := onlySocket(t, io)
			for range 1024 {
				go s.EmitWithAck(bg, "e") // the bubble waits for it
			}
			synctest.Wait()
			if _, err := s.EmitWithAck(bg, "e"); !errors.Is(err, socketbridge.ErrTooManyAcks) {
				t.Errorf("got error %v, want ErrTooManyAcks", err)
			}
		})
	})
	t.Run("reserved names", func(t *testing.T) {
		t.Parallel()
		io := newServer(t, socketbridge.Config{})
		join(t, io, "/")
		s := onlySocket(t, io)
		for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
			if err := s.Emit(name); !errors.Is(err, socketbridge.ErrReservedEvent) {
				t.Errorf("Emit of %s: got error %v, want ErrReservedEvent", name, err)
			}
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
	if n := len(io.Sockets()); n != 1 {
		t.Errorf("got %d sockets, want 1", n)
	}
}

// TestD16_EmitAfterDisconnect checks that Emit to a disconnected socket returns at once.
func TestD16_EmitAfterDisconnect(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := join(t, io, "/")
	s := onlySocket(t, io)
	c.leave()
	for range 300 {
		if err := s.Emit("e"); !errors.Is(err, socketbridge.ErrDisconnected) {
			t.Fatalf("Emit: got error %v, want ErrDisconnected", err)
		}
	}
	if err := s.Join("r"); !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Errorf("Join: got error %v, want ErrDisconnected", err)
	}
}
