package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
)

// Config configures a Collector. Server, Sessions or both must be set.
type Config struct {
	// Server is the server to collect from.
	//
	// Optional. Default: nil, no metrics of a server
	Server *socketbridge.Server

	// Sessions is the store to collect from, which is usually that of the server. If several
	// servers share a store, set it for one of them.
	//
	// Optional. Default: nil, no metrics of a store
	Sessions *fibersession.Store

	// ConstLabels are added to all metrics. Set a different value of the same label for each
	// collector if a process has several, such as {"server": "admin"}: a registry refuses two
	// collectors with the same labels.
	//
	// Optional. Default: nil
	ConstLabels prometheus.Labels
}

// Collector is a prometheus.Collector for a server and a store. All methods are safe for
// concurrent use.
type Collector struct {
	cfg      Config
	recorded map[*measure.Instrument]family
	readable map[*measure.Instrument]*prometheus.Desc
	stop     func()
}

// family is a CounterVec or a HistogramVec.
type family interface {
	prometheus.Collector
	series(labels []string) measure.Series
}

// New returns a collector, which counts events and measures durations from now on, until Close.
// Register it with a prometheus.Registerer. New panics if Config has neither a server nor a
// store, or if ConstLabels has a label that a metric has too.
func New(config Config) *Collector {
	hasServer, hasStore := config.Server != nil, config.Sessions != nil
	if !hasServer && !hasStore {
		panic("metrics: Config needs Server or Sessions")
	}
	c := &Collector{cfg: config, recorded: map[*measure.Instrument]family{}, readable: map[*measure.Instrument]*prometheus.Desc{}}
	for _, i := range measure.Recorded(hasServer, hasStore) {
		c.recorded[i] = newFamily(i, config.ConstLabels)
	}
	for _, i := range measure.Readable(hasServer, hasStore) {
		c.readable[i] = prometheus.NewDesc(i.Prometheus(), i.Help, i.Labels, config.ConstLabels)
	}
	c.stop = measure.Observe(config.Server, config.Sessions, recorder{c})
	return c
}

// Close ends the counting of events and the measuring of durations. It does not unregister the
// collector, which can still be collected. Further calls do nothing. A collector of a server
// that lives as long as the process need not be closed.
func (c *Collector) Close() { c.stop() }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range c.recorded {
		f.Describe(ch)
	}
	for _, desc := range c.readable {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. Its time does not depend on the number of sockets,
// and it makes no call to the storage or to other nodes.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range c.recorded {
		f.Collect(ch)
	}
	measure.Read(c.cfg.Server, c.cfg.Sessions, func(i *measure.Instrument, v float64, labels ...string) {
		kind := prometheus.GaugeValue
		if i.Kind == measure.Counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(c.readable[i], kind, v, labels...)
	})
}

// recorder is the measure.Recorder of a Collector.
type recorder struct{ c *Collector }

// Series implements measure.Recorder.
func (r recorder) Series(i *measure.Instrument, labels ...string) measure.Series {
	return r.c.recorded[i].series(labels)
}

// newFamily returns the vector for an instrument.
func newFamily(i *measure.Instrument, labels prometheus.Labels) family {
	if i.Kind == measure.Counter {
		return counters{prometheus.NewCounterVec(prometheus.CounterOpts{Name: i.Prometheus(), Help: i.Help, ConstLabels: labels}, i.Labels)}
	}
	return histograms{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: i.Prometheus(), Help: i.Help, ConstLabels: labels, Buckets: i.Buckets,
		// For a Prometheus that scrapes native histograms. All others get the classic buckets.
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, i.Labels)}
}

type (
	counters   struct{ *prometheus.CounterVec }
	histograms struct{ *prometheus.HistogramVec }
)

func (c counters) series(labels []string) measure.Series {
	return counter{c.WithLabelValues(labels...)}
}

func (h histograms) series(labels []string) measure.Series {
	return histogram{h.WithLabelValues(labels...)}
}

type (
	counter   struct{ prometheus.Counter }
	histogram struct{ prometheus.Observer }
)

// Record implements measure.Series.
func (c counter) Record(_ context.Context, v float64) { c.Add(v) }

// Record implements measure.Series.
func (h histogram) Record(_ context.Context, v float64) { h.Observe(v) }
