package adminui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// reporter sends what happens on this node to the pages of the UI, while there are some. Only
// its goroutine uses the fields below queue.
type reporter struct {
	u     *UI
	stop  chan struct{} // closed when there are no pages any more
	queue *queue

	tracked map[socketKey]*tracked // sockets that the pages know of
	hidden  int                    // sockets above maxSockets
	traffic engineio.Traffic       // at the last tick
}

// maxSockets is how many sockets of this node the pages are told of.
const maxSockets = 1000

// statsEvery is the interval of server_stats, as in the package for Node.
const statsEvery = 2 * time.Second

type socketKey struct{ ns, id string }

func keyOf(s *socketbridge.Socket) socketKey { return socketKey{s.Namespace().Name(), s.ID()} }

// tracked is a socket as the pages know it.
type tracked struct {
	socket    *socketbridge.Socket
	rooms     map[string]struct{}
	transport string
	data      string // as JSON
	off       func() // removes the listener for what is sent to it
}

func newReporter(u *UI) *reporter {
	return &reporter{u: u, stop: make(chan struct{}), queue: newQueue(), tracked: make(map[socketKey]*tracked)}
}

// run works until there are no pages, or until the server shuts down.
func (r *reporter) run(ctx context.Context) {
	if !r.u.cfg.Production {
		unobserve := r.u.io.Observe(r.hooks())
		defer func() {
			unobserve()
			for key := range r.tracked {
				r.untrack(key)
			}
		}()
		r.reconcile(false)
	}
	r.traffic = r.u.io.Engine().Traffic()
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.queue.wake:
			r.drain(ctx)
		case <-tick.C:
			r.tick()
		case <-r.stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hooks are the hooks that queue what happens. They run on the goroutines of the server, and
// do not block.
func (r *reporter) hooks() socketbridge.Trace {
	return socketbridge.Trace{
		Connected: func(s *socketbridge.Socket) {
			if s.Namespace() != r.u.ns {
				r.queue.add(record{kind: socketJoined, socket: s})
			}
		},
		Disconnected: func(s *socketbridge.Socket, reason socketbridge.Reason) {
			if s.Namespace() != r.u.ns {
				r.queue.add(record{kind: socketLeft, socket: s, text: string(reason)})
			}
		},
		RoomChanged: func(e socketbridge.RoomEvent) {
			if e.Namespace == r.u.ns {
				return
			}
			switch rec := (record{ns: e.Namespace, id: e.Socket, text: e.Room}); e.Kind {
			case socketbridge.RoomJoined:
				rec.kind = roomJoined
				r.queue.add(rec)
			case socketbridge.RoomLeft:
				rec.kind = roomLeft
				r.queue.add(rec)
			case socketbridge.RoomsMissed:
				rec.kind = roomsMissed
				r.queue.add(rec)
			}
		},
		Handled: func(p *socketbridge.Packet, _ error) {
			if s := p.Socket(); s.Namespace() != r.u.ns {
				r.queue.add(record{kind: eventReceived, socket: s, text: cut(p.Event()), args: r.arguments(p.Event(), p.Args())})
			}
		},
	}
}

// sent is the listener for what is sent to a socket.
func (r *reporter) sent(s *socketbridge.Socket) func(e *socketbridge.OutgoingEvent) {
	return func(e *socketbridge.OutgoingEvent) {
		r.queue.add(record{kind: eventSent, socket: s, text: cut(e.Event()), args: r.arguments(e.Event(), e.Args())})
	}
}

const (
	maxName      = 256     // bytes of an event's name that are shown
	maxArguments = 16      // of an event that are shown
	maxBytes     = 4 << 10 // of the arguments of an event, or of the data of a socket
)

func cut(name string) string {
	if len(name) > maxName {
		return strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	return name
}

// arguments returns what the UI shows as the arguments of an event.
func (r *reporter) arguments(event string, args []json.RawMessage) []json.RawMessage {
	shown := slices.Contains(r.u.cfg.Arguments, event) || slices.Contains(r.u.cfg.Arguments, "*")
	if strings.HasPrefix(event, "fiberbridge:") { // such as CookieEvent, whose argument grants a session
		shown = false
	}
	all := make([]json.RawMessage, 0, min(len(args), maxArguments+1))
	room := maxBytes
	for i, arg := range args {
		switch {
		case i == maxArguments:
			return append(all, placeholder("[%d more]", len(args)-i))
		case !shown:
			all = append(all, json.RawMessage(`"[hidden]"`))
		case len(arg) > room:
			all = append(all, placeholder("[%d bytes]", len(arg)))
		default:
			room -= len(arg)
			all = append(all, bytes.Clone(arg)) // a part of it would keep the whole packet
		}
	}
	return all
}

func placeholder(format string, n int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`"`+format+`"`, n))
}

// drain reports the records that wait.
func (r *reporter) drain(ctx context.Context) {
	records, missed := r.queue.take()
	for _, rec := range records {
		r.report(ctx, rec)
	}
	if missed {
		r.reconcile(true)
	}
}

func (r *reporter) report(ctx context.Context, rec record) {
	switch rec.kind {
	case adminJoined:
		r.greet(ctx, rec.socket)
	case adminFound:
		r.tellRecent(rec.at)
	case socketJoined:
		r.joined(rec.socket, rec.at)
	case socketLeft:
		if t := r.tracked[keyOf(rec.socket)]; t != nil && t.socket == rec.socket { // not one that was recovered meanwhile
			r.left(keyOf(rec.socket), rec.text, rec.at)
		}
	case roomJoined:
		r.roomChanged(socketKey{rec.ns.Name(), rec.id}, rec.text, true, rec.at)
	case roomLeft:
		r.roomChanged(socketKey{rec.ns.Name(), rec.id}, rec.text, false, rec.at)
	case roomsMissed:
		r.reconcile(true)
	case eventReceived:
		r.event("event_received", rec)
	case eventSent:
		r.event("event_sent", rec)
	}
}

func (r *reporter) event(name string, rec record) {
	key := keyOf(rec.socket)
	if r.tracked[key] == nil {
		return
	}
	args := []any{rec.text}
	for _, arg := range rec.args {
		args = append(args, arg)
	}
	r.emit(name, key.ns, key.id, args, stamp(rec.at))
}

// emit sends an event to all pages of the UI. It never waits for a page. The server and its
// adapter report what fails.
func (r *reporter) emit(event string, args ...any) {
	to := r.u.ns.Broadcast()
	if !r.u.elsewhere() {
		to = to.Local()
	}
	_ = to.Emit(event, args...)
}

// stamp returns a time as JavaScript's Date has it in JSON.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// tick reports the numbers, and what has no hook.
func (r *reporter) tick() {
	if n := r.queue.takeDropped(); n > 0 {
		r.u.notices.Report(&droppedNotice, "", "events", n, "limit", eventsPerSecond)
	}
	if !r.u.cfg.Production {
		if r.hidden > 0 {
			r.reconcile(true)
		}
		for _, t := range r.tracked {
			r.update(t)
		}
	}
	now := r.u.io.Engine().Traffic()
	r.emit("server_stats", r.u.stats(aggregate(r.traffic, now)))
	r.traffic = now
}
