package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// Peer is a client of the transport under test. Its methods are called by one
// goroutine at a time, but for Close. It must read from the network in Next only,
// so that a client that does not read can be played.
type Peer interface {
	// Send sends one message and returns when the network has taken it.
	Send(ctx context.Context, m transport.Message) error
	// Next returns the next message from the server, and any error when the
	// connection has ended.
	Next(ctx context.Context) (transport.Message, error)
	// Close leaves as a client of this transport properly does.
	Close() error
}

// Dial opens a connection to a server of the transport under test that gives its
// connections to a. It returns an error when the connection was refused, if the
// transport can tell. What it started ends with the test.
type Dial func(tb testing.TB, a transport.Acceptor) (Peer, error)

// patience bounds each test; one that passes never needs it.
const patience = 30 * time.Second

// TestConn checks that a transport keeps the contract of package transport.
func TestConn(t *testing.T, dial Dial) {
	tests := []struct {
		name string
		run  func(t *testing.T, ctx context.Context, dial Dial)
	}{
		{"identity", testIdentity},
		{"text and binary of every size, both ways", testMessages},
		{"order, both ways", testOrder},
		{"messages of one Send stay together", testTogether},
		{"receiving waits and does not overlap", testBackpressure},
		{"close delivers what is queued", testCloseDrains},
		{"only the first close counts", testFirstClose},
		{"close inside Receive", testCloseInside},
		{"the client leaves", testLeave},
		{"an error of the receiver", testReceiveError},
		{"the acceptor refuses", testRefuse},
		{"a client that does not read", testSlow},
		{"volatile messages do not wait", testVolatile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			tt.run(t, ctx, dial)
		})
	}
}

// connect opens a connection and returns both of its ends.
func connect(t *testing.T, ctx context.Context, dial Dial, r *Recorder) (Peer, *Accepted) {
	t.Helper()
	p, err := dial(t, r)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	a, err := r.Next(ctx)
	if err != nil {
		t.Fatalf("the connection was not accepted: %v", err)
	}
	return p, a
}

func testIdentity(t *testing.T, ctx context.Context, dial Dial) {
	r := &Recorder{}
	_, a := connect(t, ctx, dial, r)
	_, b := connect(t, ctx, dial, &Recorder{})
	if a.Conn.ID() == "" || a.Conn.ID() == b.Conn.ID() {
		t.Error("two connections need two IDs")
	}
	if a.Conn.Transport() == "" {
		t.Error("the transport has no name")
	}
	if first := a.Conn.Handshake(); first == nil || !reflect.DeepEqual(first, a.Conn.Handshake()) || !reflect.DeepEqual(first.Lifted, a.Conn.Lifted()) {
		t.Error("the handshake must be there and stay the same")
	}
}

// sizes of messages around the borders of frames and buffers.
var sizes = []int{0, 1, 124, 125, 126, 127, 4095, 4096, 8191, 8192, 65534, 65535, 65536, 300_000}

func testMessages(t *testing.T, ctx context.Context, dial Dial) {
	echo := &Recorder{OnReceive: func(a *Accepted, m transport.Message) error {
		return a.Conn.Send(0, transport.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)})
	}}
	p, a := connect(t, ctx, dial, echo)
	for _, binary := range []bool{false, true} {
		for _, size := range sizes {
			m := transport.Message{Binary: binary, Data: bytes.Repeat([]byte("a"), size)}
			if binary {
				for i := range m.Data {
					m.Data[i] = byte(i * 7)
				}
			}
			if err := p.Send(ctx, m); err != nil {
				t.Fatalf("binary %v, %d bytes: send: %v", binary, size, err)
			}
			got, err := p.Next(ctx)
			if err != nil {
				t.Fatalf("binary %v, %d bytes: next: %v", binary, size, err)
			}
			if got.Binary != binary || !bytes.Equal(got.Data, m.Data) {
				t.Fatalf("binary %v, %d bytes came back as binary %v, %d bytes", binary, size, got.Binary, len(got.Data))
			}
		}
	}
	if err := a.Err(); err != nil {
		t.Error(err)
	}
}

func testOrder(t *testing.T, ctx context.Context, dial Dial) {
	const n = 300
	p, a := connect(t, ctx, dial, &Recorder{})
	for i := range n {
		if err := p.Send(ctx, text(i)); err != nil {
			t.Fatal(err)
		}
		if err := a.Conn.Send(0, text(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		expect(t, ctx, p, i)
		if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("the server got %q, %v in place of %d", m.Data, err, i)
		}
	}
}

func testTogether(t *testing.T, ctx context.Context, dial Dial) {
	const senders, each, group = 8, 10, 3
	p, a := connect(t, ctx, dial, &Recorder{})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d/%d", s, i)
				var msgs []transport.Message
				for range group {
					msgs = append(msgs, transport.Message{Data: []byte(name)})
				}
				if err := a.Conn.Send(0, msgs...); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for range senders * each {
		first, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range group - 1 {
			m, err := p.Next(ctx)
			if err != nil || !bytes.Equal(m.Data, first.Data) {
				t.Fatalf("%q, %v stands inside the group of %q", m.Data, err, first.Data)
			}
		}
	}
}

func testBackpressure(t *testing.T, ctx context.Context, dial Dial) {
	const n = 50
	hold := make(chan struct{})
	r := &Recorder{OnReceive: func(a *Accepted, m transport.Message) error {
		<-hold
		return nil
	}}
	p, a := connect(t, ctx, dial, r)
	sent := make(chan error, 1)
	go func() { // the test waits for it
		defer close(sent)
		for i := range n {
			if err := p.Send(ctx, text(i)); err != nil {
				sent <- err
				return
			}
		}
	}()
	if m, err := a.Next(ctx); err != nil || string(m.Data) != "0" {
		t.Fatalf("the server got %q, %v", m.Data, err)
	}
	close(hold)
	for i := 1; i < n; i++ {
		if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("the server got %q, %v in place of %d", m.Data, err, i)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := a.Err(); err != nil {
		t.Error(err)
	}
}

func testCloseDrains(t *testing.T, ctx context.Context, dial Dial) {
	const n = 100
	p, a := connect(t, ctx, dial, &Recorder{})
	for i := range n {
		if err := a.Conn.Send(0, text(i)); err != nil {
			t.Fatal(err)
		}
	}
	a.Conn.Close(transport.ForcedClose)
	if err := a.Conn.Send(0, text(n)); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after Close returned %v, not ErrClosed", err)
	}
	for i := range n {
		expect(t, ctx, p, i)
	}
	if m, err := p.Next(ctx); err == nil {
		t.Errorf("a closed connection delivered %q", m.Data)
	}
	_ = p.Close()
	expectEnd(t, ctx, a, transport.ForcedClose)
}

func testFirstClose(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	a.Conn.Close(transport.ShuttingDown)
	a.Conn.Close(transport.ForcedClose)
	_, _ = p.Next(ctx)
	_ = p.Close()
	expectEnd(t, ctx, a, transport.ShuttingDown)
}

func testCloseInside(t *testing.T, ctx context.Context, dial Dial) {
	r := &Recorder{OnReceive: func(a *Accepted, m transport.Message) error {
		if err := a.Conn.Send(0, transport.Message{Data: []byte("bye")}); err != nil {
			return err
		}
		a.Conn.Close(transport.ForcedClose)
		return nil
	}}
	p, a := connect(t, ctx, dial, r)
	if err := p.Send(ctx, text(1)); err != nil {
		t.Fatal(err)
	}
	if m, err := p.Next(ctx); err != nil || string(m.Data) != "bye" {
		t.Errorf("the client got %q, %v", m.Data, err)
	}
	_, _ = p.Next(ctx)
	_ = p.Close()
	expectEnd(t, ctx, a, transport.ForcedClose)
}

func testLeave(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	if err := p.Send(ctx, text(1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	expectEnd(t, ctx, a, transport.TransportClose)
	if len(a.Received()) != 1 {
		t.Errorf("%d messages in place of the one that was sent before", len(a.Received()))
	}
	if err := a.Conn.Send(0, text(1)); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end returned %v, not ErrClosed", err)
	}
}

func testReceiveError(t *testing.T, ctx context.Context, dial Dial) {
	refuse := errors.New("refused")
	r := &Recorder{OnReceive: func(*Accepted, transport.Message) error { return refuse }}
	p, a := connect(t, ctx, dial, r)
	_ = p.Send(ctx, text(1)) // some transports answer that it was refused
	_, _ = p.Next(ctx)
	_ = p.Close()
	if _, cause, _ := a.End(ctx); !errors.Is(cause, refuse) {
		t.Errorf("the cause is %v, not the receiver's error", cause)
	}
	expectEnd(t, ctx, a, transport.ParseError)
}

func testRefuse(t *testing.T, ctx context.Context, dial Dial) {
	conns := make(chan transport.Conn, 1)
	r := &Recorder{OnAccept: func(c transport.Conn) error {
		conns <- c
		return errors.New("refused")
	}}
	p, err := dial(t, r)
	if err == nil {
		defer p.Close()
		if _, err = p.Next(ctx); err == nil {
			t.Error("a refused connection delivered a message")
		}
	}
	select {
	case c := <-conns:
		select {
		case <-c.Done():
		case <-ctx.Done():
			t.Error("a refused connection goes on")
		}
	case <-ctx.Done():
		t.Error("the acceptor was not asked")
	}
}

func testSlow(t *testing.T, ctx context.Context, dial Dial) {
	_, a := connect(t, ctx, dial, &Recorder{})
	big := transport.Message{Data: bytes.Repeat([]byte("x"), 10_000)}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		err = a.Conn.Send(0, big)
	}
	if !errors.Is(err, transport.ErrQueueFull) {
		t.Fatalf("a queue that nobody empties took a gigabyte, or failed with %v", err)
	}
	expectEnd(t, ctx, a, transport.TransportError)
}

func testVolatile(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	big := transport.Message{Data: bytes.Repeat([]byte("x"), 10_000)}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		err = a.Conn.Send(transport.Volatile, big)
	}
	if !errors.Is(err, transport.ErrQueueFull) {
		t.Fatalf("volatile messages to a client that does not read: %v", err)
	}
	if err := a.Conn.Send(0, transport.Message{Data: []byte("last")}); err != nil {
		t.Fatalf("dropping a volatile message must not end the connection: %v", err)
	}
	for {
		m, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) == "last" {
			return
		}
		if strings.Trim(string(m.Data), "x") != "" || len(m.Data) != len(big.Data) {
			t.Fatalf("the client got %d bytes that were not sent", len(m.Data))
		}
	}
}

func text(i int) transport.Message { return transport.Message{Data: fmt.Append(nil, i)} }

// expect wants the client to get text(i).
func expect(t *testing.T, ctx context.Context, p Peer, i int) {
	t.Helper()
	if m, err := p.Next(ctx); err != nil || m.Binary || string(m.Data) != fmt.Sprint(i) {
		t.Fatalf("the client got %.20q, %v in place of %d", m.Data, err, i)
	}
}

// expectEnd wants the connection to end, in order, and for the reason.
func expectEnd(t *testing.T, ctx context.Context, a *Accepted, want transport.Reason) {
	t.Helper()
	got, _, err := a.End(ctx)
	if err != nil {
		t.Fatalf("the end: %v", err)
	}
	if got != want {
		t.Errorf("the connection ended with %q, not %q", got, want)
	}
}
