package engineio

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestR18_RateLimiter(t *testing.T) {
	t.Parallel()
	var l rateLimiter
	var now time.Duration
	cfg := Config{Limits: Limits{PacketsPerSecond: 10, BytesPerSecond: 1000}, MaxPayload: 500}.WithDefaults()
	run := func(name string, fn func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			l, now = rateLimiter{}, 0
			fn(t)
		})
	}
	count := func(t *testing.T, cfg Config, packets, bytes int, want time.Duration) {
		t.Helper()
		wait, err := l.count(newRates(cfg), packets, bytes, now)
		if wait = max(0, wait).Round(time.Microsecond); wait != want || err != nil {
			t.Fatalf("got a wait of %v and error %v, want %v", wait, err, want)
		}
	}
	run("a burst passes, one more waits", func(t *testing.T) {
		for range 20 {
			count(t, cfg, 1, 1, 0)
		}
		count(t, cfg, 1, 1, 100*time.Millisecond)
	})
	run("the rate itself never waits", func(t *testing.T) {
		for range 100 {
			count(t, cfg, 1, 1, 0)
			now += 100 * time.Millisecond
		}
	})
	run("bytes are limited separately", func(t *testing.T) {
		count(t, cfg, 1, 1000, 0)
		count(t, cfg, 1, 500, 500*time.Millisecond)
	})
	for _, tt := range []struct {
		packets, bytes int
		says           string
	}{{1, 1, "10 packets per second"}, {0, 300, "1000 bytes per second"}} {
		run("a flood ends with an error: "+tt.says, func(t *testing.T) {
			for now < time.Minute {
				wait, err := l.count(newRates(cfg), tt.packets, tt.bytes, now)
				if err != nil {
					if !errors.Is(err, ErrFlood) || !strings.Contains(err.Error(), tt.says) {
						t.Error(err)
					}
					break
				}
				now += max(0, wait)
			}
			if now < floodTimeout || now > floodTimeout+400*time.Millisecond {
				t.Errorf("got ErrFlood after %v, want it after %v", now, floodTimeout)
			}
		})
	}
	run("packets within their limit do not excuse bytes over theirs", func(t *testing.T) {
		for now < time.Minute {
			wait, err := l.count(newRates(cfg), 0, 300, now)
			if err != nil {
				return
			}
			now += max(0, wait)
			count(t, cfg, 1, 0, 0)
		}
		t.Error("it is no flood")
	})
	run("a pause resets the limit", func(t *testing.T) {
		for range 10 { // each time less than floodTimeout
			for range 40 {
				wait, err := l.count(newRates(cfg), 1, 1, now)
				if err != nil {
					t.Fatal(err)
				}
				now += max(0, wait)
			}
			now += 2 * time.Second
			count(t, cfg, 1, 1, 0)
		}
	})
	run("the largest message passes, whatever BytesPerSecond is", func(t *testing.T) {
		slow := Config{Limits: Limits{BytesPerSecond: 100 << 10}}.WithDefaults()
		now = time.Hour
		for left := slow.MaxPayload; left > 0; left -= paidFragment {
			count(t, slow, 0, min(left, paidFragment)+8, 0)
		}
		count(t, slow, 0, slow.MaxPayload, time.Duration(float64(slow.MaxPayload-10)/(100<<10)*1e9).Round(time.Microsecond))
	})
	run("switched off", func(t *testing.T) {
		if r := newRates(Config{Limits: Limits{PacketsPerSecond: -1, BytesPerSecond: -1}}.WithDefaults()); r != nil {
			t.Errorf("got limits %+v, want none", r)
		}
		onlyBytes := Config{Limits: Limits{PacketsPerSecond: -1}}.WithDefaults()
		for range 10_000 {
			count(t, onlyBytes, 1, 0, 0)
		}
	})
}

// maskedFrame returns a client's frame.
func maskedFrame(fin bool, op wsframe.Opcode, data string) string {
	b := wsframe.AppendHeader(nil, wsframe.Header{Fin: fin, Op: op, Masked: true, Length: uint64(len(data))})
	return string(b) + data
}

// flood writes frames until the server closes the connection, at most 1,000. It returns how many were
// written, how long that took, and the close frame.
func (p *pipeClient) flood(first, frame string) (frames int, took time.Duration, closeFrame string) {
	begin := time.Now()
	written := make(chan int)
	stop := make(chan struct{})
	go func() { // received below
		_, _ = p.nc.Write([]byte(first))
		n := 0
		for {
			select {
			case <-stop:
				written <- n
				return
			default:
			}
			if _, err := p.nc.Write([]byte(frame)); err != nil {
				<-stop
				written <- n
				return
			}
			if n++; n == 1000 { // a server that counts nothing: the test fails
				p.nc.Close()
			}
		}
	}()
	for f := range p.frames {
		if strings.HasPrefix(f, "8:") {
			closeFrame = f
			break
		}
	}
	took = time.Since(begin)
	close(stop)
	p.nc.Close()
	return <-written, took, closeFrame
}

// Everything that a client sends on a WebSocket counts, not only messages: it is read at the
// rate that Limits allow, and the connection is closed after floodTimeout.
func TestTime_R18_EveryFrameCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, first, frame string
		upgrade            bool // sent on the WebSocket of an upgrade
	}{
		{name: "noop", frame: maskedFrame(true, wsframe.Text, "6")},
		{name: "pong packet", frame: maskedFrame(true, wsframe.Text, "3")},
		{name: "upgrade packet", frame: maskedFrame(true, wsframe.Text, "5")},
		{name: "message", frame: maskedFrame(true, wsframe.Text, "4")},
		{name: "binary message", frame: maskedFrame(true, wsframe.Binary, "")},
		{name: "ping frame", frame: maskedFrame(true, wsframe.Ping, "")},
		{name: "pong frame", frame: maskedFrame(true, wsframe.Pong, "")},
		{name: "empty fragment", first: maskedFrame(false, wsframe.Text, "4"), frame: maskedFrame(false, wsframe.Continuation, "")},
		{name: "small fragment", first: maskedFrame(false, wsframe.Binary, ""), frame: maskedFrame(false, wsframe.Continuation, strings.Repeat("x", 1000))},
		{name: "first fragment", frame: maskedFrame(false, wsframe.Text, "6") + maskedFrame(true, wsframe.Continuation, strings.Repeat("x", 2000))},
		{name: "probe", frame: maskedFrame(true, wsframe.Text, "2probe"), upgrade: true},
		{name: "ping frame in an upgrade", frame: maskedFrame(true, wsframe.Ping, ""), upgrade: true},
		{name: "pong frame in an upgrade", frame: maskedFrame(true, wsframe.Pong, ""), upgrade: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: 10}})
				var a *transporttest.Accepted
				var p *pipeClient
				wantClose := "8:\x03\xe8"
				if tt.upgrade {
					var c *conn
					c, a = b.openPolling()
					p = b.serve(c.serveUpgrade)
					go func() { // ends with the connection: the client takes the close packet
						for {
							if _, err := c.poll(nil); err != nil {
								return
							}
						}
					}()
				} else {
					_, a, p = b.openWebSocket()
				}
				n, took, closeFrame := p.flood(tt.first, tt.frame)
				if took < floodTimeout || took > floodTimeout+200*time.Millisecond || closeFrame != wantClose {
					t.Errorf("closed after %v with %q, want %v and %q", took, closeFrame, floodTimeout, wantClose)
				}
				if n < 45 || n > 55 {
					t.Errorf("%d frames were read, want about 20 + 3 x 10", n)
				}
				reason, cause, err := a.End(t.Context())
				if reason != transport.ForcedClose || !errors.Is(cause, ErrFlood) || err != nil {
					t.Errorf("it ended with %q, %v, %v", reason, cause, err)
				}
				<-p.served
				if got := b.server.Stats().Notices["slowed_down"]; got < 25 {
					t.Errorf("slowed_down was counted %d times", got)
				}
			})
		})
	}
}

// Everything that a client sends by polling counts too.
func TestTime_R18_EveryPacketOfABodyCounts(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"posts of one packet": "6",
		"pongs":               "3",
		"a body of noops":     strings.TrimSuffix(strings.Repeat("6\x1e", 100), "\x1e"),
		"a body of messages":  strings.TrimSuffix(strings.Repeat("4x\x1e", 100), "\x1e"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: 10}})
				c, a := b.openPolling()
				begin, posts := time.Now(), 0
				for c.state.Load() == open && posts < 1000 {
					if err := c.post([]byte(body)); err != nil {
						t.Fatalf("a post was refused: %v", err) // the client would stop polling
					}
					posts++
				}
				if took := time.Since(begin); took < floodTimeout || took > floodTimeout+200*time.Millisecond {
					t.Errorf("closed after %v, want %v", took, floodTimeout)
				}
				if packets := posts * (strings.Count(body, "\x1e") + 1); packets < 45 || packets > 110 {
					t.Errorf("%d packets in %d posts were read", packets, posts)
				}
				if body, err := c.poll(nil); string(body) != "1" || err != nil {
					t.Errorf("the next poll got %q, %v, want the close packet", body, err)
				}
				reason, cause, err := a.End(t.Context())
				if reason != transport.ForcedClose || !errors.Is(cause, ErrFlood) || err != nil {
					t.Errorf("it ended with %q, %v, %v", reason, cause, err)
				}
			})
		})
	}
}

// Requests to upgrade count, also those that are refused because another one is in progress.
func TestTime_R18_UpgradeRequestsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{Limits: Limits{PacketsPerSecond: 10}})
		c, a := b.openPolling()
		begin := time.Now()
		for n := 0; c.state.Load() == open && n < 1000; n++ {
			p := b.serve(c.serveUpgrade)
			p.nc.Close()
			<-p.served
		}
		if took := time.Since(begin); took < floodTimeout || took > floodTimeout+200*time.Millisecond {
			t.Errorf("closed after %v, want %v", took, floodTimeout)
		}
		_, _ = c.poll(nil)
		if _, cause, _ := a.End(t.Context()); !errors.Is(cause, ErrFlood) {
			t.Errorf("it ended with %v", cause)
		}
	})
}

// The default limits do not delay clients in ordinary use. In a bubble of synctest, the time
// stands still unless the server waits.
func TestTime_R18_OrdinaryTrafficIsNotDelayed(t *testing.T) {
	t.Parallel()
	message := strings.Repeat("x", 1_000_000-1)
	fragments := func(size int) string {
		var s strings.Builder
		for rest, op := "4"+message, wsframe.Text; ; op = wsframe.Continuation {
			n := min(size, len(rest))
			s.WriteString(maskedFrame(n == len(rest), op, rest[:n]))
			if rest = rest[n:]; rest == "" {
				return s.String()
			}
		}
	}
	for _, tt := range []struct {
		name, frames string
		perSecond    int
		messages     int // in frames
	}{
		{"200 messages", maskedFrame(true, wsframe.Text, "4x"), 200, 1},
		{"100 messages and acknowledgements", maskedFrame(true, wsframe.Text, `42["e"]`) + maskedFrame(true, wsframe.Text, "430[]"), 100, 2},
		{"messages with 10 attachments", maskedFrame(true, wsframe.Text, "4x") + strings.Repeat(maskedFrame(true, wsframe.Binary, "y"), 10), 18, 11},
		{"a message of MaxPayload in one frame", maskedFrame(true, wsframe.Text, "4"+message), 4, 1},
		{"a message of MaxPayload in frames of 16 KiB", fragments(16 << 10), 4, 1},
		{"a message of MaxPayload in frames of 4 KiB", fragments(4 << 10), 4, 1},
		{"a message of MaxPayload in frames of 1 KiB", fragments(1 << 10), 4, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				received := make(chan struct{}, 1000)
				recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
					received <- struct{}{}
					return nil
				}}
				b := newPipeServer(t, recorder, Config{})
				_, a, p := b.openWebSocket()
				for range 5 {
					begin := time.Now()
					for range tt.perSecond {
						_, _ = p.nc.Write([]byte(tt.frames))
						for range tt.messages {
							<-received
						}
					}
					if took := time.Since(begin); took != 0 {
						t.Fatalf("delayed by %v", took)
					}
					time.Sleep(time.Second)
				}
				p.nc.Close()
				<-a.Conn.Done()
				<-p.served
				if got := b.server.Stats().Notices; len(got) != 0 {
					t.Errorf("reported %v", got)
				}
			})
		})
	}
	t.Run("polling", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			c, a := b.openPolling()
			for range 5 {
				begin := time.Now()
				for i := range 200 { // each in a post of its own, with an answer for a poll of its own
					_ = c.Send(0, transport.Message{Data: fmt.Append(nil, i)})
					if _, err := c.poll(nil); err != nil {
						t.Fatal(err)
					}
					if err := c.post([]byte("4x")); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(begin); took != 0 {
					t.Fatalf("delayed by %v", took)
				}
				time.Sleep(time.Second)
			}
			c.terminate(transport.ForcedClose, nil)
			<-a.Conn.Done()
		})
	})
}

// A client whose messages were delayed by the limit is not held responsible for pongs that
// could not be read meanwhile, and the end of a connection ends the delay.
func TestTime_R18_ADelayEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{MaxPayload: 1000, Limits: Limits{BytesPerSecond: 10}})
		c, a, p := b.openWebSocket()
		_, _ = p.nc.Write([]byte(maskedFrame(true, wsframe.Binary, strings.Repeat("x", 1000))))
		_, _ = p.nc.Write([]byte(maskedFrame(true, wsframe.Binary, strings.Repeat("x", 1000)))) // waits for 100 s
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if c.state.Load() != open {
			t.Fatalf("state %d: the client was closed although its pong could not be read", c.state.Load())
		}
		begin := time.Now()
		c.terminate(transport.ShuttingDown, nil)
		b.expectEnd(a, begin, 0, transport.ShuttingDown)
		<-p.served
		p.nc.Close()
	})
}
