// Package metrics gives the metrics of a bridge to Prometheus:
//
//	m := metrics.New(metrics.Config{Server: io, Sessions: sessions})
//	prometheus.MustRegister(m)
//	internal.Get("/metrics", adaptor.HTTPHandler(promhttp.Handler()))
//
// internal is a Fiber app on a port that only Prometheus can reach. docs/metrics.md lists all
// metrics, and the alerts of alerts.yml with their cures. dashboard.json is a dashboard for
// Grafana.
//
// The number of series is bounded, whatever clients send: the label event has the names of
// events that the app handles, 200 at most, and every other label has words from fixed lists.
//
// An app that does not import this package has nothing of Prometheus in its binary.
package metrics
