package bridgeotel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// N9: one event is one trace: the session's load, changes in the handler, spans of the app, the
// answer of a client, a broadcast with its delivery on another node, and the automatic save.
func TestN9_OtelTreeOfAnEvent(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	storage := memory.New()
	t.Cleanup(func() { _ = storage.Close() })
	hub := adapter.NewMemory()
	var nodes []*node
	pseudonyms := make(chan string, 1)
	for range 2 {
		n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join()}, fibersession.Config{Storage: storage})
		n.app.Post("/begin", func(c *fiber.Ctx) error {
			fibersession.FromContext(c).Set("name", "begin")
			return nil
		})
		n.io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("room of alice") })
		n.io.On("buy", func(p *socketbridge.Packet) error {
			pseudonyms <- p.Session().Pseudonym(fibersession.LogLabel)
			if err := p.Session().Reload(p.Context()); err != nil {
				return err
			}
			if _, err := p.Session().Incr(p.Context(), "bought", 1); err != nil {
				return err
			}
			ctx, span := tel.tracer().Start(p.Context(), "query")
			span.End()
			answer, err := p.Socket().EmitWithAck(ctx, "sure?")
			if err != nil {
				return err
			}
			p.Session().Set("by", "event")
			if err := p.Socket().To("room of alice").WithContext(p.Context()).Emit("bought"); err != nil {
				return err
			}
			return p.Ack(answer.Values()...)
		})
		n.serve(t)
		nodes = append(nodes, n)
	}
	waitForNodes(t, nodes...)
	cookie := nodes[0].post(t, "/begin", "")
	c, id := nodes[0].join(t, cookie)
	tel.wait(t, 1, "connect")
	tel.spans.Reset()
	c.send(`4217["buy","a secret"]`)
	c.expect(`421["sure?"]`)
	c.send(`431["yes"]`)
	c.expect(`4317["yes"]`)
	spans := tel.wait(t, 1, "handle buy")
	names := strings.NewReplacer(id, "ID", <-pseudonyms, "NAME")
	equal(t, "spans of the event", tree(spans, names), `handle buy (consumer) event_name=buy namespace=/ outcome=ok session=NAME socket.id=ID wait
  session load (internal) outcome=ok session=NAME
  session save (internal) outcome=ok session=NAME
  query (internal)
    ask sure? (client) event_name=sure? namespace=/ outcome=ok session=NAME socket.id=ID
  publish broadcast (producer) message=broadcast namespace=/ outcome=ok
    deliver broadcast (consumer, remote parent) message=broadcast namespace=/ outcome=ok
  session save (internal) outcome=ok session=NAME
`)
}

// N9: the operations of sessions and a broadcast are children of the request's span.
func TestN9_OtelTreeOfARequest(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	n := newNode(t, tel, socketbridge.Config{Adapter: adapter.NewMemory().Join()}, fibersession.Config{UserKey: "user"})
	var pseudonym string
	n.app.Post("/login", func(c *fiber.Ctx) error {
		s := fibersession.FromContext(c)
		if err := s.Login("alice"); err != nil {
			return err
		}
		pseudonym = s.Pseudonym(fibersession.LogLabel)
		return n.io.ToUser("alice").WithContext(c.UserContext()).Emit("login")
	})
	n.app.Post("/visit", func(c *fiber.Ctx) error {
		s := fibersession.FromContext(c)
		if err := s.Reload(); err != nil {
			return err
		}
		s.Set("visits", 1)
		return nil
	})
	n.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	n.serve(t)
	cookie := ""
	for _, path := range []string{"/login", "/visit", "/logout"} {
		cookie = n.post(t, path, cookie)
		n.release(t)
	}
	equal(t, "spans of the requests", tree(tel.wait(t, 1, "POST /logout"), strings.NewReplacer(pseudonym, "NAME")), `POST /login (server)
  session regenerate (internal) outcome=ok session=NAME
  session save (internal) outcome=ok session=NAME
  publish broadcast (producer) message=broadcast namespace=/ outcome=ok
POST /visit (server)
  session load (internal) outcome=ok session=NAME
  session load (internal) outcome=ok session=NAME
  session save (internal) outcome=ok session=NAME
POST /logout (server)
  session load (internal) outcome=ok session=NAME
  session destroy (internal) outcome=ok session=NAME
`)
}

// N9: what a span says about each outcome. Only failures of the server are errors, no text of
// the app or of a client is in a span, and an event that the app does not handle has no name.
func TestN9_OtelOutcomes(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	n := newNode(t, tel, socketbridge.Config{Mode: socketbridge.SessionNone}, fibersession.Config{})
	n.io.On("fine", func(p *socketbridge.Packet) error { return p.Ack() })
	n.io.On("refused", func(p *socketbridge.Packet) error {
		return &socketbridge.EventError{Code: "sold_out", Message: "secret"}
	})
	n.io.On("arguments", func(p *socketbridge.Packet) error { return p.Bind(new(int)) })
	contract.Event[int, int]("typed").Handle(n.io, func(_ *socketbridge.Packet, n int) (int, error) { return n, nil })
	n.io.On("failed", func(p *socketbridge.Packet) error { return errors.New("secret") })
	n.io.On("panic", func(p *socketbridge.Packet) error { panic("secret") })
	n.io.On("no answer", func(p *socketbridge.Packet) error {
		_, err := p.Socket().Timeout(1).EmitWithAck(p.Context(), "anybody?")
		return err
	})
	n.io.Of("/private").Use(func(c *socketbridge.Connect) error {
		_, span := tel.tracer().Start(c.Context(), "look up")
		span.End()
		return &socketbridge.ConnectError{Message: "secret"}
	})
	n.serve(t)
	c, id := n.join(t, "")
	events := []string{"fine", "refused", "arguments", "typed", "failed", "panic", "no answer", "unknown secret"}
	for i, event := range events {
		c.send(fmt.Sprintf(`42%d["%s"]`, i+10, event))
	}
	tel.wait(t, len(events), "handle fine", "handle refused", "handle arguments", "handle typed", "handle failed", "handle panic", "handle no answer", "handle")
	c.send("40/private,")
	spans := tel.wait(t, 2, "connect")
	for i := range spans {
		if spans[i].Name == "connect" && strings.Contains(fmt.Sprint(spans[i].Attributes), "/private") {
			spans[i].Attributes = spans[i].Attributes[:3] // its socket has no ID that the client knows
		}
	}
	got := tree(spans, strings.NewReplacer(id, "ID"))
	if strings.Contains(got, "secret") {
		t.Error("a span has a text of the app or of a client")
	}
	got = got[strings.Index(got, "connect (server)"):] // after the handshake's request
	equal(t, "spans", got, `connect (server) namespace=/ outcome=ok socket.id=ID link=GET /socket.io/
handle fine (consumer) event_name=fine namespace=/ outcome=ok socket.id=ID wait
handle refused (consumer) error.type=refused event_name=refused namespace=/ outcome=refused socket.id=ID wait
handle arguments (consumer) error.type=bad_arguments event_name=arguments namespace=/ outcome=bad_arguments socket.id=ID wait
handle typed (consumer) error.type=invalid_argument event_name=typed namespace=/ outcome=invalid_argument socket.id=ID wait
handle failed (consumer) error.type=error event_name=failed namespace=/ outcome=error socket.id=ID wait status=Error:error
handle panic (consumer) error.type=panic event_name=panic namespace=/ outcome=panic socket.id=ID wait status=Error:panic
handle no answer (consumer) error.type=timeout event_name=no answer namespace=/ outcome=timeout socket.id=ID wait status=Error:timeout
  ask anybody? (client) error.type=timeout event_name=anybody? namespace=/ outcome=timeout socket.id=ID status=Error:timeout
handle (consumer) event_name=_other namespace=/ outcome=ok socket.id=ID wait
connect (server) namespace=/private link=GET /socket.io/
  look up (internal)
`)
}

// N9: a request to other nodes has their deliveries as children, and nodes without the trace
// context of a message begin a trace of their own.
func TestN9_OtelRequestToNodes(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	hub := adapter.NewMemory()
	var nodes []*node
	for range 2 {
		n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join()}, fibersession.Config{})
		n.serve(t)
		nodes = append(nodes, n)
	}
	waitForNodes(t, nodes...)
	ctx, span := tel.tracer().Start(t.Context(), "job")
	if _, err := nodes[0].io.FetchSockets(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].io.Broadcast().EmitWithAck(ctx, "ask all"); err != nil {
		t.Fatal(err)
	}
	span.End()
	if err := nodes[1].io.Emit("from a timer"); err != nil {
		t.Fatal(err)
	}
	equal(t, "spans", tree(tel.wait(t, 4, "deliver broadcast", "deliver fetch", "publish broadcast"), nil), `job (internal)
  request fetch (client) message=fetch namespace=/ outcome=ok
    deliver fetch (consumer, remote parent) message=fetch namespace=/ outcome=ok
  ask ask all (client) event_name=ask all namespace=/ outcome=ok
    request broadcast (client) message=broadcast namespace=/ outcome=ok
      deliver broadcast (consumer, remote parent) message=broadcast namespace=/ outcome=ok
publish broadcast (producer) message=broadcast namespace=/ outcome=ok
  deliver broadcast (consumer, remote parent) message=broadcast namespace=/ outcome=ok
`)
}

// N9: without a sampled parent nothing is recorded, here and on other nodes, and the trace goes on
// in handlers and in messages.
func TestN9_OtelUnsampled(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	hub := adapter.NewMemory()
	var nodes []*node
	delivered := make(chan string, 1)
	inHandler := make(chan trace.SpanContext, 1)
	for range 2 {
		n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join(), Mode: socketbridge.SessionNone}, fibersession.Config{})
		n.io.On("hello", func(p *socketbridge.Packet) error {
			inHandler <- trace.SpanContextFromContext(p.Context())
			return p.Socket().Broadcast().WithContext(p.Context()).Emit("hello")
		})
		n.serve(t)
		nodes = append(nodes, n)
	}
	t.Cleanup(nodes[1].io.Observe(deliveredTraces(delivered)))
	waitForNodes(t, nodes...)
	c, _ := nodes[0].join(t, "")
	c.send(`42["hello"]`)
	sc := <-inHandler
	if got := <-delivered; !sc.IsValid() || sc.IsSampled() || !strings.HasPrefix(got, "00-"+sc.TraceID().String()+"-") || !strings.HasSuffix(got, "-00") {
		t.Errorf("the message has the trace context %q, want an unsampled one of the trace %s", got, sc.TraceID())
	}
	if spans := tel.spans.GetSpans(); len(spans) > 0 {
		t.Errorf("%d spans were recorded, want none:\n%s", len(spans), tree(spans, nil))
	}
}

// N9: after stop, nothing is reported, and messages have no trace context.
func TestN9_OtelStop(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	hub := adapter.NewMemory()
	a := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
	b := socketbridge.New(socketbridge.Config{Adapter: hub.Join()})
	stop := bridgeotel.Observe(bridgeotel.Config{Server: a, TracerProvider: tel.traces, MeterProvider: tel.meters})
	delivered := make(chan string, 1)
	t.Cleanup(b.Observe(deliveredTraces(delivered)))
	t.Cleanup(func() {
		if err := errors.Join(a.Shutdown(t.Context()), b.Shutdown(t.Context())); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	waitForNodes(t, &node{io: a}, &node{io: b})
	for i, want := range []int{1, 1} {
		if err := a.Emit("hello"); err != nil {
			t.Fatal(err)
		}
		if got := <-delivered; (got != "") != (i == 0) {
			t.Errorf("message %d has the trace context %q", i, got)
		}
		if got := len(tel.spans.GetSpans()); got != want {
			t.Errorf("%d spans after message %d, want %d", got, i, want)
		}
		if points, _ := tel.metrics(t); (points["fiberbridge.sockets{}"] == 0) != true || (len(points) == 0) {
			t.Errorf("metrics after message %d: %v", i, points)
		}
		stop()
	}
	stop() // has no effect
	if points, _ := tel.metrics(t); points["fiberbridge.emits{outcome=ok,target=broadcast}"] != 1 {
		t.Errorf("metrics after stop: %v, want one emit", points)
	}
}

// deliveredTraces returns hooks that send the trace context of each delivered message.
func deliveredTraces(to chan<- string) socketbridge.Trace {
	return socketbridge.Trace{Operation: operationHook(func(op *socketbridge.Operation) {
		if op.Kind == socketbridge.OpDeliver {
			to <- op.Message.Trace
		}
	})}
}
