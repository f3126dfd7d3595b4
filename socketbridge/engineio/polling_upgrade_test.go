package engineio_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	t.Run("complete", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.sendText("2probe")
		if got := c.readText(); got != "3probe" {
			t.Fatalf("the probe was answered with %q", got)
		}
		if a := p.get(); a.status != 200 || a.body != "6" {
			t.Errorf("poll response is %d %q, want a noop", a.status, a.body)
		}
		if got := a.Conn.Transport(); got != engineio.Polling {
			t.Errorf("before the upgrade the transport is %q", got)
		}
		c.sendText("5")
		c.sendText("4hello")
		if got := c.readText(); got != "4hello" {
			t.Errorf("got %q back", got)
		}
		if got := a.Conn.Transport(); got != engineio.WebSocket {
			t.Errorf("after the upgrade the transport is %q", got)
		}
		for method, body := range map[string]string{"GET": "", "POST": "4x"} {
			if a := s.do(method, p.query(), body); a.code() != 3 {
				t.Errorf("%s after the upgrade: %d %s", method, a.status, a.body)
			}
		}
		c.sendText("4still")
		if got := c.readText(); got != "4still" {
			t.Errorf("got %q back", got)
		}
	})
	t.Run("a waiting poll ends after the probe", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.sendText("2probe")
		if a := <-got; a.body != "6" {
			t.Errorf("the poll was answered with %q", a.body)
		}
	})
	t.Run("a waiting poll ends after an upgrade without a probe", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.sendText("5") // without a probe
		if a := <-got; a.body != "6" {
			t.Errorf("the poll was answered with %q", a.body)
		}
		c.sendText("4hello")
		if got := c.readText(); got != "4hello" {
			t.Errorf("got %q back", got)
		}
	})
	t.Run("queued messages are sent on the WebSocket", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		a := s.nextConn()
		for i := range 10 {
			_ = a.Conn.Send(0, transport.Message{Data: fmt.Append(nil, i)})
		}
		c := p.upgrade()
		for i := range 10 {
			if got := c.readText(); got != fmt.Sprintf("4%d", i) {
				t.Fatalf("message %d is %q", i, got)
			}
		}
	})
	t.Run("probe, upgrade and message in one write", func(t *testing.T) {
		s := open(t, echoRecorder(), engineio.Config{})
		p := s.openPoll()
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.write(clientFrame(true, wsframe.Text, "2probe") + clientFrame(true, wsframe.Text, "5") + clientFrame(true, wsframe.Text, "4hello"))
		if got := c.readText() + c.readText(); got != "3probe4hello" {
			t.Errorf("got %q", got)
		}
	})
}

// After a failed upgrade the connection stays on polling, and the client can try again.
func TestUpgrade_Fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		left bool // the client has gone, and gets no close frame
		fail func(c *wsClient)
	}{
		{"the client hangs up", true, func(c *wsClient) { c.nc.Close() }},
		{"the client closes", true, func(c *wsClient) { _ = c.Close() }},
		{"the client closes and waits", false, func(c *wsClient) { c.write(clientFrame(true, wsframe.Close, "\x03\xe8")) }},
		{"a message before the upgrade", false, func(c *wsClient) { c.sendText("4hello") }},
		{"another probe", false, func(c *wsClient) { c.sendText("2other") }},
		{"nonsense", false, func(c *wsClient) { c.sendText("x") }},
		{"a binary frame", false, func(c *wsClient) { c.write(clientFrame(true, wsframe.Binary, "5")) }},
		{"a broken frame", false, func(c *wsClient) { c.write("\xff\xff") }},
		{"after the probe", false, func(c *wsClient) { c.sendText("2probe"); c.sendText("2") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoRecorder(), engineio.Config{})
			p := s.openPoll()
			c, _ := s.dialWS(websocket + "&sid=" + p.sid)
			tt.fail(c)
			if !tt.left {
				if code := c.readClose(); code != wsframe.NormalClosure {
					t.Errorf("close code is %d", code)
				}
				c.nc.Close()
			}
			waitFor(t, func() bool { return s.engine.Stats().WebSockets == 0 })
			if a := p.post("4on polling"); a.status != 200 {
				t.Fatalf("the connection has ended: %d %s", a.status, a.body)
			}
			if a := p.get(); a.body != "4on polling" {
				t.Errorf("the poll was answered with %q", a.body)
			}
			again := p.upgrade()
			again.sendText("4upgraded")
			if got := again.readText(); got != "4upgraded" {
				t.Errorf("got %q back", got)
			}
		})
	}
}

// Row 12: with DisableUpgrades, a request to upgrade is refused, and the connection stays on
// polling.
func TestUpgrade_Disabled(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{DisableUpgrades: true})
	p := s.openPoll()
	if c, a := s.dialWS(websocket + "&sid=" + p.sid); c != nil || a.status != 400 || a.code() != 3 {
		t.Errorf("the request to upgrade was answered with %d %s", a.status, a.body)
	}
	p.post("4on polling")
	if a := p.get(); a.body != "4on polling" {
		t.Errorf("the poll was answered with %q", a.body)
	}
}

// Row 12: a connection can be upgraded once, and by one WebSocket at a time. A second attempt
// does not disturb the first.
func TestUpgrade_SecondIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	p := s.openPoll()
	first, _ := s.dialWS(websocket + "&sid=" + p.sid)
	first.sendText("2probe")
	if got := first.readText(); got != "3probe" {
		t.Fatalf("the probe was answered with %q", got)
	}
	for range 20 {
		second, _ := s.dialWS(websocket + "&sid=" + p.sid)
		second.sendText("2probe")
		second.sendText("5")
		if code := second.readClose(); code != wsframe.PolicyViolation {
			t.Errorf("during the upgrade, the second ended with %d", code)
		}
	}
	first.sendText("5")
	first.sendText("4hello")
	if got := first.readText(); got != "4hello" {
		t.Fatalf("got %q back", got)
	}
	for range 20 {
		second, _ := s.dialWS(websocket + "&sid=" + p.sid)
		if code := second.readClose(); code != wsframe.PolicyViolation {
			t.Errorf("after the upgrade, the second ended with %d", code)
		}
	}
	first.sendText("4undisturbed")
	if got := first.readText(); got != "4undisturbed" {
		t.Errorf("got %q back", got)
	}
}

// Numbered messages are sent in both directions during the upgrade, some in a post that is in
// flight. None may be lost, duplicated or reordered.
func TestUpgrade_WithTraffic(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	for range rounds {
		p := s.openPoll()
		a := s.nextConn()
		ctx := s.context()
		const n = 40
		sent := make(chan struct{})
		go func() { // waited for at the end of this round
			defer close(sent)
			for i := range n {
				if err := a.Conn.Send(0, transport.Message{Data: fmt.Append(nil, i)}); err != nil {
					t.Errorf("send: %v", err)
				}
				if i%5 == 0 {
					time.Sleep(50 * time.Microsecond) // some are sent by polling and some on the WebSocket
				}
			}
		}()
		down, up := 0, 0
		receive := func(c transporttest.Peer) {
			m, err := c.Next(ctx)
			if err != nil || string(m.Data) != fmt.Sprint(down) {
				t.Fatalf("the client got %q, %v, want %d", m.Data, err, down)
			}
			down++
		}
		for range 5 {
			if err := p.Send(ctx, transport.Message{Data: fmt.Append(nil, up)}); err != nil {
				t.Fatal(err)
			}
			up++
		}
		receive(p)
		for len(p.got) > 0 {
			receive(p)
		}
		inFlight := up
		posted := make(chan error, 1)
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.sendText("2probe")
		if got := c.readText(); got != "3probe" {
			t.Fatalf("the probe was answered with %q", got)
		}
		go func() { posted <- p.Send(ctx, transport.Message{Data: fmt.Append(nil, inFlight)}) }() // received below
		waitFor(t, func() bool { return len(a.Received()) > inFlight || s.engine.Stats().Posts > 0 })
		if err := <-posted; err != nil {
			t.Fatal(err)
		}
		up++
		c.sendText("5")
		for range 5 {
			c.sendText(fmt.Sprintf("4%d", up))
			up++
		}
		for down < n {
			receive(c)
		}
		<-sent
		for i := range up {
			if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("the server got %q, %v, want %d", m.Data, err, i)
			}
		}
		_ = c.Close()
		s.waitForEnd(a, transport.TransportClose)
	}
}

// A client sends the upgrade packet, and at the same moment a poll on another network
// connection. Whichever the server reads first, the poll is refused: the connection has moved.
func TestUpgrade_PollsThatOvertakeThePacket(t *testing.T) {
	t.Parallel()
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	s := open(t, echoRecorder(), engineio.Config{})
	for range rounds {
		p := s.openPoll()
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.sendText("2probe")
		if got := c.readText(); got != "3probe" {
			t.Fatalf("the probe was answered with %q", got)
		}
		polled := make(chan answer, 1)
		go func() { polled <- p.get() }() // received below
		c.sendText("5")
		if a := <-polled; a.status != 400 {
			t.Errorf("the poll was answered with %d %q", a.status, a.body)
		}
		c.sendText("4hello")
		if got := c.readText(); got != "4hello" {
			t.Fatalf("got %q back", got)
		}
		c.nc.Close()
	}
}
