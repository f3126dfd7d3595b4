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

// Peer is a client of the transport under test. The suite calls its methods from one
// goroutine at a time, except for Close. A Peer must read from the network only in Next,
// so that the suite can simulate a client that does not read.
type Peer interface {
	// Send sends one message. It returns when the network has accepted it.
	Send(ctx context.Context, m transport.Message) error
	// Next returns the next message from the server, or any error once the connection
	// has ended.
	Next(ctx context.Context) (transport.Message, error)
	// Close closes the connection properly, as clients of this transport do.
	Close() error
}

// Dial connects to a server of the transport under test that passes its connections to
// a. If the transport can tell that a refused the connection, Dial returns an error. The
// server and the client must end with the test.
type Dial func(tb testing.TB, a transport.Acceptor) (Peer, error)

// testTimeout bounds each test. A conforming transport needs far less.
const testTimeout = 30 * time.Second

// TestConn is the conformance suite: it checks that a transport satisfies the contract
// of package transport. Each rule is a parallel subtest.
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
		{"calls of Close after the first do nothing", testFirstClose},
		{"close inside Receive", testCloseInside},
		{"the client leaves", testLeave},
		{"an error of the receiver", testReceiveError},
		{"the acceptor refuses", testRefuse},
		{"a client that does not read", testSlow},
		{"senders that wait", testDrained},
		{"volatile messages do not wait", testVolatile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
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
		t.Fatalf("connection was not accepted: %v", err)
	}
	return p, a
}

func testIdentity(t *testing.T, ctx context.Context, dial Dial) {
	r := &Recorder{}
	_, a := connect(t, ctx, dial, r)
	_, b := connect(t, ctx, dial, &Recorder{})
	if a.Conn.ID() == "" || a.Conn.ID() == b.Conn.ID() {
		t.Error("IDs must be unique and not empty")
	}
	if a.Conn.Transport() == "" {
		t.Error("Transport returned an empty name")
	}
	if first := a.Conn.Handshake(); first == nil || !reflect.DeepEqual(first, a.Conn.Handshake()) || !reflect.DeepEqual(first.Lifted, a.Conn.Lifted()) {
		t.Error("Handshake must not be nil and must not change")
	}
}

// sizes are message sizes around the limits of frame headers and buffers.
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
				t.Fatalf("sent binary %v, %d bytes; the echo is binary %v, %d bytes", binary, size, got.Binary, len(got.Data))
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
		wantMessage(t, ctx, p, i)
		if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("server received %q, error %v; want %d", m.Data, err, i)
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
				t.Fatalf("got %q, error %v inside the group of %q", m.Data, err, first.Data)
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
		t.Fatalf("server received %q, error %v", m.Data, err)
	}
	close(hold)
	for i := 1; i < n; i++ {
		if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("server received %q, error %v; want %d", m.Data, err, i)
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
		t.Errorf("Send after Close returned %v, want ErrClosed", err)
	}
	for i := range n {
		wantMessage(t, ctx, p, i)
	}
	if m, err := p.Next(ctx); err == nil {
		t.Errorf("client received %q after the connection was closed", m.Data)
	}
	_ = p.Close()
	wantEnd(t, ctx, a, transport.ForcedClose)
}

func testFirstClose(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	a.Conn.Close(transport.ShuttingDown)
	a.Conn.Close(transport.ForcedClose)
	_, _ = p.Next(ctx)
	_ = p.Close()
	wantEnd(t, ctx, a, transport.ShuttingDown)
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
		t.Errorf("client received %q, error %v", m.Data, err)
	}
	_, _ = p.Next(ctx)
	_ = p.Close()
	wantEnd(t, ctx, a, transport.ForcedClose)
}

func testLeave(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	if err := p.Send(ctx, text(1)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, ctx, a, transport.TransportClose)
	if len(a.Received()) != 1 {
		t.Errorf("server received %d messages, want the 1 that was sent before the end", len(a.Received()))
	}
	if err := a.Conn.Send(0, text(1)); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send after the end returned %v, want ErrClosed", err)
	}
}

func testReceiveError(t *testing.T, ctx context.Context, dial Dial) {
	refuse := errors.New("refused")
	r := &Recorder{OnReceive: func(*Accepted, transport.Message) error { return refuse }}
	p, a := connect(t, ctx, dial, r)
	_ = p.Send(ctx, text(1)) // fails on transports that confirm each message
	_, _ = p.Next(ctx)
	_ = p.Close()
	if _, cause, _ := a.End(ctx); !errors.Is(cause, refuse) {
		t.Errorf("cause is %v, want the receiver's error", cause)
	}
	wantEnd(t, ctx, a, transport.ParseError)
}

func testRefuse(t *testing.T, ctx context.Context, dial Dial) {
	conns := make(chan transport.Conn, 1)
	r := &Recorder{OnAccept: func(c transport.Conn) error {
		conns <- c
		return errors.New("refused")
	}}
	p, err := dial(t, r)
	if err == nil {
		defer func() { _ = p.Close() }()
		if _, err = p.Next(ctx); err == nil {
			t.Error("client received a message on a refused connection")
		}
	}
	select {
	case c := <-conns:
		select {
		case <-c.Done():
		case <-ctx.Done():
			t.Error("refused connection was not closed")
		}
	case <-ctx.Done():
		t.Error("Accept was not called")
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
		t.Fatalf("sending 1 GB to a client that does not read returned %v, want ErrQueueFull", err)
	}
	wantEnd(t, ctx, a, transport.TransportError)
}

// testDrained fills the queue until senders have to wait, and then reads all of it.
func testDrained(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	if ch, err := a.Conn.Drained(); ch != nil || err != nil {
		t.Fatalf("with nothing queued, Drained returned %v, %v", ch, err)
	}
	big := transport.Message{Data: bytes.Repeat([]byte("x"), 10_000)}
	fill := func() (drained <-chan struct{}, sent int) {
		for ; drained == nil && sent < 100_000; sent++ {
			if err := a.Conn.Send(transport.Paced, big); err != nil {
				t.Fatal(err)
			}
			var err error
			if drained, err = a.Conn.Drained(); err != nil {
				t.Fatal(err)
			}
		}
		if drained == nil {
			t.Fatal("Drained let a sender queue 1 GB for a client that does not read")
		}
		return drained, sent
	}
	drained, sent := fill()
	select {
	case <-drained:
		t.Error("the channel of Drained was closed although the client reads nothing")
	default:
	}
	for range sent {
		if _, err := p.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-drained:
	case <-ctx.Done():
		t.Fatal("the client has read everything, but the channel of Drained is still open")
	}
	drained, _ = fill()
	a.Conn.Close(transport.ForcedClose)
	select {
	case <-drained:
	case <-ctx.Done():
		t.Fatal("Close did not close the channel of Drained")
	}
	if ch, err := a.Conn.Drained(); ch != nil || !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after Close, Drained returned %v, %v, want ErrClosed", ch, err)
	}
}

func testVolatile(t *testing.T, ctx context.Context, dial Dial) {
	p, a := connect(t, ctx, dial, &Recorder{})
	big := transport.Message{Data: bytes.Repeat([]byte("x"), 10_000)}
	var err error
	for n := 0; err == nil && n < 100_000; n++ {
		err = a.Conn.Send(transport.Volatile, big)
	}
	if !errors.Is(err, transport.ErrQueueFull) {
		t.Fatalf("volatile messages to a client that does not read: got %v, want ErrQueueFull", err)
	}
	if err := a.Conn.Send(0, transport.Message{Data: []byte("last")}); err != nil {
		t.Fatalf("Send after a dropped volatile message returned %v", err)
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
			t.Fatalf("client received %d bytes that were not sent", len(m.Data))
		}
	}
}

func text(i int) transport.Message { return transport.Message{Data: fmt.Append(nil, i)} }

// wantMessage checks that the client receives text(i) next.
func wantMessage(t *testing.T, ctx context.Context, p Peer, i int) {
	t.Helper()
	if m, err := p.Next(ctx); err != nil || m.Binary || string(m.Data) != fmt.Sprint(i) {
		t.Fatalf("client received %.20q, error %v; want %d", m.Data, err, i)
	}
}

// wantEnd checks that the connection ends for the reason, without contract violations.
func wantEnd(t *testing.T, ctx context.Context, a *Accepted, want transport.Reason) {
	t.Helper()
	got, _, err := a.End(ctx)
	if err != nil {
		t.Fatalf("waiting for the end of the connection: %v", err)
	}
	if got != want {
		t.Errorf("connection ended with reason %q, want %q", got, want)
	}
}
