package bridgeotel_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	bridgeotel "github.com/fiberbridge/fiberbridge/socketbridge/otel"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// N9: the handshake's request has the load of the session, and each connect over the connection
// links to the request. It is no child of it: the request is over when the client joins, and a
// connection lives for hours.
func TestN9_OtelHandshake(t *testing.T) {
	t.Parallel()
	for transport, open := range map[string]func(t *testing.T, n *node, cookie string) (join func(namespace string)){
		"websocket": func(t *testing.T, n *node, cookie string) func(string) {
			c := n.dial(t, cookie)
			return func(namespace string) {
				c.send("40" + namespace)
				c.next()
			}
		},
		"polling": func(t *testing.T, n *node, cookie string) func(string) {
			c := &poller{t: t, cookie: cookie, url: n.url + "/socket.io/?EIO=4&transport=polling"}
			var hello struct{ SID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(c.do(http.MethodGet, ""), "0")), &hello); err != nil {
				t.Fatal(err)
			}
			c.url += "&sid=" + hello.SID
			return func(namespace string) {
				c.do(http.MethodPost, "40"+namespace)
				c.do(http.MethodGet, "")
			}
		},
	} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			tel := newTelemetry(t)
			storage := memory.New()
			t.Cleanup(func() { _ = storage.Close() })
			engine := engineio.Config{Timeouts: engineio.Timeouts{Close: 100 * time.Millisecond}} // the client does not poll any more
			n := newNode(t, tel, socketbridge.Config{Engine: engine}, fibersession.Config{Storage: storage})
			n.io.Of("/orders")
			for _, namespace := range n.io.Namespaces() {
				namespace.OnConnection(func(s *socketbridge.Socket) {
					s.Session().Set(namespace.Name(), true)
				})
			}
			n.app.Post("/begin", func(c *fiber.Ctx) error {
				fibersession.FromContext(c).Set("begun", true)
				return nil
			})
			n.serve(t)
			cookie := n.post(t, "/begin", "")
			tel.wait(t, 1, "POST /begin")
			n.release(t)
			tel.spans.Reset()
			join := open(t, n, cookie)
			tel.wait(t, 1, "GET /socket.io/") // of the handshake, before that of the first poll
			for i, namespace := range []string{"", "/orders,"} {
				join(namespace)
				tel.wait(t, i+1, "session save")
			}
			spans := tel.wait(t, 2, "connect")
			slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
			handshake := spans[0].SpanContext
			spans = slices.DeleteFunc(spans, func(s tracetest.SpanStub) bool { // polls and posts
				return isTracking(s) || strings.HasSuffix(s.Name, " /socket.io/") && s.SpanContext.SpanID() != handshake.SpanID()
			})
			for i := range spans {
				spans[i].Attributes = nil
			}
			equal(t, "spans", tree(spans, nil), `GET /socket.io/ (server)
  session load (internal)
connect (server) link=GET /socket.io/
  session save (internal)
connect (server) link=GET /socket.io/
  session save (internal)
`)
			for _, s := range spans {
				if s.Name == "connect" && (len(s.Links) != 1 || s.Links[0].SpanContext.SpanID() != handshake.SpanID() || s.Links[0].SpanContext.TraceID() != handshake.TraceID()) {
					t.Errorf("a connect links to %v, want the handshake's span %v", s.Links, handshake)
				}
			}
		})
	}
}

// isTracking reports whether a span is that of a read by which the store follows a watched session,
// outside of any event or request.
func isTracking(s tracetest.SpanStub) bool {
	return s.Name == "session load" && !s.Parent.SpanID().IsValid()
}

// poller speaks the protocol by hand over polling.
type poller struct {
	t      testing.TB
	url    string
	cookie string
}

func (p *poller) do(method, body string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Cookie", p.cookie)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testTimeout}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %s %v", method, res.Status, text, err)
	}
	return string(text)
}

// N9: without a span in the request's context, or for a server without sessions, a connect is a
// root without a link, or has one all the same.
func TestN9_OtelHandshakeWithoutSessions(t *testing.T) {
	t.Parallel()
	for name, spans := range map[string]bool{"request with a span": true, "request without a span": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel := newTelemetry(t)
			n := newNodeWithoutSessions(t, tel, spans)
			n.serve(t)
			n.join(t, "")
			got := tree(tel.wait(t, 1, "connect"), nil)
			if linked := strings.Contains(got, " link=GET /socket.io/"); linked != spans || strings.Contains(got, "link=") != spans {
				t.Errorf("spans:\n%s\nwant a link: %v", got, spans)
			}
		})
	}
}

// newNodeWithoutSessions returns a node whose requests have spans or not.
func newNodeWithoutSessions(t testing.TB, tel *telemetry, spans bool) *node {
	t.Helper()
	n := newNode(t, tel, socketbridge.Config{}, fibersession.Config{})
	n.io = socketbridge.New(socketbridge.Config{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(bridgeotel.Observe(bridgeotel.Config{Server: n.io, TracerProvider: tel.traces, MeterProvider: tel.meters}))
	n.app = fiber.New(fiber.Config{DisableStartupMessage: true})
	n.app.Server().MaxIdleWorkerDuration = 100 * time.Millisecond // the worker pool's goroutine outlives the server by this time
	if spans {
		n.app.Use(requestSpans(tel))
	}
	n.app.Use(n.io.Handler())
	return n
}
