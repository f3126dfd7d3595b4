package engineio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	cfg := engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 10 * time.Second}
	t.Run("polling", func(t *testing.T) {
		p := open(t, echoRecorder(), cfg).openPoll()
		for range 3 {
			if a := p.get(); a.body != "2" {
				t.Fatalf("poll response is %q, want a ping", a.body)
			}
			if a := p.post("3"); a.status != 200 {
				t.Fatalf("the pong was answered with %d %s", a.status, a.body)
			}
		}
	})
	t.Run("websocket", func(t *testing.T) {
		c := open(t, echoRecorder(), cfg).openWS()
		for range 3 {
			if got := c.readText(); got != "2" {
				t.Fatalf("got frame %q, want a ping", got)
			}
			c.sendText("3")
		}
	})
	t.Run("no pong", func(t *testing.T) {
		cfg := engineio.Config{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}
		s := open(t, echoRecorder(), cfg)
		p := s.openPoll()
		s.waitForEnd(s.nextConn(), transport.PingTimeout)
		if a := p.get(); a.code() != 1 {
			t.Errorf("a poll after the end: %d %s", a.status, a.body)
		}
		c := s.openWS()
		s.waitForEnd(s.nextConn(), transport.PingTimeout)
		for { // reads the ping, and then the end
			if _, err := c.read(); err != nil {
				break
			}
		}
	})
}

// Row 28, CVE-2026-48802: unsolicited pongs cost nothing.
func TestUnsolicitedPongsStartNothing(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{})
	c := s.openWS()
	c.write(strings.Repeat(clientFrame(true, wsframe.Text, "3"), 100_000))
	c.sendText("4done")
	if got := c.readText(); got != "4done" {
		t.Errorf("got %q back", got)
	}
}
