package metrics_test

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
)

// Metrics are served by an app of their own, on a port that only Prometheus can reach:
// go internal.Listen("127.0.0.1:9100").
func Example() {
	sessions := fibersession.New()
	defer sessions.Close()
	bridge := socketbridge.New(socketbridge.Config{Sessions: sessions})

	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(metrics.Config{Server: bridge, Sessions: sessions}))
	internal := fiber.New()
	internal.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))

	res, err := internal.Test(httptest.NewRequest("GET", "/metrics", nil))
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "fiberbridge_sockets") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP fiberbridge_sockets Connected sockets of all namespaces.
	// # TYPE fiberbridge_sockets gauge
	// fiberbridge_sockets 0
}
