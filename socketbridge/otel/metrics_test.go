package bridgeotel_test

import (
	"errors"
	"log"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
)

// N9: the metrics are those of package measure, with its names, units and words.
func TestN9_OtelMetrics(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	n := newNode(t, tel, socketbridge.Config{Adapter: adapter.NewMemory().Join(), Recovery: socketbridge.Recovery{Window: time.Minute}}, fibersession.Config{})
	n.app.Post("/begin", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("name", "begin")
		return nil
	})
	disconnected := make(chan struct{})
	n.io.OnConnection(func(s *socketbridge.Socket) {
		s.OnDisconnect(func(socketbridge.Reason) { close(disconnected) })
	})
	n.io.On("fine", func(p *socketbridge.Packet) error {
		if _, err := p.Socket().EmitWithAck(p.Context(), "question"); err != nil {
			return err
		}
		return p.Ack()
	})
	n.io.On("failed", func(p *socketbridge.Packet) error { return errors.New("failed") })
	n.serve(t)
	cookie := n.post(t, "/begin", "")
	c := n.dial(t, cookie)
	c.send(`40{"pid":"unknown"}`)
	c.next()
	c.send(`421["fine"]`)
	c.expect(`421["question"]`)
	c.send(`431[]`)
	c.expect(`431[]`)
	c.send(`423["failed"]`)
	c.next()
	c.send(`424["unknown"]`)
	if err := n.io.Emit("news"); err != nil {
		t.Fatal(err)
	}
	tel.wait(t, 3, "handle fine", "handle failed", "handle")
	tel.wait(t, 1, "publish broadcast")

	points, units := tel.metrics(t)
	for _, i := range measure.All() {
		unit, ok := units[i.Name]
		if !ok && i != measure.SessionChanges && i != measure.Disconnects {
			t.Errorf("there is no metric %s", i.Name)
		}
		if ok && unit != i.Unit {
			t.Errorf("%s has the unit %q, want %q", i.Name, unit, i.Unit)
		}
		delete(units, i.Name)
	}
	if len(units) > 0 {
		t.Errorf("there are other metrics: %v", slices.Sorted(maps.Keys(units)))
	}
	for name, want := range map[string]int64{
		"fiberbridge.event.duration{event=fine,outcome=ok}":                            1,
		"fiberbridge.event.duration{event=failed,outcome=error}":                       1,
		"fiberbridge.event.duration{event=_other,outcome=ok}":                          1,
		"fiberbridge.event.wait{}":                                                     3,
		"fiberbridge.connect.duration{outcome=ok}":                                     1,
		"fiberbridge.recovery.duration{outcome=no_state}":                              1,
		"fiberbridge.ack.duration{outcome=ok,target=socket}":                           1,
		"fiberbridge.emits{outcome=ok,target=socket}":                                  1,
		"fiberbridge.emits{outcome=ok,target=broadcast}":                               1,
		"fiberbridge.adapter.duration{message=broadcast,operation=publish,outcome=ok}": 1,
		"fiberbridge.session.duration{operation=save,outcome=ok}":                      1,
		"fiberbridge.sockets{}":                                                        1,
		"fiberbridge.connections{transport=websocket}":                                 1,
		"fiberbridge.sessions{}":                                                       1,
		"fiberbridge.notices{notice=event_unhandled,part=bridge}":                      1,
	} {
		if got := points[name]; got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if t.Failed() {
		t.Logf("all: %s", strings.Join(slices.Sorted(maps.Keys(points)), "\n"))
	}

	_ = c.conn.CloseNow()
	<-disconnected
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(time.Millisecond) { // the hook runs after the handler
		points, _ = tel.metrics(t)
		sum := int64(0)
		for name, v := range points {
			if strings.HasPrefix(name, "fiberbridge.disconnects{") {
				sum += v
			}
		}
		if sum == 1 && points["fiberbridge.sockets{}"] == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d disconnects and %d sockets after the client left, want 1 and 0", sum, points["fiberbridge.sockets{}"])
		}
	}
}

// N9: a measured duration names the span of its operation, as an exemplar.
func TestN9_OtelExemplars(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	n := newNode(t, tel, socketbridge.Config{Mode: socketbridge.SessionNone}, fibersession.Config{})
	n.io.On("fine", func(p *socketbridge.Packet) error { return p.Ack() })
	n.serve(t)
	c, _ := n.join(t, "")
	c.send(`421["fine"]`)
	c.expect(`431[]`)
	var want string
	for _, s := range tel.wait(t, 1, "handle fine") {
		if s.Name == "handle fine" {
			want = s.SpanContext.SpanID().String()
		}
	}
	var rm metricdata.ResourceMetrics
	if err := tel.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == measure.EventDuration.Name {
			for _, e := range h.DataPoints[0].Exemplars {
				if got := spanIDOf(e); got == want {
					return
				}
			}
		}
	}
	t.Errorf("no exemplar of %s has the span %s", measure.EventDuration.Name, want)
}

// N9: without providers in Config, those of the process are used; an app can switch off either
// half; and a Config without anything to observe is refused.
func TestN9_OtelProviders(t *testing.T) {
	tel := newTelemetry(t)
	otel.SetTracerProvider(tel.traces)
	otel.SetMeterProvider(tel.meters)
	t.Cleanup(func() { // the defaults delegate to what was set, so they cannot be restored
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
	})
	observe := func(cfg bridgeotel.Config) (spans, points int) {
		t.Helper()
		tel.spans.Reset()
		cfg.Server = socketbridge.New(socketbridge.Config{Adapter: adapter.NewMemory().Join()})
		stop := bridgeotel.Observe(cfg)
		for { // until the adapter runs
			if _, err := cfg.Server.Nodes(t.Context()); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := cfg.Server.Emit("news"); err != nil {
			t.Fatal(err)
		}
		all, _ := tel.metrics(t)
		stop()
		if err := cfg.Server.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(tel.spans.GetSpans()), len(all)
	}
	if spans, points := observe(bridgeotel.Config{MeterProvider: metricnoop.NewMeterProvider()}); spans != 1 || points != 0 {
		t.Errorf("without metrics: %d spans and %d points, want 1 and 0", spans, points)
	}
	if spans, points := observe(bridgeotel.Config{TracerProvider: tracenoop.NewTracerProvider()}); spans != 0 || points == 0 {
		t.Errorf("without spans: %d spans and %d points, want 0 and some", spans, points)
	}
	if spans, points := observe(bridgeotel.Config{}); spans != 1 || points == 0 {
		t.Errorf("by default: %d spans and %d points, want 1 and some", spans, points)
	}
	defer func() {
		if got := recover(); got == nil || !strings.Contains(got.(string), "bridgeotel: Config.Server and Config.Sessions are nil") {
			t.Errorf("Observe of nothing: %v", got)
		}
	}()
	bridgeotel.Observe(bridgeotel.Config{})
}

// brokenMeters is a provider that creates no instruments.
type brokenMeters struct{ metricnoop.MeterProvider }

func (brokenMeters) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

type brokenMeter struct{ metricnoop.Meter }

var errBroken = errors.New("broken provider")

func (brokenMeter) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return metricnoop.Int64Counter{}, errBroken
}

// N9: an error of a provider reaches OpenTelemetry's error handler, and the app goes on.
func TestN9_OtelProviderFails(t *testing.T) {
	var failed []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failed = append(failed, err) }))
	t.Cleanup(func() { otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Print(err) })) })
	io := socketbridge.New(socketbridge.Config{})
	stop := bridgeotel.Observe(bridgeotel.Config{Server: io, MeterProvider: brokenMeters{}, TracerProvider: tracenoop.NewTracerProvider()})
	if err := io.Emit("news"); err != nil {
		t.Error(err)
	}
	stop()
	if err := io.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if len(failed) == 0 || !errors.Is(failed[0], errBroken) {
		t.Errorf("the error handler got %v, want %v", failed, errBroken)
	}
}
