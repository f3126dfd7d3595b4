package engineio_test

import (
	"context"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

func TestShutdown(t *testing.T) {
	t.Parallel()
	core := echoRecorder()
	s := open(t, core, engineio.Config{})
	waiting, idle, c := s.openPoll(), s.openPoll(), s.openWS()
	polled := make(chan answer)
	go func() { polled <- waiting.get() }() // received below
	waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
	for range 3 {
		a := s.nextConn()
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
	waitFor(t, func() bool { return s.do("GET", polling, "").status == 503 })
	if a := s.do("GET", polling, ""); a.header.Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
	if a := idle.get(); a.body != "4last words\x1e1" {
		t.Errorf("the poll that was not waiting was answered with %q", a.body)
	}
	if got := c.readText(); got != "4last words" {
		t.Errorf("before the close came %q", got)
	}
	if code := c.readClose(); code != wsframe.GoingAway {
		t.Errorf("the close code is %d", code)
	}
	c.nc.Close()
	for range 2 {
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
	for _, a := range core.All() {
		s.waitForEnd(a, transport.ShuttingDown)
	}
}

func TestShutdown_IsCutShort(t *testing.T) {
	t.Parallel()
	core := echoRecorder()
	s := open(t, core, engineio.Config{Timeouts: engineio.Timeouts{Close: time.Hour}})
	s.openPoll()
	s.openWS() // neither reads, nor hangs up
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.engine.Shutdown(ctx); err == nil {
		t.Error("a context that has ended is not an error")
	}
	for _, a := range core.All() {
		s.waitForEnd(a, transport.ShuttingDown)
	}
	if err := s.engine.Shutdown(context.Background()); err != nil {
		t.Errorf("when all has ended: %v", err)
	}
}
