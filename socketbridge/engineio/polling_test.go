package engineio_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestPolling(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"one packet", "4hello", "4hello"},
		{"several packets", "4one\x1e4two\x1e4three", "4one\x1e4two\x1e4three"},
		{"text and binary", "4hello\x1ebAQIDBA==", "4hello\x1ebAQIDBA=="},
		{"an empty message", "4", "4"},
		{"UTF-8", "4€🙂", "4€🙂"},
		{"ignored packets", "6\x1e5\x1e3\x1e4a", "4a"},
	}
	s := open(t, echoRecorder(), engineio.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := s.openPoll()
			a := p.post(tt.body)
			if a.status != 200 || a.body != "ok" || a.header.Get("Content-Type") != "text/html" {
				t.Errorf("the post was answered with %d %q %s", a.status, a.body, a.header.Get("Content-Type"))
			}
			a = p.get()
			if a.status != 200 || a.body != tt.want || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("the poll was answered with %d %q %s", a.status, a.body, a.header.Get("Content-Type"))
			}
		})
	}
}

func TestPolling_GetWaitsForAMessage(t *testing.T) {
	t.Parallel()
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	p := s.openPoll()
	a := s.nextConn()
	got := make(chan answer)
	go func() { got <- p.get() }() // received below
	waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
	if err := a.Conn.Send(0, transport.Message{Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.body != "4hello" {
		t.Errorf("the poll was answered with %d %q", a.status, a.body)
	}
}

// When the client sends a close packet, its waiting poll ends with a noop, and the connection
// ends.
func TestPolling_ClientCloses(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	p := s.openPoll()
	a := s.nextConn()
	got := make(chan answer)
	go func() { got <- p.get() }() // received below
	waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
	if a := p.post("4before\x1e1\x1e4after"); a.status != 200 || a.body != "ok" {
		t.Errorf("the post was answered with %d %q", a.status, a.body)
	}
	if a := <-got; a.status != 200 || a.body != "6" && a.body != "4before" {
		t.Errorf("the poll was answered with %d %q", a.status, a.body)
	}
	s.waitForEnd(a, transport.TransportClose)
	if r := a.Received(); len(r) != 1 || string(r[0].Data) != "before" {
		t.Errorf("the receiver got %v", r)
	}
	if a := p.get(); a.code() != 1 {
		t.Errorf("a poll after the end: %d %s", a.status, a.body)
	}
}

func TestPolling_ServerCloses(t *testing.T) {
	t.Parallel()
	t.Run("while a poll waits", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
		a.Conn.Close(transport.ForcedClose)
		if a := <-got; a.status != 200 || a.body != "1" {
			t.Errorf("the poll was answered with %d %q", a.status, a.body)
		}
		s.waitForEnd(a, transport.ForcedClose)
	})
	t.Run("with something queued", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last message")})
		a.Conn.Close(transport.ForcedClose)
		if a := p.post("4not received"); a.status != 200 {
			t.Errorf("a post to a closing connection: %d %s", a.status, a.body)
		}
		if a := p.get(); a.body != "4last message\x1e1" {
			t.Errorf("the poll was answered with %d %q", a.status, a.body)
		}
		s.waitForEnd(a, transport.ForcedClose)
		if r := a.Received(); len(r) != 0 {
			t.Errorf("the receiver got %v after Close", r)
		}
	})
}

// Row 13: a second poll or a second post at the same time ends its own connection only.
func TestRefuse_Overlap(t *testing.T) {
	t.Parallel()
	t.Run("two polls", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		still := s.bystander()
		first := make(chan answer)
		go func() { first <- p.get() }() // received below
		waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
		if a := p.get(); a.status != 400 || a.code() != 3 {
			t.Errorf("the second poll was answered with %d %s", a.status, a.body)
		}
		if a := <-first; a.status != 200 || a.body != "1" {
			t.Errorf("the first poll was answered with %d %q", a.status, a.body)
		}
		if cause := s.waitForEnd(a, transport.TransportError); cause != engineio.ErrOverlap {
			t.Errorf("the cause is %v", cause)
		}
		if a := p.get(); a.code() != 1 {
			t.Errorf("a third poll was answered with %d %s", a.status, a.body)
		}
		still()
	})
	t.Run("two posts", func(t *testing.T) {
		hold := make(chan struct{})
		recorder := &transporttest.Recorder{OnReceive: func(_ *transporttest.Accepted, m transport.Message) error {
			if string(m.Data) == "hold" {
				<-hold
			}
			return nil
		}}
		s := open(t, recorder, engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		first := make(chan answer)
		go func() { first <- p.post("4hold\x1e4dropped") }() // received below
		if _, err := a.Next(s.context()); err != nil {
			t.Fatal(err)
		}
		for range 50 { // none of them waits or reaches the receiver
			if a := p.post("4second"); a.status != 400 {
				t.Errorf("a second post was answered with %d %s", a.status, a.body)
			}
		}
		close(hold)
		<-first
		if cause := s.waitForEnd(a, transport.TransportError); cause != engineio.ErrOverlap {
			t.Errorf("the cause is %v", cause)
		}
		if n := len(a.Received()); n != 1 {
			t.Errorf("the receiver got %d messages, want only the first", n)
		}
	})
}

// A violation of the protocol ends the connection after what was queued, as on a WebSocket.
// Only if the body itself is malformed, the post is answered with an error.
func TestPolling_ViolationAfterMessages(t *testing.T) {
	t.Parallel()
	refuse := errors.New("refused")
	recorder := &transporttest.Recorder{OnReceive: func(a *transporttest.Accepted, m transport.Message) error {
		switch string(m.Data) {
		case "refuse":
			return refuse
		case "panic":
			panic("of the receiver")
		}
		return a.Conn.Send(0, transport.Message{Data: bytes.Clone(m.Data)})
	}}
	s := open(t, recorder, engineio.Config{})
	tests := []struct {
		name, bad string
		status    int
		reason    transport.Reason
	}{
		{"refused by the receiver", "4refuse", 200, transport.ParseError},
		{"unknown type", "9", 400, transport.ParseError},
		{"broken base64", "bA?", 400, transport.ParseError},
		{"an open packet", "0{}", 400, transport.ParseError},
		{"a ping", "2", 400, transport.TransportError},
		{"a panic", "4panic", 400, transport.TransportError},
	}
	for _, tt := range tests {
		for _, after := range []string{"in one post", "in a second post"} {
			t.Run(tt.name+" "+after, func(t *testing.T) {
				p := s.openPoll()
				a := s.nextConn()
				body := "4one\x1e4two\x1e" + tt.bad + "\x1e4dropped"
				if after == "in a second post" {
					p.post("4one\x1e4two")
					body = tt.bad
				}
				if got := p.post(body); got.status != tt.status {
					t.Errorf("the post was answered with %d %s, want %d", got.status, got.body, tt.status)
				}
				if got := p.post("4after"); got.status != 200 {
					t.Errorf("a post to a closing connection: %d %s", got.status, got.body)
				}
				if got := p.get(); got.body != "4one\x1e4two\x1e1" {
					t.Errorf("the poll was answered with %d %q", got.status, got.body)
				}
				s.waitForEnd(a, tt.reason)
				if got := p.get(); got.status != 400 {
					t.Errorf("a poll after the end: %d %s", got.status, got.body)
				}
			})
		}
	}
}

// The same on a WebSocket.
func TestWebSocket_ViolationAfterMessages(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	for _, bad := range []string{"9", "bA?", "0{}", "2"} {
		c := s.openWS()
		a := s.nextConn()
		c.sendText("4one")
		c.sendText(bad)
		c.sendText("4dropped")
		if got := c.readText(); got != "4one" {
			t.Errorf("after %q: got %q", bad, got)
		}
		if code := c.readClose(); code != wsframe.PolicyViolation {
			t.Errorf("after %q: close code %d", bad, code)
		}
		c.nc.Close()
		<-a.Conn.Done()
	}
}
