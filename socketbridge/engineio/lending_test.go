package engineio_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// lends returns a recorder that handles each message as the core does: it lends the reading
// goroutine, calls handle, and returns the loan. lent is called with whether the goroutine
// was lent at all, and whether it was still the reader after the call.
func lends(handle func(a *transporttest.Accepted, m string), lent func(m string, was, still bool)) *transporttest.Recorder {
	return &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		text, lender := string(m.Data), a.Conn.(transport.Lender)
		loan := lender.Lend()
		handle(a, text)
		still := loan != 0 && lender.Return(loan)
		lent(text, loan != 0, still)
		if loan != 0 && !still {
			return transport.ErrDetached
		}
		return nil
	}}
}

func reply(a *transporttest.Accepted, text string) {
	_ = a.Conn.Send(0, transport.Message{Data: []byte(text)})
}

// The client's other messages are read while one is being handled that takes long.
func TestLend_ReadsOnDuringASlowCall(t *testing.T) {
	t.Parallel()
	release, ended := make(chan struct{}), make(chan bool, 1)
	s := open(t, lends(func(a *transporttest.Accepted, m string) {
		if m == "slow" {
			<-release
		}
		reply(a, m)
	}, func(m string, was, still bool) {
		if m == "slow" {
			ended <- was && !still
		}
	}), engineio.Config{})
	c := s.openWS()
	c.sendText("4slow")
	for i := range 20 {
		c.sendText(fmt.Sprint("4", i))
		if got, want := c.readText(), fmt.Sprint("4", i); got != want {
			t.Fatalf("got %q, want %q while a call is running", got, want)
		}
	}
	close(release)
	if got := c.readText(); got != "4slow" {
		t.Errorf("got %q, want the answer of the slow call", got)
	}
	if !<-ended {
		t.Error("the goroutine of the slow call is still the reader")
	}
	c.sendText("4after")
	if got := c.readText(); got != "4after" {
		t.Errorf("got %q after the slow call, want 4after", got)
	}
}

func TestLend_Detach(t *testing.T) {
	t.Parallel()
	var kept atomic.Int32
	s := open(t, lends(func(a *transporttest.Accepted, m string) {
		if m == "wait" {
			a.Conn.(transport.Lender).Detach()
		}
		reply(a, m)
	}, func(m string, was, still bool) {
		if was && still && m == "wait" {
			t.Error("the goroutine is the reader after it was given away")
		}
		if still && m == "quick" { // on a busy machine, a call can take longer than a tick
			kept.Add(1)
		}
	}), engineio.Config{})
	c := s.openWS()
	const n = 500
	for i := range n {
		m := "quick"
		if i%5 == 0 {
			m = "wait"
		}
		c.sendText("4" + m)
		if got := c.readText(); got != "4"+m {
			t.Fatalf("got %q, want %q", got, "4"+m)
		}
	}
	if kept.Load() == 0 {
		t.Error("the goroutine was never the reader after a quick call")
	}
}

// A Receive that waits, without a loan, first has what it sent before written.
func TestLend_DetachWritesWhatIsHeld(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := open(t, &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		reply(a, string(m.Data))
		if string(m.Data) == "wait" {
			a.Conn.(transport.Lender).Detach()
			<-release
		}
		return nil
	}}, engineio.Config{})
	c := s.openWS()
	c.write(clientFrame(true, wsframe.Text, "4one") + clientFrame(true, wsframe.Text, "4wait") + clientFrame(true, wsframe.Text, "4three"))
	for _, want := range []string{"4one", "4wait"} {
		if got := c.readText(); got != want {
			t.Errorf("got %q, want %q before Receive returns", got, want)
		}
	}
	close(release)
	if got := c.readText(); got != "4three" {
		t.Errorf("got %q, want 4three", got)
	}
}

func TestLend_OnlyFromReadersOfPlainTCP(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		wrap func(net.Listener) net.Listener
		open func(s *site) func(packet string)
		want bool
	}{
		{"WebSocket", nil, func(s *site) func(string) { return s.openWS().sendText }, runtime.GOOS != "windows"},
		{"WebSocket after an upgrade", nil, func(s *site) func(string) { return s.openPoll().upgrade().sendText }, runtime.GOOS != "windows"},
		{"polling", nil, func(s *site) func(string) { p := s.openPoll(); return func(m string) { p.post(m) } }, false},
		{"a connection that the app wraps", func(ln net.Listener) net.Listener { return wrappedListener{ln} }, func(s *site) func(string) { return s.openWS().sendText }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lent := make(chan bool, 1)
			s := open(t, lends(func(*transporttest.Accepted, string) {}, func(_ string, was, _ bool) { lent <- was }), engineio.Config{}, siteOptions{wrap: tt.wrap})
			tt.open(s)("4x")
			if got := <-lent; got != tt.want {
				t.Errorf("the reading goroutine was lent: %v, want %v", got, tt.want)
			}
		})
	}
}

// Calls of more connections than there are slots wait at the same time, and each client is
// read from.
func TestLend_MoreSlowCallsThanSlots(t *testing.T) {
	t.Parallel()
	const conns = 300
	release := make(chan struct{})
	var slow sync.WaitGroup
	s := open(t, &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		text := string(m.Data)
		if text != "slow" {
			reply(a, text)
			return nil
		}
		lender := a.Conn.(transport.Lender)
		loan := lender.Lend()
		if loan == 0 { // as the core does: another goroutine makes the call
			slow.Go(func() { <-release; reply(a, text) })
			return nil
		}
		<-release
		reply(a, text)
		if lender.Return(loan) {
			return nil
		}
		return transport.ErrDetached
	}}, engineio.Config{})
	clients := make([]*wsClient, conns)
	for i := range clients {
		clients[i] = s.openWS()
		clients[i].sendText("4slow")
	}
	for i, c := range clients {
		c.sendText("4quick")
		if got := c.readText(); got != "4quick" {
			t.Fatalf("client %d got %q, want 4quick", i, got)
		}
	}
	close(release)
	for i, c := range clients {
		if got := c.readText(); got != "4slow" {
			t.Fatalf("client %d got %q, want 4slow", i, got)
		}
	}
	slow.Wait()
}

// waitingReceiver has a call on the reading goroutine that waits for Closed.
type waitingReceiver struct {
	lender           transport.Lender
	closed, returned chan struct{}
}

func (r *waitingReceiver) Accept(c transport.Conn) (transport.Receiver, error) {
	r.lender = c.(transport.Lender)
	return r, nil
}

func (r *waitingReceiver) Receive(transport.Message) error {
	defer close(r.returned)
	loan := r.lender.Lend()
	<-r.closed
	if r.lender.Return(loan) {
		return nil
	}
	return transport.ErrDetached
}

func (r *waitingReceiver) Closed(transport.Reason, error) { close(r.closed) }

// Closed does not wait for a call on the reading goroutine, which can wait for Closed.
func TestLend_TheEndIsToldDuringACall(t *testing.T) {
	t.Parallel()
	r := &waitingReceiver{closed: make(chan struct{}), returned: make(chan struct{})}
	s := open(t, nil, engineio.Config{}, siteOptions{acceptor: r})
	c := s.openWS()
	c.sendText("4x")
	_ = c.nc.Close()
	<-r.closed
	<-r.returned
}

// What a client does not read at once arrives later, whole and in order: a write that the
// network took in part goes on where it stopped.
func TestLend_WritesThatTheNetworkTakesInPart(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	c := s.openWS()
	a := s.nextConn()
	const n = 400
	text := func(i int) string { return fmt.Sprint(i, " ", strings.Repeat(string(rune('a'+i%26)), 1+i*i%50_000)) }
	for i := range n { // 10 MB: more than the buffers of the kernel hold
		if err := a.Conn.Send(transport.Paced, transport.Message{Data: []byte(text(i))}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		m, err := c.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Data, []byte(text(i))) {
			t.Fatalf("message %d is %.40q (%d bytes), want %.40q (%d bytes)", i, m.Data, len(m.Data), text(i), len(text(i)))
		}
	}
}

// Messages that arrive together, split anywhere, are all handled, in order.
func TestLend_ReadsOfAnySize(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var received []string
	lending := lends(reply, func(string, bool, bool) {})
	s := open(t, &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		mu.Lock()
		received = append(received, "4"+string(m.Data)) // answers can overtake each other when a call takes long
		mu.Unlock()
		return lending.OnReceive(a, m)
	}}, engineio.Config{})
	for _, size := range []int{1, 7, 95, 96, 97, 1000, 8191, 8192, 8193, 20_000} {
		t.Run(fmt.Sprint("chunks of ", size, " bytes"), func(t *testing.T) {
			c := s.openWS()
			var all strings.Builder
			var want []string
			for i := range 60 {
				m := fmt.Sprint("4", i, strings.Repeat("x", i*i%300))
				want = append(want, m)
				all.WriteString(clientFrame(true, wsframe.Text, m))
			}
			big := "4" + strings.Repeat("y", 30_000)
			want = append(want, big)
			all.WriteString(clientFrame(true, wsframe.Text, big))
			done := make(chan struct{})
			go func() { // waited for below
				defer close(done)
				for b := all.String(); b != ""; {
					n := min(size, len(b))
					c.write(b[:n])
					b = b[n:]
				}
			}()
			for range want {
				c.readText()
			}
			<-done
			mu.Lock()
			defer mu.Unlock()
			for i, m := range want {
				if received[i] != m {
					t.Fatalf("message %d is %.40q, want %.40q", i, received[i], m)
				}
			}
			received = nil
		})
	}
}
