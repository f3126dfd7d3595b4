package redisadapter_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// logLost is part of the log message of a node that lost messages.
const logLost = "messages are lost"

// A node that is disconnected for longer than the stream keeps entries loses the trimmed
// messages, logs it, and receives all later messages.
func TestStreams_TrimmedWhileAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr())
	l := newLoad(t, redisadapter.Config{Mode: redisadapter.Streams, MaxLen: 200}, server.URL(), network.URL())
	a, b := l.nodes[0], l.nodes[1]
	for range 400 {
		a.send(t)
	}
	if b.logged.Has(logLost) {
		t.Error("a node that was connected all the time logged a loss")
	}
	network.Refuse(true)
	waitFor(t, "the node logs that it cannot read", func() string {
		if b.logged.Has("cannot be read") {
			return ""
		}
		return "not logged"
	})
	for range 1000 {
		a.send(t)
	}
	network.Refuse(false)
	waitFor(t, "the node logs the loss", func() string {
		if b.logged.Has(logLost) {
			return ""
		}
		return "not logged"
	})
	l.start()
	l.waitForProgress("after the loss")
	l.drain()
	marks := l.nextNumbers()
	if n := len(b.receivedFrom(0)); n >= marks[0]-200 || n < 400 {
		t.Errorf("the node received %d of %d messages", n, marks[0])
	}
	l.check(marks)
	if a.logged.Has(logLost) {
		t.Error("the node that lost nothing logged a loss")
	}
}

// A node that reads more slowly than other nodes write logs what it lost as well.
func TestStreams_TrimmedWhileBehind(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := newLoad(t, redisadapter.Config{Mode: redisadapter.Streams, MaxLen: 200}, server.URL(), server.URL())
	a, b := l.nodes[0], l.nodes[1]
	b.mu.Lock() // blocks a delivery
	for range 1000 {
		a.send(t)
	}
	b.mu.Unlock()
	waitFor(t, "the node logs the loss", func() string {
		if b.logged.Has(logLost) {
			return ""
		}
		return fmt.Sprint("not logged; received ", len(b.receivedFrom(0)))
	})
}
