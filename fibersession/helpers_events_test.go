package fibersession_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// eventRecorder collects the events of a session.
type eventRecorder struct {
	t      testing.TB
	events chan fibersession.Event
}

// recordEvents watches h's session until the test ends.
func recordEvents(t testing.TB, h *fibersession.Handle) *eventRecorder {
	t.Helper()
	rec := &eventRecorder{t: t, events: make(chan fibersession.Event, 10_000)}
	t.Cleanup(h.Watch(func(e fibersession.Event) { rec.events <- e }))
	return rec
}

// nextEvent returns the next event. It fails the test if there is none within waitLimit.
func (rec *eventRecorder) nextEvent() fibersession.Event {
	rec.t.Helper()
	select {
	case e := <-rec.events:
		return e
	case <-time.After(waitLimit):
		rec.t.Fatalf("no event within %v", waitLimit)
		panic("unreachable")
	}
}

// nextOfKind returns the next event of kind k and discards the events before it.
func (rec *eventRecorder) nextOfKind(k fibersession.EventKind) fibersession.Event {
	rec.t.Helper()
	for {
		if e := rec.nextEvent(); e.Kind == k {
			return e
		}
	}
}
