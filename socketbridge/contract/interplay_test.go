package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// steps records what happened, in order. It is safe for concurrent use.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) add(what string) { s.mu.Lock(); s.all = append(s.all, what); s.mu.Unlock() }

// want compares what happened since the last call.
func (s *steps) want(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.all, want) {
		t.Errorf("got %v, want %v", s.all, want)
	}
	s.all = nil
}

// TestM1_CatchAllAndMiddlewares: what does not fit passes middlewares and catch-all handlers as
// any other event. They get its arguments, and a middleware that refuses it keeps it from the
// check.
func TestM1_CatchAllAndMiddlewares(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	var s steps
	Double.Handle(io, func(_ *socketbridge.Packet, n int) (int, error) { s.add("typed"); return 2 * n, nil })
	io.OnConnection(func(so *socketbridge.Socket) {
		so.Use(func(p *socketbridge.Packet) error {
			s.add("use")
			if string(p.Args()[0]) == `"refuse"` {
				return &socketbridge.EventError{Code: "refused"}
			}
			return p.Next()
		})
		so.OnAny(func(p *socketbridge.Packet) error { s.add("any " + string(p.Args()[0])); return nil })
	})
	c := bridgetest.Dial(t, io)
	c.Ask("double", 2).Want(4)
	s.want(t, "use", "any 2", "typed")
	c.Ask("double", "x").WantError(contract.CodeInvalidArgument)
	s.want(t, "use", `any "x"`)
	c.Ask("double", "refuse").WantError("refused")
	s.want(t, "use")
}

// TestM1_TypedAndPlain: on one event, typed and plain handlers run in the order of their
// registration, and what does not fit keeps no other handler from running or answering. SetArgs
// of a middleware is what the typed handler gets.
func TestM1_TypedAndPlain(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	var s steps
	plain := func(name string) socketbridge.Handler {
		return func(p *socketbridge.Packet) error {
			s.add(name)
			if string(p.Args()[0]) == `"mine"` {
				return p.Ack(name)
			}
			return nil
		}
	}
	typed := func(name string) func(*socketbridge.Packet, int) (contract.None, error) {
		return func(p *socketbridge.Packet, n int) (contract.None, error) {
			s.add(name)
			return contract.None{}, nil
		}
	}
	e := contract.Event[int, contract.None]("e")
	io.On("e", plain("first"))
	e.Handle(io, typed("second"))
	io.On("e", plain("third"))
	contract.Event[string, contract.None]("e").Handle(io, func(*socketbridge.Packet, string) (contract.None, error) {
		s.add("fourth")
		return contract.None{}, nil
	})
	set := func(p *socketbridge.Packet) error { return errors.Join(p.SetArgs(7), p.Next()) }
	contract.Event[int, int]("set").Handle(contract.Use(io, set), func(_ *socketbridge.Packet, n int) (int, error) { return n, nil })
	c := bridgetest.Dial(t, io)
	c.Emit("e", 1)
	c.Settle()
	s.want(t, "first", "second", "third")
	c.Ask("e", "mine").Want("first") // the first answer counts
	s.want(t, "first", "third", "fourth")
	c.Ask("set", "x").Want(7)
}

// TestM1_Namespaces: an event of one name can have another type in each namespace, and those of a
// pattern are one.
func TestM1_Namespaces(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	const ofInt, ofText = contract.Event[int, string]("e"), contract.Event[string, string]("e")
	name := func(p *socketbridge.Packet) string { return p.Socket().Namespace().Name() }
	ofInt.Handle(io, func(p *socketbridge.Packet, n int) (string, error) { return fmt.Sprint(name(p), n), nil })
	rooms := io.OfPattern(regexp.MustCompile(`/room-\d+`))
	ofText.Handle(rooms, func(p *socketbridge.Packet, text string) (string, error) {
		return name(p) + text, Said.Emit(p.Socket().Namespace(), Move{X: 1})
	})
	root := bridgetest.Dial(t, io)
	one, two := root.Join("/room-1"), root.Join("/room-2")
	root.Ask("e", 1).Want("/1")
	root.Ask("e", "x").WantError(contract.CodeInvalidArgument)
	one.Ask("e", "x").Want("/room-1x")
	one.Want("said", 1, 0)
	two.WantNothing()
	two.Ask("e", 1).WantError(contract.CodeInvalidArgument)
	if err := Said.Emit(rooms, Move{X: 2}); err != nil { // all children
		t.Fatal(err)
	}
	one.Want("said", 2, 0)
	two.Want("said", 2, 0)
	root.WantNothing()
}

// TestM1_OneSocket: a handler of one socket is none of the others, and gone with Off.
func TestM1_OneSocket(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	var s steps
	io.On("listen", func(p *socketbridge.Packet) error {
		Double.Handle(p.Socket(), func(p *socketbridge.Packet, n int) (int, error) { s.add("typed"); return n, nil })
		return p.Ack()
	})
	io.On("stop", func(p *socketbridge.Packet) error { p.Socket().Off("double"); return p.Ack() })
	one, other := bridgetest.Dial(t, io), bridgetest.Dial(t, io)
	one.Ask("listen").Want()
	one.Ask("double", 1).Want(1)
	other.Emit("double", 1)
	other.Emit("double", "x")
	other.Settle()
	s.want(t, "typed")
	if n := io.Stats().Notices["invalid_argument"]; n != 0 {
		t.Errorf("an event that nobody handles was checked %d times", n)
	}
	one.Ask("stop").Want()
	one.Emit("double", 1)
	one.Settle()
	s.want(t)
}

// TestM1_Rooms: a notice reaches the sockets of a broadcast, and no other.
func TestM1_Rooms(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	contract.Event[string, contract.None]("join").Handle(io, func(p *socketbridge.Packet, room string) (contract.None, error) {
		return contract.None{}, p.Socket().Join(room)
	})
	a, b, c := bridgetest.Dial(t, io), bridgetest.Dial(t, io), bridgetest.Dial(t, io)
	a.Ask("join", "r").Want()
	b.Ask("join", "r").Want()
	b.Ask("join", "quiet").Want()
	c.Ask("join", "").WantError(socketbridge.CodeInternal) // of Join
	if err := errors.Join(Said.Emit(io.To("r").Except("quiet"), Move{X: 1}), Said.Emit(io.To("r"), Move{X: 2})); err != nil {
		t.Fatal(err)
	}
	a.Want("said", 1)
	a.Want("said", 2)
	b.Want("said", 2)
	a.WantNothing()
	b.WantNothing()
	c.WantNothing()
}

// TestM1_AskInTime: an Ask ends with its context and its timeout, and a late answer is none of the
// next question.
func TestM1_AskInTime(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	c := bridgetest.Dial(t, io)
	s := c.Socket()
	if _, err := Sure.Emit(context.Background(), s.Timeout(1), Item{}); !errors.Is(err, socketbridge.ErrAckTimeout) {
		t.Errorf("got %v, want ErrAckTimeout", err)
	}
	late := c.Want("sure")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Sure.Emit(ended, s, Item{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	c.Discard()
	c.On("sure", func(e *bridgetest.Event) { late.Answer("nonsense"); e.Answer("high") })
	if level, err := Sure.Emit(context.Background(), s, Item{}); level != High || err != nil {
		t.Errorf("got %v, %v; want high", level, err)
	}
	c.Drop()
	if _, err := Sure.Emit(context.Background(), s, Item{}); !errors.Is(err, socketbridge.ErrDisconnected) {
		t.Errorf("got %v, want ErrDisconnected", err)
	}
}

// TestM1_AskAll: the answers of a broadcast that fit are returned, also if others do not fit or do
// not come.
func TestM1_AskAll(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	answer := func(args ...any) {
		bridgetest.Dial(t, io).On("sure", func(e *bridgetest.Event) { e.Answer(args...) })
	}
	ask := func(to contract.AllAsker) ([]Level, error) {
		levels, err := Sure.EmitAll(context.Background(), to, Item{Name: "n", Level: Low})
		slices.Sort(levels)
		return levels, err
	}
	if levels, err := ask(io.Broadcast()); levels == nil || len(levels) != 0 || err != nil {
		t.Errorf("without sockets: got %v, %v", levels, err)
	}
	answer("low")
	answer("high", "more")
	if levels, err := ask(io.Broadcast()); !slices.Equal(levels, []Level{High, Low}) || err != nil {
		t.Errorf("got %v, %v; want both answers", levels, err)
	}
	answer("mid")
	answer()
	levels, err := ask(io.Broadcast())
	var misfit *contract.AnswerError
	if !slices.Equal(levels, []Level{High, Low}) || !errors.As(err, &misfit) || misfit.Event != "sure" || misfit.Path != "/0" {
		t.Errorf("got %v, %v; want both answers that fit, and the path of one that does not", levels, err)
	}
	bridgetest.Dial(t, io) // does not answer
	levels, err = ask(io.Broadcast().Timeout(50 * time.Millisecond))
	if len(levels) > 2 || !errors.Is(err, socketbridge.ErrAckTimeout) {
		t.Errorf("got %v, %v; want ErrAckTimeout", levels, err)
	}
	if levels, err := ask(io.To("")); levels == nil || !errors.Is(err, socketbridge.ErrRoomName) {
		t.Errorf("got %v, %v; want ErrRoomName", levels, err)
	}
}

// TestM1_Repeats: a repeated event is handled once, and a repeat of one that does not fit gets
// the same answer.
func TestM1_Repeats(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	var s steps
	order := contract.Event[string, int]("order")
	order.Handle(contract.Use(io, socketbridge.Idempotent()), func(_ *socketbridge.Packet, what string) (int, error) {
		s.add(what)
		return len(what), nil
	})
	c := bridgetest.Dial(t, io)
	for range 2 {
		c.Ask("order", "tea", "page-0").Want(3)
		c.Ask("order", 7, "page-1").WantError(contract.CodeInvalidArgument)
	}
	c.Ask("order", "milk", "page-0").WantError(socketbridge.CodeOffsetReused)
	c.Ask("order", "milk", "page-1").WantError(socketbridge.CodeOffsetReused)
	c.Ask("order", "milk", "page-2").Want(4)
	s.want(t, "tea", "milk")
}

// TestM1_Recovery: notices that a client missed arrive after it has come back, in their order
// among plain events, and its own handlers are there.
func TestM1_Recovery(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Logger: silent, Recovery: socketbridge.Recovery{Window: time.Minute}})
	io.OnConnection(func(s *socketbridge.Socket) {
		Double.Handle(s, func(_ *socketbridge.Packet, n int) (int, error) { return 2 * n, nil })
	})
	c := bridgetest.Dial(t, io)
	if err := Said.Emit(io, Move{X: 1}); err != nil {
		t.Fatal(err)
	}
	c.Want("said", 1)
	c.Drop()
	c.Disconnected()
	if err := errors.Join(Said.Emit(io, Move{X: 2}), io.Emit("plain", 3), Drawn.Emit(io, Circle{Icon: []byte{4}}), Said.Emit(io, Move{X: 5})); err != nil {
		t.Fatal(err)
	}
	c.Reconnect()
	if !c.Recovered() {
		t.Fatal("the socket was not recovered")
	}
	for _, want := range []string{"said", "plain", "drawn", "said"} {
		if e := c.Next(); e.Name != want {
			t.Errorf("got %s, want %s", e, want)
		}
	}
	c.Ask("double", 4).Want(8)
	c.Ask("double", "x").WantError(contract.CodeInvalidArgument)
}

// TestM1_Order: handlers run, and answers are sent, in the order of the events, whether they are
// typed, plain or refused.
func TestM1_Order(t *testing.T) {
	t.Parallel()
	const events = 600
	io := newServer(t)
	var got []string
	Double.Handle(io, func(p *socketbridge.Packet, n int) (int, error) {
		got = append(got, fmt.Sprint("typed ", n))
		return n, nil
	})
	io.On("plain", func(p *socketbridge.Packet) error {
		got = append(got, "plain "+string(p.Args()[0]))
		return p.Ack()
	})
	conn := answering{sent: make(chan string, events+1)}
	r, err := io.Accept(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Closed(transport.TransportClose, nil)
	send := func(text string) {
		if err := r.Receive(transport.Message{Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	send("0")
	<-conn.sent
	var want []string
	for i := range events {
		switch i % 3 {
		case 0:
			send(fmt.Sprintf(`2%d["double",%d]`, i, i))
			want = append(want, fmt.Sprint("typed ", i))
		case 1:
			send(fmt.Sprintf(`2%d["double","%d"]`, i, i))
		case 2:
			send(fmt.Sprintf(`2%d["plain",%d]`, i, i))
			want = append(want, fmt.Sprint("plain ", i))
		}
	}
	for i := range events {
		if answer := <-conn.sent; !strings.HasPrefix(answer, "3"+strconv.Itoa(i)+"[") {
			t.Fatalf("answer %d is %s", i, answer)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("handlers ran in another order: %v", got)
	}
}

// TestM1_ConcurrentHandlers: with Config.Concurrency, handlers of one socket run at the same time
// and each gets its own arguments.
func TestM1_ConcurrentHandlers(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{Logger: silent, Concurrency: 4})
	var running, most atomic.Int32
	full := make(chan struct{})
	Send.Handle(io, func(_ *socketbridge.Packet, in Upload) (Upload, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
			if n == 4 {
				close(full)
			}
		}
		if in.Name == "first" {
			<-full
		}
		running.Add(-1)
		in.Chunks = map[string][]byte{in.Name: in.Data}
		return in, nil
	})
	c := bridgetest.Dial(t, io)
	args := func(name string) []any {
		data := json.RawMessage(must(json.Marshal([]byte(name)))) // packets of several messages need a client each
		return []any{name, data, 1, "#" + name, "1s", json.RawMessage(`{"of":"` + name + `"}`)}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { c.Ask("send", args("first")...) })
	}
	all.Wait()
	for i := range 8 {
		all.Go(func() {
			for n := range 25 {
				name := fmt.Sprint("of ", i, " ", n)
				c.Ask("send", args(name)...).Want(name, []byte(name), 1, "#"+name, "1s", map[string]string{"of": name}, map[string][]byte{name: []byte(name)})
				c.Ask("send", name, "", 9).WantError(contract.CodeInvalidArgument)
			}
		})
	}
	all.Wait()
	if most.Load() != 4 {
		t.Errorf("%d handlers ran at the same time, want 4", most.Load())
	}
}

// TestM1_LimitsComeFirst: limits on depth and count refuse an event before it is checked.
func TestM1_LimitsComeFirst(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	register(io, func() { t.Error("a handler was reached") })
	c := bridgetest.Dial(t, io)
	deep := strings.Repeat(`{"left":`, 130) + "null" + strings.Repeat("}", 130)
	c.Ask("put", json.RawMessage(deep)).WantError(socketbridge.CodeBadArguments)
	c.Ask("double", make([]any, 65)...).WantError(socketbridge.CodeBadArguments)
	if got := io.Stats().Notices; got["packet_refused"] != 2 || got["invalid_argument"] != 0 {
		t.Errorf("counted %v, want packet_refused twice", got)
	}
}

// TestM1_Placeholders: an attachment is no object, also for a type without required fields. An
// object that looks like one is plain data in a packet without attachments.
func TestM1_Placeholders(t *testing.T) {
	t.Parallel()
	type options struct {
		A *int `json:"a"`
	}
	type byName = map[string]any
	io := newServer(t)
	contract.Event[options, options]("options").Handle(io, echo[options](func() {}))
	contract.Event[byName, byName]("map").Handle(io, echo[byName](func() {}))
	contract.Event[Code, Code]("code").Handle(io, echo[Code](func() {}))
	contract.Event[json.RawMessage, json.RawMessage]("raw").Handle(io, echo[json.RawMessage](func() {}))
	c := bridgetest.Dial(t, io)
	for event, expected := range map[string]string{"options": "an object", "map": "an object", "code": "another value", "raw": "a value without binary data"} {
		e := c.Ask(event, []byte{1}).WantError(contract.CodeInvalidArgument)
		if data, _ := e.Data.(map[string]any); data["path"] != "/0" || data["expected"] != expected {
			t.Errorf("%s: got %v", event, e)
		}
	}
	c.Ask("raw", map[string]any{"deep": []byte{1}}).WantError(contract.CodeInvalidArgument)
	alike := map[string]any{"_placeholder": true, "num": 0}
	c.Ask("map", alike).Want(alike)
	c.Ask("raw", alike).Want(alike)
	c.Ask("options", json.RawMessage(`{"_placeholder":true,"num":0,"a":7}`)).Want(map[string]int{"a": 7})
	c.Ask("map", map[string]any{"data": []byte{1}, "_placeholder": "no"}).Want(map[string]any{"data": []byte{1}, "_placeholder": "no"})
}
