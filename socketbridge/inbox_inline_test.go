package socketbridge_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// onReader reports whether the calling goroutine is one that reads from a client.
func onReader() bool {
	stack := make([]byte, 16<<10)
	return bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("engineio.(*conn).read("))
}

// inlinePeer is a client whose events are handled on the reader goroutine.
type inlinePeer struct {
	*wsPeer
	t   *testing.T
	ctx context.Context
}

func newInlinePeer(t *testing.T, s *site) inlinePeer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	peer, err := dialWebSocket(ctx, s, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.close(false) })
	return inlinePeer{peer, t, ctx}
}

func (p inlinePeer) send(packets ...string) {
	p.t.Helper()
	for _, packet := range packets {
		if err := p.write(p.ctx, packet); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p inlinePeer) want(packets ...string) {
	p.t.Helper()
	for _, want := range packets {
		if got, err := p.read(p.ctx); err != nil || got != want {
			p.t.Fatalf("got %q and error %v, want %q", got, err, want)
		}
	}
}

// onReader sends an event, and reports whether it was handled on the reader.
func (p inlinePeer) onReader(i int, namespace string) bool {
	p.t.Helper()
	p.send(fmt.Sprintf(`42%s%d["where"]`, namespace, i))
	got, err := p.read(p.ctx)
	answer, ok := strings.CutPrefix(got, fmt.Sprintf("43%s%d", namespace, i))
	if err != nil || !ok {
		p.t.Fatalf("got %q and error %v, want the answer to %d", got, err, i)
	}
	return answer == "[true]"
}

func inlineSite(t *testing.T, cfg socketbridge.Config) *site {
	t.Helper()
	s := newSite(t, options{bridge: cfg})
	s.io.On("where", func(p *socketbridge.Packet) error { return p.Ack(onReader()) })
	return s
}

func TestInline_EventsOfAnIdleSocket(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  socketbridge.Config
		want bool
	}{
		{"one at a time", socketbridge.Config{}, runtime.GOOS != "windows"},
		{"several at a time", socketbridge.Config{Concurrency: 2}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newInlinePeer(t, inlineSite(t, tt.cfg).serve())
			inline := false
			for i := 0; i < 100 && !inline; i++ { // on a busy machine, a handler can take long by chance
				inline = c.onReader(i, "")
			}
			if inline != tt.want {
				t.Errorf("events are handled on the reader: %v, want %v", inline, tt.want)
			}
		})
	}
}

// While a handler takes long, other packets of its client are handled, in the order of each
// socket. The socket's next events have a worker, and later ones the reader again.
func TestInline_SlowHandler(t *testing.T) {
	t.Parallel()
	s := inlineSite(t, socketbridge.Config{})
	release := make(chan struct{})
	s.io.On("slow", func(p *socketbridge.Packet) error { <-release; return p.Ack() })
	s.io.Of("/other").On("where", func(p *socketbridge.Packet) error { return p.Ack(onReader()) })
	c := newInlinePeer(t, s.serve())
	c.send("40/other,")
	if got, err := c.read(c.ctx); err != nil || !strings.HasPrefix(got, "40/other,{") {
		t.Fatal(got, err)
	}
	c.send(`420["slow"]`, `421["where"]`, `422["where"]`)
	for i := range 5 {
		c.onReader(i, "/other,")
	}
	close(release)
	c.want(`430[]`)
	for i := 1; i <= 2; i++ { // they waited for the slow handler, and its goroutine handles them
		if got, err := c.read(c.ctx); err != nil || !strings.HasPrefix(got, fmt.Sprintf("43%d[", i)) {
			t.Fatal(got, err)
		}
	}
	workers := 0
	for i := range 17 { // the first can find the goroutine of the slow handler still at work
		if !c.onReader(i, "") {
			workers++
		}
	}
	if workers < 16 {
		t.Errorf("workers handled %d of the next 17 events, want at least 16", workers)
	}
	for i := 0; !c.onReader(i, ""); i++ { // on a busy machine, a handler can take long by chance
		if i == 1000 {
			t.Fatal("later events are not handled on the reader again")
		}
	}
}

// A handler that waits for its own client gets the answer.
func TestInline_HandlerAsksItsClient(t *testing.T) {
	t.Parallel()
	s := inlineSite(t, socketbridge.Config{})
	s.io.On("ask", func(p *socketbridge.Packet) error {
		answer, err := p.Socket().EmitWithAck(p.Context(), "question")
		if err != nil {
			return err
		}
		var n int
		if err := answer.Bind(&n); err != nil {
			return err
		}
		return p.Ack(n + 1)
	})
	s.io.On("ask all", func(p *socketbridge.Packet) error {
		answers, err := s.io.Broadcast().EmitWithAck(p.Context(), "question")
		if err != nil {
			return err
		}
		return p.Ack(len(answers))
	})
	c := newInlinePeer(t, s.serve())
	for i, event := range []string{"ask", "ask all", "ask"} {
		c.send(fmt.Sprintf(`42%d[%q]`, i, event))
		question, err := c.read(c.ctx)
		id, ok := strings.CutSuffix(strings.TrimPrefix(question, "42"), `["question"]`)
		if err != nil || !ok {
			t.Fatal(question, err)
		}
		c.send(fmt.Sprintf(`43%s[41]`, id))
		c.want(fmt.Sprintf(`43%d[%d]`, i, map[string]int{"ask": 42, "ask all": 1}[event]))
	}
}

// A handler that ends its goroutine ends neither the connection nor the order of events.
func TestInline_Goexit(t *testing.T) {
	t.Parallel()
	s := inlineSite(t, socketbridge.Config{})
	s.io.On("exit", func(*socketbridge.Packet) error { runtime.Goexit(); return nil })
	c := newInlinePeer(t, s.serve())
	for i := range 5 {
		c.send(`42["exit"]`, `42["exit"]`, fmt.Sprintf(`42%d["where"]`, i))
		got, err := c.read(c.ctx)
		if err != nil || !strings.HasPrefix(got, fmt.Sprintf("43%d[", i)) {
			t.Fatal(got, err)
		}
	}
}

// What is queued during an event on the reader runs after it: the steps of a socket's life.
func TestInline_StepsDuringAnEvent(t *testing.T) {
	t.Parallel()
	s := inlineSite(t, socketbridge.Config{})
	log := make(chan string, 10)
	s.io.OnConnection(func(so *socketbridge.Socket) {
		so.OnDisconnect(func(socketbridge.Reason) { log <- "disconnected" })
	})
	s.io.On("leave", func(p *socketbridge.Packet) error {
		p.Socket().Disconnect()
		log <- "handled"
		return nil
	})
	c := newInlinePeer(t, s.serve())
	c.send(`42["leave"]`)
	c.want("41")
	for _, want := range []string{"handled", "disconnected"} {
		if got := <-log; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Shutdown waits for a handler on the reader, also when the client has left.
func TestInline_ShutdownWaits(t *testing.T) {
	t.Parallel()
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprintf("the client has left %v", leaves), func(t *testing.T) {
			t.Parallel()
			s := inlineSite(t, socketbridge.Config{})
			running, release := make(chan *socketbridge.Socket, 1), make(chan struct{})
			s.io.On("slow", func(p *socketbridge.Packet) error { running <- p.Socket(); <-release; return nil })
			c := newInlinePeer(t, s.serve())
			c.send(`42["slow"]`)
			socket := <-running
			if leaves {
				c.close(false)
				<-socket.Done()
			}
			ended, done := context.WithCancel(t.Context())
			done()
			if err := s.io.Shutdown(ended); err == nil {
				t.Error("Shutdown has not waited for the handler")
			}
			close(release)
			if err := s.io.Shutdown(c.ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// The answers to events that arrived together, and what handlers emit, come in order.
func TestInline_OrderOfABatch(t *testing.T) {
	t.Parallel()
	s := inlineSite(t, socketbridge.Config{})
	s.io.On("e", func(p *socketbridge.Packet) error {
		var n int
		if err := p.Bind(&n); err != nil {
			return err
		}
		if err := p.Socket().Emit("before", n); err != nil {
			return err
		}
		if n%50 == 49 {
			time.Sleep(3 * time.Millisecond) // longer than two ticks: another goroutine reads on
		}
		return p.Ack(n)
	})
	c := newInlinePeer(t, s.serve())
	const n = 400
	go func() { // ends with the reads below
		for i := range n {
			if c.write(c.ctx, fmt.Sprintf(`42%d["e",%d]`, i, i)) != nil {
				return
			}
		}
	}()
	for i := range n {
		c.want(fmt.Sprintf(`42["before",%d]`, i), fmt.Sprintf(`43%d[%d]`, i, i))
	}
}
