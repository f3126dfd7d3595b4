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
	recorder := echoRecorder()
	s := open(t, recorder, engineio.Config{})
	waiting, idle, c := s.openPoll(), s.openPoll(), s.openWS()
	polled := make(chan answer)
	go func() { polled <- waiting.get() }() // received below
	waitFor(t, func() bool { return s.engine.Stats().Polls == 1 })
	for range 3 {
		a := s.nextConn()
		_ = a.Conn.Send(0, transport.Message{Data: []byte("last message")})
	}
	down := make(chan error, 2)
	for range 2 { // the second call waits for the same end
		go func() { down <- s.engine.Shutdown(context.Background()) }() // received below
	}
	if a := <-polled; a.body != "4last message" && a.body != "4last message\x1e1" {
		t.Errorf("the waiting poll was answered with %q", a.body)
	} else if a.body == "4last message" {
		if a := waiting.get(); a.body != "1" {
			t.Errorf("the next poll was answered with %q", a.body)
		}
	}
	waitFor(t, func() bool { return s.do("GET", polling, "").status == 503 })
	if a := s.do("GET", polling, ""); a.header.Get("Retry-After") == "" {
		t.Error("the response 503 has no Retry-After")
	}
	if a := idle.get(); a.body != "4last message\x1e1" {
		t.Errorf("the poll that was not waiting was answered with %q", a.body)
	}
	if got := c.readText(); got != "4last message" {
		t.Errorf("got %q before the close frame", got)
	}
	if code := c.readClose(); code != wsframe.GoingAway {
		t.Errorf("close code is %d", code)
	}
	c.nc.Close()
	for range 2 {
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
	for _, a := range recorder.All() {
		s.waitForEnd(a, transport.ShuttingDown)
	}
}

func TestShutdown_IsCutShort(t *testing.T) {
	t.Parallel()
	recorder := echoRecorder()
	s := open(t, recorder, engineio.Config{Timeouts: engineio.Timeouts{Close: time.Hour}})
	s.openPoll()
	s.openWS() // neither reads nor closes
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.engine.Shutdown(ctx); err == nil {
		t.Error("Shutdown with an ended context returned nil")
	}
	for _, a := range recorder.All() {
		s.waitForEnd(a, transport.ShuttingDown)
	}
	if err := s.engine.Shutdown(context.Background()); err != nil {
		t.Errorf("a second Shutdown returned %v", err)
	}
}
