package engineio

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestTime_UpgradeTimeout(t *testing.T) {
	for _, say := range []string{"", "2probe"} {
		synctest.Test(t, func(t *testing.T) {
			b := newPipeServer(t, &transporttest.Recorder{}, Config{})
			c, a := b.openPolling()
			begin := time.Now()
			p := b.serve(c.serveUpgrade)
			if say != "" {
				p.sendText(say)
				<-p.frames
			}
			if f := <-p.frames; f != "8:\x03\xe8" || time.Since(begin) != 10*time.Second {
				t.Errorf("%q after %v", f, time.Since(begin))
			}
			<-p.served
			if err := c.Send(0, transport.Message{Data: []byte("on polling")}); err != nil {
				t.Error(err)
			}
			if body, err := c.poll(nil); string(body) != "4on polling" || err != nil {
				t.Errorf("the poll got %q, %v", body, err)
			}
			c.terminate(transport.ForcedClose, nil)
			<-a.Conn.Done()
		})
	}
}

// If a proxy swallows the answer to the probe, the client keeps polling during the upgrade. It
// must not do so in a busy loop.
func TestTime_PollsArePacedDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		c, a := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		begin := time.Now()
		for range 10 {
			if body, err := c.poll(nil); string(body) != "6" || err != nil {
				t.Errorf("the poll got %q, %v", body, err)
			}
		}
		if took := time.Since(begin); took != 10*upgradePollTimeout {
			t.Errorf("10 polls took %v, want %v", took, 10*upgradePollTimeout)
		}
		begin = time.Now()
		c.terminate(transport.ForcedClose, nil)
		<-p.served
		if took := time.Since(begin); took != 0 {
			t.Errorf("the upgrade ended %v after its connection", took)
		}
		<-a.Conn.Done()
	})
}

// A post is still being handled when the client sends "5". The messages on the WebSocket must
// wait for it, and no other post may come in between.
func TestTime_UpgradeWaitsForThePostBeingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &transporttest.Recorder{OnReceive: func(_ *transporttest.Accepted, m transport.Message) error {
			if string(m.Data) == "hold" {
				time.Sleep(time.Minute)
			}
			return nil
		}}
		b := newPipeServer(t, recorder, Config{PingInterval: time.Hour})
		c, a := b.openPolling()
		posted := make(chan *Error, 1)
		go func() { posted <- c.post([]byte("4hold\x1e4two")) }() // received below
		synctest.Wait()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		p.sendText("5")
		go p.sendText("4three") // read after the post
		synctest.Wait()
		if err := c.post([]byte("4thief")); err != ErrBadRequest {
			t.Errorf("a post during the switch to the WebSocket: %v", err)
		}
		if c.Transport() != Polling || len(a.Received()) != 1 {
			t.Errorf("transport is %s, and the receiver has %d messages, want polling and 1", c.Transport(), len(a.Received()))
		}
		if err := <-posted; err != nil {
			t.Errorf("post returned %v", err)
		}
		for _, want := range []string{"hold", "two", "three"} {
			if m, err := a.Next(t.Context()); err != nil || string(m.Data) != want {
				t.Errorf("the receiver got %q, %v, want %q", m.Data, err, want)
			}
		}
		p.nc.Close()
		if _, _, err := a.End(t.Context()); err != nil {
			t.Error(err)
		}
		<-p.served
	})
}

// A connection that is closing can still upgrade. Its close frame is then sent on the WebSocket.
func TestTime_CloseDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		c, a := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		_ = c.Send(0, transport.Message{Data: []byte("last message")})
		c.Close(transport.ShuttingDown)
		p.sendText("5")
		if got := <-p.frames; got != "1:4last message" {
			t.Errorf("got %q before the close frame", got)
		}
		if got := <-p.frames; got != "8:\x03\xe9" {
			t.Errorf("close frame is %q", got)
		}
		p.nc.Close()
		if got, _, err := a.End(t.Context()); err != nil || got != transport.ShuttingDown {
			t.Errorf("it ended with %q, %v", got, err)
		}
		<-p.served
	})
}

// The end of a connection ends an upgrade in progress, even one that waits for a post.
func TestTime_EndDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := &transporttest.Recorder{OnReceive: func(*transporttest.Accepted, transport.Message) error {
			time.Sleep(time.Minute)
			return nil
		}}
		b := newPipeServer(t, recorder, Config{})
		c, a := b.openPolling()
		go func() { _ = c.post([]byte("4hold")) }() // ends when Receive returns
		synctest.Wait()
		p := b.serve(c.serveUpgrade)
		p.sendText("5")
		synctest.Wait()
		c.terminate(transport.TransportError, nil)
		if got, _, err := a.End(t.Context()); err != nil || got != transport.TransportError {
			t.Errorf("it ended with %q, %v", got, err)
		}
		<-p.served
	})
}

// A poll that arrives while the WebSocket takes over: the client's own, which was waiting when
// the upgrade began, gets a noop. One that has overtaken the upgrade packet on another network
// connection is refused, as if it had come after it.
func TestTime_PollsAndTheUpgradePacket(t *testing.T) {
	for _, tt := range []struct {
		name string
		late bool
		want *Error
		body string
	}{
		{"a poll that was waiting", false, nil, "6"},
		{"a poll that has overtaken it", true, ErrBadRequest, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeServer(t, &transporttest.Recorder{}, Config{})
				c, a := b.openPolling()
				type result struct {
					body string
					err  *Error
				}
				polled := make(chan result, 1)
				poll := func() {
					go func() { // received below
						body, err := c.poll(nil)
						polled <- result{string(body), err}
					}()
					synctest.Wait()
				}
				if !tt.late {
					poll()
				}
				p := b.serve(c.serveUpgrade)
				p.sendText("2probe")
				<-p.frames
				if tt.late {
					poll()
				}
				p.sendText("5")
				if got := <-polled; got.body != tt.body || got.err != tt.want {
					t.Errorf("the poll got %q, %v, want %q, %v", got.body, got.err, tt.body, tt.want)
				}
				if body, err := c.poll(nil); len(body) > 0 || err != ErrBadRequest {
					t.Errorf("a poll after the upgrade got %q, %v", body, err)
				}
				_ = c.Send(0, transport.Message{Data: []byte("on the WebSocket")})
				if f := <-p.frames; f != "1:4on the WebSocket" {
					t.Errorf("got %q", f)
				}
				p.nc.Close()
				<-a.Conn.Done()
				<-p.served
			})
		})
	}
}

// During the upgrade, queued messages are for the poll that asks for them, late or not.
func TestTime_PollDuringTheUpgradeGetsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeServer(t, &transporttest.Recorder{}, Config{})
		c, a := b.openPolling()
		p := b.serve(c.serveUpgrade)
		p.sendText("2probe")
		<-p.frames
		_ = c.Send(0, transport.Message{Data: []byte("a")})
		if body, err := c.poll(nil); string(body) != "4a" || err != nil {
			t.Errorf("the poll got %q, %v", body, err)
		}
		p.nc.Close()
		<-p.served
		c.terminate(transport.ForcedClose, nil)
		<-a.Conn.Done()
	})
}
