package fibersession_test

import (
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// news collects the events of a session.
type news struct {
	t      testing.TB
	events chan fibersession.Event
}

func newsOf(t testing.TB, h *fibersession.Handle) *news {
	t.Helper()
	n := &news{t: t, events: make(chan fibersession.Event, 10_000)}
	t.Cleanup(h.Watch(func(e fibersession.Event) { n.events <- e }))
	return n
}

// next returns the next event.
func (n *news) next() fibersession.Event {
	n.t.Helper()
	select {
	case e := <-n.events:
		return e
	case <-time.After(patience):
		n.t.Fatal("nothing was told")
		panic("unreachable")
	}
}

// kind skips events until one of this kind.
func (n *news) kind(k fibersession.EventKind) fibersession.Event {
	n.t.Helper()
	for {
		if e := n.next(); e.Kind == k {
			return e
		}
	}
}
