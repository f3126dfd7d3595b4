package engineio

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestTime_PingAndPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		_, a, p := b.openWebSocket()
		for range 3 {
			last := time.Now()
			if f := <-p.frames; f != "1:2" || time.Since(last) != 25*time.Second {
				t.Fatalf("%q after %v", f, time.Since(last))
			}
			time.Sleep(19 * time.Second)
			p.sendText("3")
			synctest.Wait()
		}
		<-p.frames // the fourth ping, which the client does not answer
		b.expectEnd(a, begin, 3*(25+19)*time.Second+(25+20)*time.Second, transport.PingTimeout)
		<-p.served
	})
}

func TestTime_UnsolicitedPongsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a, p := b.openWebSocket()
		for range 20 { // would postpone the ping if they counted
			p.sendText("3")
			time.Sleep(time.Second)
		}
		if f := <-p.frames; f != "1:2" || time.Since(begin) != 25*time.Second {
			t.Errorf("%q after %v", f, time.Since(begin))
		}
		c.Close(transport.ForcedClose)
		p.nc.Close()
		b.expectEnd(a, begin, 25*time.Second, transport.ForcedClose)
	})
}

// A timer that fires for a task that was replaced does nothing.
func TestTime_StaleTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a := b.openPolling()
		c.mu.Lock()
		time.Sleep(25 * time.Second) // the ping is due, and onTimer waits for the lock
		c.setTimer(giveUpClosing, 5*time.Second)
		c.mu.Unlock()
		b.expectEnd(a, begin, 30*time.Second, transport.TransportError)
	})
}

// A message does not count as a pong.
func TestTime_MessagesDoNotCountAsPongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		_, a, p := b.openWebSocket()
		<-p.frames
		stop := time.AfterFunc(10*time.Second, func() { p.sendText("4hello") })
		defer stop.Stop()
		b.expectEnd(a, begin, 45*time.Second, transport.PingTimeout)
	})
}

// While the receiver handles a message, the server cannot read the pong behind it.
func TestTime_BackpressureExtendsPingTimeout(t *testing.T) {
	for _, transportName := range []string{WebSocket, Polling} {
		t.Run(transportName, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
					time.Sleep(5 * time.Minute)
					return nil
				}}
				b := newPipeServer(t, recorder, Config{})
				begin := time.Now()
				var a *transporttest.Accepted
				if transportName == WebSocket {
					var p *pipeClient
					_, a, p = b.openWebSocket()
					time.Sleep(24 * time.Second)
					p.sendText("4hold")
					go p.sendText("3") // the write ends when Receive returns
					<-p.frames         // the ping
				} else {
					var c *conn
					c, a = b.openPolling()
					time.Sleep(24 * time.Second)
					go func() { _ = c.post([]byte("4hold\x1e3")) }() // ends when Receive returns
					if body, err := c.poll(nil); string(body) != "2" || err != nil {
						t.Errorf("the poll got %q, %v", body, err)
					}
				}
				// Receive runs from 24s to 324s. Then the pong is read. The next ping, at
				// 349s, is not answered.
				b.expectEnd(a, begin, 369*time.Second, transport.PingTimeout)
			})
		})
	}
}

// The ping timeout is extended by exactly the time that Receive took.
func TestTime_BackpressureExtendsPingTimeoutExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(16 * time.Second)
			return nil
		}}
		b := newPipeServer(t, recorder, Config{})
		begin := time.Now()
		_, a, p := b.openWebSocket()
		time.Sleep(24 * time.Second)
		p.sendText("4hold") // Receive returns at 40s; the ping is sent at 25s and not answered
		b.expectEnd(a, begin, (25+20+16)*time.Second, transport.PingTimeout)
		<-p.served
	})
}

// D20: the server cannot notice that the client of a waiting poll has left. So every poll
// ends in bounded time, even if Receive does not return.
func TestTime_D20_PollIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(time.Hour)
			return nil
		}}
		b := newPipeServer(t, recorder, Config{})
		c, a := b.openPolling()
		poll := func(want string, after time.Duration) {
			t.Helper()
			begin := time.Now()
			body, err := c.poll(nil)
			if string(body) != want || err != nil || time.Since(begin) != after {
				t.Errorf("%q, %v after %v, want %q after %v", body, err, time.Since(begin), want, after)
			}
		}
		poll("2", 25*time.Second)
		go func() { _ = c.post([]byte("4hold")) }() // ends when Receive returns
		synctest.Wait()
		poll("6", 20*time.Second) // a noop instead of the ping timeout
		poll("6", 20*time.Second)
		_, _, _ = a.End(t.Context())
	})
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		begin := time.Now()
		c, a := b.openPolling()
		_, _ = c.poll(nil) // the ping
		body, err := c.poll(nil)
		if string(body) != "1" || err != nil {
			t.Errorf("the poll of a client without pongs got %q, %v", body, err)
		}
		b.expectEnd(a, begin, 45*time.Second, transport.PingTimeout)
	})
}
