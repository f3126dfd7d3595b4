package measure

import (
	"context"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// MaxEvents is the number of names of events that have series of their own. Events that the app
// handles beyond that count as Other.
const MaxEvents = 200

// Observe records what server and store do, until stop is called. Either can be nil.
func Observe(server *socketbridge.Server, store *fibersession.Store, r Recorder) (stop func()) {
	var stops []func()
	if server != nil {
		stops = append(stops, server.Observe(newServerHooks(r).trace()))
	}
	if store != nil {
		stops = append(stops, store.Observe(newStoreHooks(r).trace()))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// serverHooks holds the series of a server.
type serverHooks struct {
	events                     table[string, *family[string]] // by the event's name
	other                      *family[string]
	newEvent                   func(name string) *family[string]
	wait                       Series
	connect, recovery          family[string]    // outcome
	ack, emits                 family[[2]string] // target, outcome
	adapter                    family[[3]string] // operation, message, outcome
	disconnects, sessionChange family[string]
}

func newServerHooks(r Recorder) *serverHooks {
	h := &serverHooks{
		newEvent: func(name string) *family[string] {
			name = strings.ToValidUTF8(name, "\uFFFD")
			return &family[string]{recorder: r, instrument: EventDuration, labels: func(outcome string) []string { return []string{name, outcome} }}
		},
		wait:          r.Series(EventWait),
		connect:       family[string]{recorder: r, instrument: ConnectDuration, labels: one},
		recovery:      family[string]{recorder: r, instrument: RecoveryDuration, labels: one},
		ack:           family[[2]string]{recorder: r, instrument: AckDuration, labels: two},
		emits:         family[[2]string]{recorder: r, instrument: Emits, labels: two},
		adapter:       family[[3]string]{recorder: r, instrument: AdapterDuration, labels: three},
		disconnects:   family[string]{recorder: r, instrument: Disconnects, labels: one},
		sessionChange: family[string]{recorder: r, instrument: SessionChanges, labels: one},
	}
	h.other = h.newEvent(Other)
	h.makeCounters()
	return h
}

// makeCounters makes the series of counters before they are needed, because a rate does not see
// the first increment of a series that did not exist before.
func (h *serverHooks) makeCounters() {
	for _, reason := range reasons {
		h.disconnects.of(ReasonWord(reason))
	}
	for kind := fibersession.Changed; kind <= fibersession.Ended; kind++ {
		h.sessionChange.of(ChangeWord(kind))
	}
	h.emits.of([2]string{"socket", "ok"})
	h.emits.of([2]string{"broadcast", "ok"})
}

func (h *serverHooks) trace() socketbridge.Trace {
	return socketbridge.Trace{
		Operation: h.operation,
		Disconnected: func(_ *socketbridge.Socket, reason socketbridge.Reason) {
			h.disconnects.of(ReasonWord(reason)).Record(context.Background(), 1)
		},
		Emitted: func(e *socketbridge.Emission) {
			h.emits.of([2]string{TargetWord(e.Socket), e.Outcome()}).Record(context.Background(), 1)
		},
		SessionChanged: func(_ *socketbridge.Socket, e fibersession.Event) {
			h.sessionChange.of(ChangeWord(e.Kind)).Record(context.Background(), 1)
		},
	}
}

func (h *serverHooks) operation(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
	began := time.Now()
	switch op.Kind {
	case socketbridge.OpHandle:
		h.wait.Record(ctx, began.Sub(op.Packet.Received()).Seconds())
		event := h.event(op)
		return ctx, func(err error) { event.of(op.Outcome(err)).Record(ctx, time.Since(began).Seconds()) }
	case socketbridge.OpConnect:
		return ctx, func(err error) { h.connect.of(op.Outcome(err)).Record(ctx, time.Since(began).Seconds()) }
	case socketbridge.OpRecover:
		return ctx, func(err error) { h.recovery.of(op.Outcome(err)).Record(ctx, time.Since(began).Seconds()) }
	case socketbridge.OpAsk:
		return ctx, func(err error) {
			h.ack.of([2]string{TargetWord(op.Socket), op.Outcome(err)}).Record(ctx, time.Since(began).Seconds())
		}
	case socketbridge.OpPublish, socketbridge.OpRequest, socketbridge.OpDeliver:
		return ctx, func(err error) {
			h.adapter.of([3]string{string(op.Kind), MessageWord(op.Message), op.Outcome(err)}).Record(ctx, time.Since(began).Seconds())
		}
	default:
		return ctx, nil
	}
}

// event returns the series of the events with the name of op's.
func (h *serverHooks) event(op *socketbridge.Operation) *family[string] {
	if f, ok := h.events.get(op.Event); ok {
		return f // the app handled it before
	}
	if !op.Registered() {
		return h.other
	}
	return h.events.getOrMake(op.Event, MaxEvents, h.other, h.newEvent)
}

// storeHooks holds the series of a store.
type storeHooks struct {
	operations family[[2]string] // operation, outcome
}

func newStoreHooks(r Recorder) *storeHooks {
	return &storeHooks{operations: family[[2]string]{recorder: r, instrument: SessionDuration, labels: two}}
}

func (h *storeHooks) trace() fibersession.Trace {
	return fibersession.Trace{
		Operation: func(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
			began := time.Now()
			return ctx, func(err error) {
				h.operations.of([2]string{string(op.Kind), op.Outcome(err)}).Record(ctx, time.Since(began).Seconds())
			}
		},
	}
}
