package bridgeotel_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // these live as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // it ends some seconds after its server
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

const testTimeout = 30 * time.Second

// telemetry collects the spans and metrics of one test.
type telemetry struct {
	spans  *tracetest.InMemoryExporter
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
}

func newTelemetry(t testing.TB, options ...sdktrace.TracerProviderOption) *telemetry {
	t.Helper()
	tel := &telemetry{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	tel.traces = sdktrace.NewTracerProvider(append(options, sdktrace.WithSyncer(tel.spans))...)
	tel.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(tel.reader))
	t.Cleanup(func() {
		if err := errors.Join(tel.traces.Shutdown(context.Background()), tel.meters.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return tel
}

// tracer is that of the app.
func (tel *telemetry) tracer() trace.Tracer { return tel.traces.Tracer("app") }

// wait waits until want spans with one of the names have ended, and returns all spans.
func (tel *telemetry) wait(t testing.TB, want int, names ...string) tracetest.SpanStubs {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(time.Millisecond) { // an exporter has no notification
		all, count := tel.spans.GetSpans(), 0
		for _, s := range all {
			if slices.Contains(names, s.Name) {
				count++
			}
		}
		if count >= want {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d spans %q have ended, want %d; all:\n%s", count, names, want, tree(all, nil))
		}
	}
}

// metrics returns the data points of each metric as "name{attributes} value". The value of a
// histogram is its count.
func (tel *telemetry) metrics(t testing.TB) (points map[string]int64, units map[string]string) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := tel.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	points, units = map[string]int64{}, map[string]string{}
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != bridgeotel.ScopeName {
			t.Errorf("metrics of the scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			units[m.Name] = m.Unit
			add := func(set attribute.Set, v int64) {
				points[m.Name+"{"+set.Encoded(attribute.DefaultEncoder())+"}"] = v
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, int64(p.Count))
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return points, units
}

// tree returns spans as indented lines, the children below their parents, in the order in which
// they began. names replaces values that differ from run to run.
func tree(spans tracetest.SpanStubs, names *strings.Replacer) string {
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	known := map[trace.SpanID]string{}
	for _, s := range spans {
		known[s.SpanContext.SpanID()] = s.Name
	}
	var b strings.Builder
	var write func(parent trace.SpanID, depth int)
	write = func(parent trace.SpanID, depth int) {
		for _, s := range spans {
			of := s.Parent.SpanID()
			if of.IsValid() && known[of] == "" {
				of = trace.SpanID{}
			}
			// A session that a socket watches is read again at its own time.
			if of != parent || depth == 0 && s.Name == "session load" {
				continue
			}
			fmt.Fprintf(&b, "%s%s (%s", strings.Repeat("  ", depth), s.Name, s.SpanKind)
			if s.Parent.IsRemote() {
				b.WriteString(", remote parent")
			}
			b.WriteString(")")
			for _, a := range sorted(s.Attributes) {
				b.WriteString(" " + a)
			}
			for _, link := range s.Links {
				fmt.Fprintf(&b, " link=%s", known[link.SpanContext.SpanID()])
				if link.SpanContext.IsRemote() {
					b.WriteString(" (remote)")
				}
			}
			if s.Status.Code != codes.Unset {
				fmt.Fprintf(&b, " status=%s:%s", s.Status.Code, s.Status.Description)
			}
			b.WriteString("\n")
			write(s.SpanContext.SpanID(), depth+1)
		}
	}
	write(trace.SpanID{}, 0)
	if names != nil {
		return names.Replace(b.String())
	}
	return b.String()
}

// sorted returns attributes as text. Those that all spans share and durations are left out.
func sorted(attributes []attribute.KeyValue) []string {
	var all []string
	for _, a := range attributes {
		switch a.Key {
		case "messaging.system", "messaging.operation.name", "messaging.operation.type":
		case "fiberbridge.event.wait":
			all = append(all, "wait")
		default:
			key := strings.TrimPrefix(strings.TrimPrefix(string(a.Key), "fiberbridge."), "messaging.socket.io.")
			all = append(all, key+"="+a.Value.String())
		}
	}
	slices.Sort(all)
	return all
}

// node is one node of an app, on a real port.
type node struct {
	io       *socketbridge.Server
	sessions *fibersession.Store
	app      *fiber.App
	url      string
}

// newNode returns a node whose spans and metrics go to tel. Its requests have spans, as those of
// an app with a middleware for OpenTelemetry. Call serve after the routes and handlers are set.
func newNode(t testing.TB, tel *telemetry, cfg socketbridge.Config, store fibersession.Config) *node {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	store.Logger = silent
	n := &node{sessions: fibersession.New(store)}
	cfg.Sessions, cfg.Logger = n.sessions, silent
	n.io = socketbridge.New(cfg)
	t.Cleanup(bridgeotel.Observe(bridgeotel.Config{Server: n.io, Sessions: n.sessions, TracerProvider: tel.traces, MeterProvider: tel.meters}))
	n.app = fiber.New(fiber.Config{DisableStartupMessage: true})
	n.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // the worker pool's goroutine outlives the server by this time
	n.app.Use(requestSpans(tel))
	n.app.Use(n.sessions.Handler(), n.io.Handler())
	return n
}

// requestSpans is what an instrumentation of Fiber does.
func requestSpans(tel *telemetry) fiber.Handler {
	return func(c *fiber.Ctx) error {
		ctx, span := tel.tracer().Start(c.UserContext(), c.Method()+" "+c.Path(), trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		c.SetUserContext(ctx)
		return c.Next()
	}
}

func (n *node) serve(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.url = "http://" + ln.Addr().String()
	go func() { _ = n.app.Listener(ln) }() // ends with ShutdownWithContext, below
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := errors.Join(n.io.Shutdown(ctx), n.app.ShutdownWithContext(ctx), n.sessions.Close()); err != nil {
			t.Error(err)
		}
	})
	// A shutdown before the server serves would not end it. A malformed request is answered without
	// the app, so it makes no span.
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, err = nc.Write([]byte("malformed\r\n\r\n"))
	if answer, failed := io.ReadAll(nc); err != nil || failed != nil || len(answer) == 0 {
		t.Fatalf("the server does not serve: %q, %v, %v", answer, err, failed)
	}
}

// post sends a request and returns the cookie of its response, or the given one.
func (n *node) post(t testing.TB, path, cookie string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", path, res.StatusCode)
	}
	for _, c := range res.Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return cookie
}

// release waits until no request holds a session: a client has its response a moment before. The
// next request then loads its session.
func (n *node) release(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); n.sessions.Stats().States > 0; time.Sleep(time.Millisecond) { // there is no notification
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are in use", n.sessions.Stats().States)
		}
	}
}

// client speaks the protocol by hand over a WebSocket.
type client struct {
	t    testing.TB
	conn *websocket.Conn
}

// dial connects a client with a cookie, without joining a namespace.
func (n *node) dial(t testing.TB, cookie string) *client {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), n.url+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {cookie}}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	c := &client{t, conn}
	c.next() // the handshake
	return c
}

// join connects a client to the namespace /. It returns the ID of its socket.
func (n *node) join(t testing.TB, cookie string) (c *client, id string) {
	t.Helper()
	c = n.dial(t, cookie)
	c.send("40")
	var body struct{ Sid string }
	if got := c.next(); !strings.HasPrefix(got, "40") || json.Unmarshal([]byte(got[2:]), &body) != nil {
		t.Fatalf("CONNECT was answered with %s", got)
	}
	return c, body.Sid
}

func (c *client) send(packet string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next packet that is not a ping.
func (c *client) next() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testTimeout)
	defer cancel()
	for {
		_, data, err := c.conn.Read(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		if string(data) != "2" {
			return string(data)
		}
		c.send("3")
	}
}

// expect checks the next packets.
func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// waitForNodes waits until the nodes have discovered each other.
func waitForNodes(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		for deadline := time.Now().Add(testTimeout); ; time.Sleep(5 * time.Millisecond) { // there is no notification
			count, err := n.io.Nodes(t.Context())
			if count == len(nodes) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d nodes, error %v; want %d", count, err, len(nodes))
			}
		}
	}
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", what, got, want)
	}
}

// operationHook returns an Operation hook that calls fn before each operation.
func operationHook(fn func(op *socketbridge.Operation)) func(context.Context, *socketbridge.Operation) (context.Context, func(error)) {
	return func(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
		fn(op)
		return ctx, nil
	}
}

// spanIDOf returns the ID of an exemplar's span.
func spanIDOf(e metricdata.Exemplar[float64]) string { return hex.EncodeToString(e.SpanID) }
