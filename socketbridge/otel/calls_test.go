package bridgeotel_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// N9: each call of a handler that reaches another node, a client's answer or another session
// belongs to the trace of its event, and none begins a trace of its own.
func TestN9_OtelCallsOfAHandler(t *testing.T) {
	t.Parallel()
	const publish, deliver = "publish broadcast", "deliver broadcast"
	command := func(kind string) []string { return []string{"deliver " + kind, "publish " + kind} }
	for name, tt := range map[string]struct {
		call func(n *node, p *socketbridge.Packet) error
		want []string
	}{
		"EmitWithAckFunc": {func(n *node, p *socketbridge.Packet) error {
			return p.Socket().WithContext(p.Context()).EmitWithAckFunc("sure?", func(socketbridge.Answer, error) {
				p.Socket().Session().Set("answered", true)
			})
		}, []string{"ask sure?", "session save"}},
		"Socket.Emit through the log": {func(n *node, p *socketbridge.Packet) error {
			return p.Socket().WithContext(p.Context()).Emit("hello")
		}, []string{deliver, deliver, publish}},
		"Broadcast.Join": {func(n *node, p *socketbridge.Packet) error {
			return p.Socket().Broadcast().WithContext(p.Context()).Join("a")
		}, command("join")},
		"Broadcast.Leave": {func(n *node, p *socketbridge.Packet) error {
			return n.io.To("a").WithContext(p.Context()).Leave("b")
		}, command("leave")},
		"Broadcast.Disconnect": {func(n *node, p *socketbridge.Packet) error {
			return n.io.To("none").WithContext(p.Context()).Disconnect(true)
		}, command("disconnect")},
		"ServerSideEmitContext": {func(n *node, p *socketbridge.Packet) error {
			return n.io.ServerSideEmitContext(p.Context(), "reload")
		}, append(command("server_side"), "work of reload")},
		"ServerSideEmitWithAck": {func(n *node, p *socketbridge.Packet) error {
			_, err := n.io.ServerSideEmitWithAck(p.Context(), "reload")
			return err
		}, []string{"deliver server_side", "request server_side", "work of reload"}},
		"FetchSockets and AllRooms": {func(n *node, p *socketbridge.Packet) error {
			_, err := n.io.FetchSockets(p.Context())
			_, failed := n.io.Of("/").AllRooms(p.Context())
			return errors.Join(err, failed)
		}, []string{"deliver fetch", "deliver list_rooms", "request fetch", "request list_rooms"}},
		"User": {func(n *node, p *socketbridge.Packet) error {
			u := n.io.User("bob").WithContext(p.Context())
			_, err := u.FetchSockets(p.Context())
			return errors.Join(err, u.Emit("mail"), u.Disconnect())
		}, []string{deliver, deliver, "deliver disconnect", "deliver fetch", publish, "publish disconnect", "request fetch"}},
		"RemoteSocket": {func(n *node, p *socketbridge.Packet) error {
			all, err := n.io.FetchSockets(p.Context())
			if err != nil || len(all) == 0 {
				return errors.Join(err, errors.New("no socket"))
			}
			r := all[0].WithContext(p.Context())
			return errors.Join(r.Join("c"), r.Leave("c"), r.Emit("hello"))
		}, []string{deliver, deliver, "deliver fetch", "deliver join", "deliver leave", publish, "publish join", "publish leave", "request fetch"}},
		"EndAll": {func(n *node, p *socketbridge.Packet) error {
			ended, err := n.sessions.EndAll(p.Context(), "bob")
			if ended != 1 {
				err = errors.Join(err, errors.New("bob has no session"))
			}
			return err
		}, []string{"session destroy", "session load"}},
		"UpdateUser": {func(n *node, p *socketbridge.Packet) error {
			_, err := n.sessions.UpdateUser(p.Context(), "carol", func(tx *fibersession.Tx) error {
				tx.Set("role", "admin")
				return nil
			})
			return err
		}, []string{"session load", "session save"}},
		"OnlineUsers": {func(n *node, p *socketbridge.Packet) error {
			for _, err := range n.io.OnlineUsers(p.Context()) {
				if err != nil {
					return err
				}
			}
			_, err := n.io.User("bob").OnlineAnywhere(p.Context())
			return err
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel := newTelemetry(t)
			storage := memory.New()
			t.Cleanup(func() { _ = storage.Close() })
			hub := adapter.NewMemory()
			var nodes []*node
			for range 2 {
				n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join(), Recovery: socketbridge.Recovery{Window: testTimeout}}, fibersession.Config{Storage: storage, UserKey: "user"})
				n.app.Post("/login/:user", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login(c.Params("user")) })
				n.io.On("call", func(p *socketbridge.Packet) error { return tt.call(n, p) })
				n.io.OnServerSideEmit("reload", func(e *socketbridge.ServerEvent) {
					_, span := tel.tracer().Start(e.Context(), "work of reload")
					span.End()
					_ = e.Ack()
				})
				n.serve(t)
				nodes = append(nodes, n)
			}
			waitForNodes(t, nodes...)
			nodes[0].post(t, "/login/bob", "")
			nodes[0].post(t, "/login/carol", "")
			cookie := nodes[0].post(t, "/login/alice", "")
			nodes[0].release(t)
			c, _ := nodes[0].join(t, cookie)
			tel.wait(t, 1, "connect")
			tel.spans.Reset()
			c.send(`42["call"]`)
			if name == "EmitWithAckFunc" {
				question := c.next() // 42 ID ["sure?"]
				c.send("43" + strings.TrimSuffix(strings.TrimPrefix(question, "42"), `["sure?"]`) + "[1]")
			}
			spans := tel.wait(t, 1, "handle call")
			for _, want := range tt.want {
				spans = tel.wait(t, count(tt.want, want), want)
			}
			spans = slices.DeleteFunc(spans, isTracking)
			var handle trace.TraceID
			var got []string
			for _, s := range spans {
				if s.Name == "handle call" {
					handle = s.SpanContext.TraceID()
					for _, a := range s.Attributes {
						if a.Key == "fiberbridge.outcome" && a.Value.AsString() != "ok" {
							t.Errorf("the call failed: %s", a.Value.AsString())
						}
					}
				} else {
					got = append(got, s.Name)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(tt.want)); !slices.Equal(got, want) {
				t.Errorf("spans %q, want %q", got, want)
			}
			if i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != handle }); i >= 0 {
				t.Errorf("%s began a trace of its own:\n%s", spans[i].Name, tree(spans, nil))
			}
		})
	}
}

func count(names []string, name string) (n int) {
	for _, other := range names {
		if other == name {
			n++
		}
	}
	return n
}

// N9: what a job sends with an Emitter belongs to the trace of the job.
func TestN9_OtelEmitter(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	hub := adapter.NewMemory()
	n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join()}, fibersession.Config{})
	n.io.OnServerSideEmit("reload", func(e *socketbridge.ServerEvent) {
		_, span := tel.tracer().Start(e.Context(), "work of reload")
		span.End()
	})
	n.serve(t)
	waitForNodes(t, n)
	out := emitter.New(emitter.Config{Adapter: hub.Join(), Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = out.Close(t.Context()) })
	t.Cleanup(bridgeotel.Observe(bridgeotel.Config{Server: out.Server(), TracerProvider: tel.traces, MeterProvider: tel.meters}))
	ctx, span := tel.tracer().Start(t.Context(), "job")
	if err := errors.Join(out.ToSession(socketbridge.SessionName("none")).WithContext(ctx).Emit("news"), out.ServerSideEmitContext(ctx, "reload")); err != nil {
		t.Fatal(err)
	}
	span.End()
	tel.wait(t, 1, "deliver broadcast")
	equal(t, "spans", tree(tel.wait(t, 1, "work of reload"), nil), `job (internal)
  publish broadcast (producer) message=broadcast namespace=/ outcome=ok
    deliver broadcast (consumer, remote parent) message=broadcast namespace=/ outcome=ok
  publish server_side (producer) message=server_side namespace=/ outcome=ok
    deliver server_side (consumer, remote parent) message=server_side namespace=/ outcome=ok
      work of reload (internal)
`)
}
