package engineio_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestHandshake(t *testing.T) {
	t.Parallel()
	cfg := engineio.Config{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}
	want := opened{PingInterval: 300, PingTimeout: 200, MaxPayload: 1_000_000}
	check := func(t *testing.T, packet string, upgrades ...string) {
		t.Helper()
		got := parseOpen(t, packet)
		if strings.Join(got.Upgrades, ",") != strings.Join(upgrades, ",") {
			t.Errorf("upgrades is %q, not %q", got.Upgrades, upgrades)
		}
		if len(got.SID) != 24 {
			t.Errorf("sid has %d characters; 144 bits are 24", len(got.SID))
		}
		got.SID, got.Upgrades = "", nil
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("it says %+v, not %+v", got, want)
		}
	}
	t.Run("polling", func(t *testing.T) {
		a := open(t, &transporttest.Recorder{}, cfg).do("GET", polling, "")
		if a.status != 200 || a.header.Get("Content-Type") != "text/plain; charset=utf-8" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("the answer is %d with %v", a.status, a.header)
		}
		check(t, a.body, "websocket")
	})
	t.Run("websocket", func(t *testing.T) {
		c, _ := open(t, &transporttest.Recorder{}, cfg).dialWS(websocket)
		check(t, c.text())
	})
	t.Run("upgrades can be turned off", func(t *testing.T) {
		cfg := cfg
		cfg.DisableUpgrades = true
		s := open(t, &transporttest.Recorder{}, cfg)
		a := s.do("GET", polling, "")
		check(t, a.body)
		if _, a := s.dialWS(websocket + "&sid=" + parseOpen(t, a.body).SID); a.code() != 3 {
			t.Errorf("an upgrade was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("polling alone", func(t *testing.T) {
		cfg := cfg
		cfg.Transports = []string{engineio.Polling}
		s := open(t, &transporttest.Recorder{}, cfg)
		check(t, s.do("GET", polling, "").body)
		if _, a := s.dialWS(websocket); a.code() != 0 {
			t.Errorf("a WebSocket was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("websocket alone", func(t *testing.T) {
		cfg := cfg
		cfg.Transports = []string{engineio.WebSocket}
		s := open(t, &transporttest.Recorder{}, cfg)
		s.ws()
		if a := s.do("GET", polling, ""); a.code() != 0 {
			t.Errorf("polling was answered with %d %s", a.status, a.body)
		}
	})
	t.Run("without the last slash, and elsewhere", func(t *testing.T) {
		cfg := cfg
		cfg.Path = "/live/"
		s := open(t, &transporttest.Recorder{}, cfg)
		for path, want := range map[string]int{"/live/": 200, "/live": 200, "/live/x": 404, "/socket.io/": 404, "/": 404} {
			res, err := s.client.Get("http://" + s.addr + path + "?" + polling)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s: %d, not %d", path, res.StatusCode, want)
			}
		}
	})
	t.Run("a subprotocol is selected, so that clients that want one go on", func(t *testing.T) {
		s := open(t, &transporttest.Recorder{}, cfg)
		_, a := s.dialWS(websocket, "Sec-WebSocket-Protocol", "ws1, ws2")
		if got := a.header.Get("Sec-WebSocket-Protocol"); got != "ws1" {
			t.Errorf("it is %q", got)
		}
	})
}

func TestPolling(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"one packet", "4hello", "4hello"},
		{"several packets", "4one\x1e4two\x1e4three", "4one\x1e4two\x1e4three"},
		{"text and binary", "4hello\x1ebAQIDBA==", "4hello\x1ebAQIDBA=="},
		{"an empty message", "4", "4"},
		{"UTF-8", "4€🙂", "4€🙂"},
		{"packets without a meaning here", "6\x1e5\x1e3\x1e4a", "4a"},
	}
	s := open(t, echoing(), engineio.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := s.poll()
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
	p := s.poll()
	a := s.next()
	got := make(chan answer)
	go func() { got <- p.get() }() // received below
	eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
	if err := a.Conn.Send(0, transport.Message{Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.body != "4hello" {
		t.Errorf("the poll was answered with %d %q", a.status, a.body)
	}
}

// eventually waits for what another goroutine is about to do.
func eventually(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

// A goodbye of the client ends its poll with a packet that means nothing, and the
// connection is gone.
func TestPolling_ClientCloses(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
	p := s.poll()
	a := s.next()
	got := make(chan answer)
	go func() { got <- p.get() }() // received below
	eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
	if a := p.post("4before\x1e1\x1e4after"); a.status != 200 || a.body != "ok" {
		t.Errorf("the post was answered with %d %q", a.status, a.body)
	}
	if a := <-got; a.status != 200 || a.body != "6" && a.body != "4before" {
		t.Errorf("the poll was answered with %d %q", a.status, a.body)
	}
	s.ended(a, transport.TransportClose)
	if r := a.Received(); len(r) != 1 || string(r[0].Data) != "before" {
		t.Errorf("the core got %v", r)
	}
	if a := p.get(); a.code() != 1 {
		t.Errorf("a poll after the end: %d %s", a.status, a.body)
	}
}

func TestPolling_ServerCloses(t *testing.T) {
	t.Parallel()
	t.Run("while a poll waits", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		a := s.next()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
		a.Conn.Close(transport.ForcedClose)
		if a := <-got; a.status != 200 || a.body != "1" {
			t.Errorf("the poll was answered with %d %q", a.status, a.body)
		}
		s.ended(a, transport.ForcedClose)
	})
	t.Run("with something queued", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		a := s.next()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last words")})
		a.Conn.Close(transport.ForcedClose)
		if a := p.post("4nobody hears"); a.status != 200 {
			t.Errorf("a post to a connection that closes: %d %s", a.status, a.body)
		}
		if a := p.get(); a.body != "4last words\x1e1" {
			t.Errorf("the poll was answered with %d %q", a.status, a.body)
		}
		s.ended(a, transport.ForcedClose)
		if r := a.Received(); len(r) != 0 {
			t.Errorf("the core got %v after it had closed", r)
		}
	})
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
	t.Run("text", func(t *testing.T) {
		c := s.ws()
		c.say("4hello")
		if got := c.text(); got != "4hello" {
			t.Errorf("the echo is %q", got)
		}
	})
	t.Run("binary", func(t *testing.T) {
		c := s.ws()
		c.raw(clientFrame(true, wsframe.Binary, "\x01\x02\x03"))
		if f, err := c.read(); err != nil || f != (frame{wsframe.Binary, "\x01\x02\x03"}) {
			t.Errorf("the echo is %+v, %v", f, err)
		}
	})
	t.Run("binary of a client that forces base64", func(t *testing.T) {
		c := s.ws()
		c.say("bAQID")
		if f, err := c.read(); err != nil || f != (frame{wsframe.Binary, "\x01\x02\x03"}) {
			t.Errorf("the echo is %+v, %v", f, err)
		}
	})
	t.Run("many frames at once", func(t *testing.T) {
		c := s.ws()
		var all strings.Builder
		for i := range 1000 {
			all.WriteString(clientFrame(true, wsframe.Text, fmt.Sprintf("4%d", i)))
		}
		go c.raw(all.String()) // ends when it is read
		for i := range 1000 {
			if got := c.text(); got != fmt.Sprintf("4%d", i) {
				t.Fatalf("echo %d is %q", i, got)
			}
		}
	})
	t.Run("the client closes with a packet", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		c := s.ws()
		a := s.next()
		c.say("1")
		if code := c.closed(); code != wsframe.NormalClosure {
			t.Errorf("the close code is %d", code)
		}
		c.nc.Close()
		s.ended(a, transport.TransportClose)
	})
	t.Run("the client closes with a frame", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		c := s.ws()
		a := s.next()
		c.raw(clientFrame(true, wsframe.Close, "\x0f\xa0bye"))
		if code := c.closed(); code != 4000 {
			t.Errorf("the close code is %d, not the client's", code)
		}
		s.ended(a, transport.TransportClose) // without waiting for the client to hang up
	})
	t.Run("the client goes without a word", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		c := s.ws()
		a := s.next()
		c.nc.Close()
		s.ended(a, transport.TransportClose)
	})
	t.Run("the server closes", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{Timeouts: engineio.Timeouts{Close: time.Hour}})
		c := s.ws()
		a := s.next()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last words")})
		a.Conn.Close(transport.ForcedClose)
		if got := c.text(); got != "4last words" {
			t.Errorf("before the close came %q", got)
		}
		if code := c.closed(); code != wsframe.NormalClosure {
			t.Errorf("the close code is %d", code)
		}
		if _, err := c.read(); err != io.EOF { // a client may wait for the server to hang up
			t.Errorf("after the goodbye came %v", err)
		}
		c.say("4nobody hears")
		c.raw(clientFrame(true, wsframe.Close, "\x03\xe8"))
		s.ended(a, transport.ForcedClose)
		if r := a.Received(); len(r) != 0 {
			t.Errorf("the core got %v after it had closed", r)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	cfg := engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 10 * time.Second}
	t.Run("polling", func(t *testing.T) {
		p := open(t, echoing(), cfg).poll()
		for range 3 {
			if a := p.get(); a.body != "2" {
				t.Fatalf("the poll was answered with %q, not a ping", a.body)
			}
			if a := p.post("3"); a.status != 200 {
				t.Fatalf("the pong was answered with %d %s", a.status, a.body)
			}
		}
	})
	t.Run("websocket", func(t *testing.T) {
		c := open(t, echoing(), cfg).ws()
		for range 3 {
			if got := c.text(); got != "2" {
				t.Fatalf("the frame is %q, not a ping", got)
			}
			c.say("3")
		}
	})
	t.Run("no pong", func(t *testing.T) {
		cfg := engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}
		s := open(t, echoing(), cfg)
		p := s.poll()
		s.ended(s.next(), transport.PingTimeout)
		if a := p.get(); a.code() != 1 {
			t.Errorf("a poll after the end: %d %s", a.status, a.body)
		}
		c := s.ws()
		s.ended(s.next(), transport.PingTimeout)
		for { // the ping, and then the end
			if _, err := c.read(); err != nil {
				break
			}
		}
	})
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	t.Run("whole", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		a := s.next()
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.say("2probe")
		if got := c.text(); got != "3probe" {
			t.Fatalf("the probe was answered with %q", got)
		}
		if a := p.get(); a.status != 200 || a.body != "6" {
			t.Errorf("the poll was answered with %d %q, not a noop", a.status, a.body)
		}
		if got := a.Conn.Transport(); got != engineio.Polling {
			t.Errorf("before the upgrade the transport is %q", got)
		}
		c.say("5")
		c.say("4hello")
		if got := c.text(); got != "4hello" {
			t.Errorf("the echo is %q", got)
		}
		if got := a.Conn.Transport(); got != engineio.WebSocket {
			t.Errorf("after the upgrade the transport is %q", got)
		}
		for method, body := range map[string]string{"GET": "", "POST": "4x"} {
			if a := s.do(method, p.query(), body); a.code() != 3 {
				t.Errorf("%s after the upgrade: %d %s", method, a.status, a.body)
			}
		}
		c.say("4still")
		if got := c.text(); got != "4still" {
			t.Errorf("the echo is %q", got)
		}
	})
	t.Run("a poll that waits is let go at once", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.say("2probe")
		if a := <-got; a.body != "6" {
			t.Errorf("the poll was answered with %q", a.body)
		}
	})
	t.Run("a poll that waits when the upgrade comes anyway", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		got := make(chan answer)
		go func() { got <- p.get() }() // received below
		eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.say("5") // without a probe
		if a := <-got; a.body != "6" {
			t.Errorf("the poll was answered with %q", a.body)
		}
		c.say("4hello")
		if got := c.text(); got != "4hello" {
			t.Errorf("the echo is %q", got)
		}
	})
	t.Run("what was queued comes on the WebSocket", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		a := s.next()
		for i := range 10 {
			_ = a.Conn.Send(0, transport.Message{Data: fmt.Append(nil, i)})
		}
		c := p.upgradeTo()
		for i := range 10 {
			if got := c.text(); got != fmt.Sprintf("4%d", i) {
				t.Fatalf("message %d is %q", i, got)
			}
		}
	})
	t.Run("packets behind the upgrade in one write", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{})
		p := s.poll()
		c, _ := s.dialWS(websocket + "&sid=" + p.sid)
		c.raw(clientFrame(true, wsframe.Text, "2probe") + clientFrame(true, wsframe.Text, "5") + clientFrame(true, wsframe.Text, "4hello"))
		if got := c.text() + c.text(); got != "3probe4hello" {
			t.Errorf("it is %q", got)
		}
	})
}

// An upgrade that does not come about leaves the connection where it was, and
// another may be tried.
func TestUpgrade_Fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func(c *wsClient)
	}{
		{"the client hangs up", func(c *wsClient) { c.nc.Close() }},
		{"the client closes", func(c *wsClient) { _ = c.Close() }},
		{"a message before the upgrade", func(c *wsClient) { c.say("4hello") }},
		{"another probe", func(c *wsClient) { c.say("2other") }},
		{"nonsense", func(c *wsClient) { c.say("x") }},
		{"a binary frame", func(c *wsClient) { c.raw(clientFrame(true, wsframe.Binary, "5")) }},
		{"a broken frame", func(c *wsClient) { c.raw("\xff\xff") }},
		{"after the probe", func(c *wsClient) { c.say("2probe"); c.say("2") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, echoing(), engineio.Config{})
			p := s.poll()
			c, _ := s.dialWS(websocket + "&sid=" + p.sid)
			tt.fail(c)
			eventually(t, func() bool { return s.engine.Stats().WebSockets == 0 })
			if a := p.post("4on polling"); a.status != 200 {
				t.Fatalf("the connection did not live on: %d %s", a.status, a.body)
			}
			if a := p.get(); a.body != "4on polling" {
				t.Errorf("the poll was answered with %q", a.body)
			}
			again := p.upgradeTo()
			again.say("4upgraded")
			if got := again.text(); got != "4upgraded" {
				t.Errorf("the echo is %q", got)
			}
		})
	}
}

// Row 12 of the threats: one upgrade at a time, one that succeeds, and who comes
// second harms nobody.
func TestUpgrade_SecondIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, echoing(), engineio.Config{})
	p := s.poll()
	first, _ := s.dialWS(websocket + "&sid=" + p.sid)
	first.say("2probe")
	if got := first.text(); got != "3probe" {
		t.Fatalf("the probe was answered with %q", got)
	}
	for range 20 {
		second, _ := s.dialWS(websocket + "&sid=" + p.sid)
		second.say("2probe")
		second.say("5")
		if code := second.closed(); code != wsframe.PolicyViolation {
			t.Errorf("during the upgrade, the second ended with %d", code)
		}
	}
	first.say("5")
	first.say("4hello")
	if got := first.text(); got != "4hello" {
		t.Fatalf("the echo is %q", got)
	}
	for range 20 {
		second, _ := s.dialWS(websocket + "&sid=" + p.sid)
		if code := second.closed(); code != wsframe.PolicyViolation {
			t.Errorf("after the upgrade, the second ended with %d", code)
		}
	}
	first.say("4undisturbed")
	if got := first.text(); got != "4undisturbed" {
		t.Errorf("the echo is %q", got)
	}
}

// Numbers go both ways while the connection moves: none may be lost, come twice or
// come out of order. Posts may be in flight while the WebSocket takes over.
func TestUpgrade_WithTraffic(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	s := open(t, &transporttest.Recorder{}, engineio.Config{})
	for range rounds {
		p := s.poll()
		a := s.next()
		ctx := s.context()
		const n = 40
		sent := make(chan struct{})
		go func() { // the end of this round waits for it
			defer close(sent)
			for i := range n {
				if err := a.Conn.Send(0, transport.Message{Data: fmt.Append(nil, i)}); err != nil {
					t.Errorf("send: %v", err)
				}
				if i%5 == 0 {
					time.Sleep(50 * time.Microsecond) // so that some meet the poll and some the WebSocket
				}
			}
		}()
		down, up := 0, 0
		receive := func(c transporttest.Peer) {
			m, err := c.Next(ctx)
			if err != nil || string(m.Data) != fmt.Sprint(down) {
				t.Fatalf("the client got %q, %v in place of %d", m.Data, err, down)
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
		c.say("2probe")
		if got := c.text(); got != "3probe" {
			t.Fatalf("the probe was answered with %q", got)
		}
		go func() { posted <- p.Send(ctx, transport.Message{Data: fmt.Append(nil, inFlight)}) }() // received below
		eventually(t, func() bool { return len(a.Received()) > inFlight || s.engine.Stats().Posts > 0 })
		if err := <-posted; err != nil {
			t.Fatal(err)
		}
		up++
		c.say("5")
		for range 5 {
			c.say(fmt.Sprintf("4%d", up))
			up++
		}
		for down < n {
			receive(c)
		}
		<-sent
		for i := range up {
			if m, err := a.Next(ctx); err != nil || string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("the server got %q, %v in place of %d", m.Data, err, i)
			}
		}
		_ = c.Close()
		s.ended(a, transport.TransportClose)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	core := echoing()
	s := open(t, core, engineio.Config{})
	waiting, idle, c := s.poll(), s.poll(), s.ws()
	polled := make(chan answer)
	go func() { polled <- waiting.get() }() // received below
	eventually(t, func() bool { return s.engine.Stats().Polls == 1 })
	for range 3 {
		a := s.next()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last words")})
	}
	down := make(chan error, 2)
	for range 2 { // the second waits for the same end
		go func() { down <- s.engine.Shutdown(context.Background()) }() // received below
	}
	if a := <-polled; a.body != "4last words" && a.body != "4last words\x1e1" {
		t.Errorf("the waiting poll was answered with %q", a.body)
	} else if a.body == "4last words" {
		if a := waiting.get(); a.body != "1" {
			t.Errorf("and the next with %q", a.body)
		}
	}
	eventually(t, func() bool { return s.do("GET", polling, "").status == 503 })
	if a := s.do("GET", polling, ""); a.header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	if a := idle.get(); a.body != "4last words\x1e1" {
		t.Errorf("the poll that was not waiting was answered with %q", a.body)
	}
	if got := c.text(); got != "4last words" {
		t.Errorf("before the close came %q", got)
	}
	if code := c.closed(); code != wsframe.GoingAway {
		t.Errorf("the close code is %d", code)
	}
	c.nc.Close()
	for range 2 {
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
	for _, a := range core.All() {
		s.ended(a, transport.ShuttingDown)
	}
}

func TestShutdown_IsCutShort(t *testing.T) {
	t.Parallel()
	core := echoing()
	s := open(t, core, engineio.Config{Timeouts: engineio.Timeouts{Close: time.Hour}})
	s.poll()
	s.ws() // neither reads, nor hangs up
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.engine.Shutdown(ctx); err == nil {
		t.Error("a context that has ended is not an error")
	}
	for _, a := range core.All() {
		s.ended(a, transport.ShuttingDown)
	}
	if err := s.engine.Shutdown(context.Background()); err != nil {
		t.Errorf("when all has ended: %v", err)
	}
}
