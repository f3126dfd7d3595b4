package metrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // goroutines that other packages start for the whole process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // it ends some seconds after its server
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

var silent = slog.New(slog.DiscardHandler)

// newServer creates a server that is shut down at the end of the test.
func newServer(t testing.TB, cfg socketbridge.Config) *socketbridge.Server {
	t.Helper()
	cfg.Logger = silent
	cfg.Limits.EventsPerSecond, cfg.Limits.BytesPerSecond = -1, -1
	server := socketbridge.New(cfg)
	t.Cleanup(func() { shutdown(t, server) })
	return server
}

// shutdown waits until the server's hooks have been called.
func shutdown(t testing.TB, server *socketbridge.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func newStore(t testing.TB, cfg fibersession.Config) *fibersession.Store {
	t.Helper()
	cfg.Logger = silent
	store := fibersession.New(cfg)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// register registers a new collector with a new registry.
func register(t testing.TB, cfg metrics.Config) *prometheus.Registry {
	t.Helper()
	m := metrics.New(cfg)
	t.Cleanup(m.Close)
	r := prometheus.NewPedanticRegistry() // checks each metric against its description
	r.MustRegister(m)
	return r
}

// scrape gets /metrics from a Fiber app, and parses the text.
func scrape(t testing.TB, r *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	app := fiber.New()
	app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})))
	res, err := app.Test(httptest.NewRequest("GET", "/metrics", nil), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("/metrics: status %d: %s", res.StatusCode, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatalf("the text of /metrics cannot be parsed: %v", err)
	}
	return families
}

// values returns the series of a family by their labels: values, and counts of histograms.
func values(f *dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, m := range f.GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetValue())
		}
		key := strings.Join(labels, " ")
		switch {
		case m.Histogram != nil:
			all[key] = float64(m.GetHistogram().GetSampleCount())
		case m.Counter != nil:
			all[key] = m.GetCounter().GetValue()
		case m.Gauge != nil:
			all[key] = m.GetGauge().GetValue()
		}
	}
	return all
}

// expect checks all series of a family that are not 0. Those of want are by their labels'
// values, in the order of the labels' names.
func expect(t testing.TB, families map[string]*dto.MetricFamily, name string, want map[string]float64) {
	t.Helper()
	got := values(families[name])
	maps.DeleteFunc(got, func(_ string, v float64) bool { return v == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("%s has\n\t%v\nwant\n\t%v", name, got, want)
	}
}

// peer is a client over a connection in memory.
type peer struct {
	t    testing.TB
	conn *transporttest.Conn
}

// connect joins the default namespace. It returns the server's answer to CONNECT.
func connect(t testing.TB, server transport.Acceptor, auth string) (peer, string) {
	t.Helper()
	conn, err := transporttest.Connect(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{t, conn}
	t.Cleanup(p.leave)
	p.send("0" + auth)
	return p, p.next()
}

// join is connect for a client that must be let in.
func join(t testing.TB, server transport.Acceptor) peer {
	t.Helper()
	p, answer := connect(t, server, "")
	if !strings.HasPrefix(answer, `0{"sid"`) {
		t.Fatalf("CONNECT was answered with %s", answer)
	}
	return p
}

func (p peer) send(text string) {
	p.t.Helper()
	if err := p.conn.Text(text); err != nil {
		p.t.Fatalf("sending %.80s: %v", text, err)
	}
}

func (p peer) next() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := p.conn.Next(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(m.Data)
}

// call emits an event without arguments and waits for the answer, which it returns.
func (p peer) call(event string) string {
	p.t.Helper()
	name, _ := json.Marshal(event)
	p.send(fmt.Sprintf(`21[%s]`, name))
	return p.next()
}

func (p peer) leave() { p.conn.Leave(transport.TransportClose, nil) }

// serve serves an app with sessions and sockets until the end of the test. POST /login stores
// a session.
func serve(t testing.TB, store *fibersession.Store, server *socketbridge.Server) (url string) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true, ReadTimeout: time.Minute})
	server.LimitBodies(app)
	app.Use(store.Handler(), server.Handler())
	app.Post("/login", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("n", 1)
		return c.SendStatus(200)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Listener(ln) }() // ShutdownWithTimeout waits for it
	t.Cleanup(func() {
		shutdown(t, server)
		if err := app.ShutdownWithTimeout(30 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// login returns the cookie of a new session.
func login(t testing.TB, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(url+"/login", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return cookie
}

// series returns the number of series without the notices, whose names come from a fixed list.
func series(t testing.TB, r *prometheus.Registry) (n int) {
	t.Helper()
	for name, f := range scrape(t, r) {
		if name == "fiberbridge_notices_total" {
			continue
		}
		n += len(f.GetMetric())
	}
	return n
}

// difference returns what a family has counted between two scrapes.
func difference(after, before *dto.MetricFamily) map[string]float64 {
	diff, old := values(after), values(before)
	for labels := range diff {
		diff[labels] -= old[labels]
	}
	return diff
}
