package socketbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// traceRecorder records what the hooks of a server report, one line each.
type traceRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *traceRecorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// expect waits until the bubble is idle, and compares the lines since the last call.
func (r *traceRecorder) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.lines, want) {
		t.Errorf("the hooks reported\n\t%s\nwant\n\t%s", strings.Join(r.lines, "\n\t"), strings.Join(want, "\n\t"))
	}
	r.lines = nil
}

func (r *traceRecorder) hooks() socketbridge.Trace {
	return socketbridge.Trace{
		Operation: func(_ context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
			what := string(op.Kind) + " " + op.Namespace
			if op.Event != "" {
				what += " " + op.Event
			}
			if op.Message != nil {
				what += fmt.Sprint(" kind ", op.Message.Kind)
			}
			if op.Kind == socketbridge.OpHandle {
				what += fmt.Sprint(" registered=", op.Registered())
			}
			return nil, func(err error) { r.add("%s: %v", what, err) }
		},
		Connected:    func(s *socketbridge.Socket) { r.add("connected %s", s.Namespace().Name()) },
		Disconnected: func(_ *socketbridge.Socket, reason socketbridge.Reason) { r.add("disconnected: %s", reason) },
		Handled:      func(p *socketbridge.Packet, err error) { r.add("handled %s: %v", p.Event(), err) },
		Emitted: func(e *socketbridge.Emission) {
			r.add("emitted %s to %v except %v: %d sockets, one=%t, volatile=%t, %v", e.Event, e.Rooms, e.Except, e.Sockets(), e.Socket != nil, e.Volatile, e.Err)
		},
		SessionChanged: func(_ *socketbridge.Socket, e fibersession.Event) { r.add("session %v %v %v", e.Kind, e.Keys, e.Cause) },
		Reported: func(rep socketbridge.Report) {
			r.add("reported %s, socket=%t", rep.Name, rep.Socket != nil)
		},
	}
}

func TestN9_TraceOfASocket(t *testing.T) {
	t.Parallel()
	var rec traceRecorder
	withFakeClock(t, fibersession.Config{}, socketbridge.Config{Trace: rec.hooks()}, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		io.On("fail", func(*socketbridge.Packet) error { return errors.New("failed") })
		io.On("set", func(p *socketbridge.Packet) error { p.Session().Set("n", 2); return p.Ack() })
		h := newStoredSession(t, store, map[string]any{"n": 1})
		p := joinAs(t, io, "/", h)
		rec.expect(t, "connect /: <nil>", "connected /")

		p.send(`21["set"]`)
		rec.expect(t, "session 1 [n] <nil>", "handled set: <nil>", "handle / set registered=true: <nil>")
		p.send(`2["fail"]`)
		rec.expect(t, "reported handler_error, socket=true", "handled fail: failed", "handle / fail registered=true: failed")
		p.send(`2["made up"]`)
		rec.expect(t, "reported event_unhandled, socket=true", "handled made up: <nil>", "handle / made up registered=false: <nil>")

		s := onlySocket(t, io)
		p.next()
		asked := make(chan error, 2)
		ask := func(ctx context.Context) {
			_, err := s.EmitWithAck(ctx, "ask")
			asked <- err
		}
		go ask(t.Context())
		p.expect(`21["ask"]`)
		p.send(`31[]`)
		if err := <-asked; err != nil {
			t.Error(err)
		}
		rec.expect(t, "emitted ask to [] except []: 1 sockets, one=true, volatile=false, <nil>", "ask / ask: <nil>")
		if err := s.EmitWithAckFunc("ask", func(_ socketbridge.Answer, err error) { asked <- err }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // no answer comes
		if err := <-asked; !errors.Is(err, socketbridge.ErrAckTimeout) {
			t.Errorf("the callback got %v, want ErrAckTimeout", err)
		}
		rec.expect(t, "emitted ask to [] except []: 1 sockets, one=true, volatile=false, <nil>", "ask / ask: "+socketbridge.ErrAckTimeout.Error())

		_ = s.Emit("one")
		_ = s.Volatile().Emit("maybe")
		_ = io.To("room").Except("other").Emit("many")
		_ = io.ToSession(h).Emit("tabs")
		rec.expect(t,
			"emitted one to [] except []: 1 sockets, one=true, volatile=false, <nil>",
			"emitted maybe to [] except []: 1 sockets, one=true, volatile=true, <nil>",
			"emitted many to [room] except [other]: 0 sockets, one=false, volatile=false, <nil>",
			"emitted tabs to [] except []: 1 sockets, one=false, volatile=false, <nil>")

		joinAs(t, io, "/", h.Fork()).send(`1`)
		rec.expect(t, "connect /: <nil>", "connected /", "disconnected: client namespace disconnect")
		dial(t, io).send(`0`)
		rec.expect(t, "connect /: "+socketbridge.ErrSessionMissing.Error(), "reported connect_refused, socket=true")

		if err := h.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec.expect(t, "session 3 [] "+fibersession.ErrDestroyed.Error(), "reported session_ended, socket=true", "disconnected: server namespace disconnect")
	})
}

// The context of the hook is that of the connect middlewares, the handlers and the automatic save.
func TestN9_TraceContexts(t *testing.T) {
	t.Parallel()
	type key struct{}
	var rec traceRecorder
	cfg := socketbridge.Config{Trace: socketbridge.Trace{
		Operation: func(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
			return context.WithValue(ctx, key{}, op.Kind), nil
		},
	}}
	withFakeClock(t, fibersession.Config{}, cfg, func(t *testing.T, store *fibersession.Store, io *socketbridge.Server) {
		store.Observe(fibersession.Trace{Operation: func(ctx context.Context, op *fibersession.Operation) (context.Context, func(error)) {
			rec.add("%s in %v, canceled: %t", op.Kind, ctx.Value(key{}), ctx.Err() != nil)
			return nil, nil
		}})
		io.Use(func(c *socketbridge.Connect) error {
			rec.add("connecting in %v", c.Context().Value(key{}))
			c.Session().Set("c", 1)
			return c.Next()
		})
		io.On("e", func(p *socketbridge.Packet) error {
			rec.add("handling in %v", p.Context().Value(key{}))
			p.SetContext(context.WithValue(p.Context(), key{}, "own"))
			p.Session().Set("n", 2)
			p.Socket().Disconnect() // the save is done nevertheless
			rec.add("canceled: %t", p.Context().Err() != nil)
			return nil
		})
		h := newStoredSession(t, store, map[string]any{"n": 1})
		rec.expect(t, "save in <nil>, canceled: false")
		p := joinAs(t, io, "/", h)
		rec.expect(t, "connecting in connect", "save in connect, canceled: false",
			"load in <nil>, canceled: false") // the session is watched from now on
		p.send(`2["e"]`)
		rec.expect(t, "load in handle, canceled: false", "handling in handle", "canceled: true", "save in own, canceled: false")
	})
}

func TestN9_TraceOfTwoNodes(t *testing.T) {
	t.Parallel()
	startBackground()
	synctest.Test(t, func(t *testing.T) {
		hub := adapter.NewMemory()
		var here, there traceRecorder
		a := newServer(t, socketbridge.Config{Adapter: hub.Join(), Trace: here.hooks()})
		b := newServer(t, socketbridge.Config{Adapter: hub.Join()})
		synctest.Wait()
		stop := b.Observe(there.hooks())
		_ = a.Emit("news")
		here.expect(t, fmt.Sprint("publish / kind ", adapter.Broadcast, ": <nil>"), "emitted news to [] except []: 0 sockets, one=false, volatile=false, <nil>")
		there.expect(t, fmt.Sprint("deliver / kind ", adapter.Broadcast, ": <nil>"))
		_, _ = a.FetchSockets(t.Context())
		here.expect(t, fmt.Sprint("request / kind ", adapter.Fetch, ": <nil>"))
		there.expect(t, fmt.Sprint("deliver / kind ", adapter.Fetch, ": <nil>"))
		stop()
		_ = a.Emit("news")
		there.expect(t)
	})
}

func TestN9_TraceOfARecovery(t *testing.T) {
	t.Parallel()
	var rec traceRecorder
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{Recovery: socketbridge.Recovery{Window: time.Minute}})
		p := connectRecovering(t, io, "", "")
		_ = io.Emit("e", 1)
		_, offset := p.event()
		p.leave()
		synctest.Wait()
		defer io.Observe(socketbridge.Trace{Operation: rec.hooks().Operation})()
		connectRecovering(t, io, p.pid, offset)
		rec.expect(t, "recover /: <nil>", "connect /: <nil>")
		connectRecovering(t, io, "unknown", offset)
		rec.expect(t, "recover /: no state is kept for its private ID, session and user", "connect /: <nil>")
	})
}

// Lines of the log tell which node, socket and session they are about, without a session ID.
func TestN9_LogNamesNodeAndSession(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	st := memory.New()
	t.Cleanup(func() { _ = st.Close() })
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	store := fibersession.New(fibersession.Config{Storage: st, Logger: logger})
	t.Cleanup(func() { _ = store.Close() })
	io := newServer(t, socketbridge.Config{Sessions: store, Logger: logger})
	io.On("fail", func(*socketbridge.Packet) error { return errors.New("failed") })
	h := newStoredSession(t, store, map[string]any{"n": 1})
	id, name := h.ID(), h.Pseudonym(fibersession.LogLabel)
	p := joinAs(t, io, "/", h)
	p.send(`21["fail"]`)
	p.next()
	waitFor(t, "the line", func() bool { return log.Has("handler_error") })
	var line struct{ Node, Namespace, Socket, Session, Event, Notice string }
	_, text, _ := strings.Cut(log.String(), "\n") // the first line is about cookies
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatalf("the log is %s: %v", log.String(), err)
	}
	if !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(line.Node) || line.Namespace != "/" || line.Socket != p.sid || line.Session != name || line.Event != "fail" {
		t.Errorf("the line is %+v, want the node, the socket %s and the session %s", line, p.sid, name)
	}
	if strings.Contains(log.String(), id) {
		t.Error("the log has the session's ID")
	}
	sockets, err := io.FetchSockets(t.Context())
	if err != nil || len(sockets) != 1 || string(sockets[0].Session()) != name {
		t.Errorf("FetchSockets returned %v and error %v, want the socket with the session %s, as in the log", sockets, err, name)
	}
}
