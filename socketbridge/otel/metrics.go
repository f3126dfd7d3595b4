package bridgeotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
)

// observeMetrics reports the instruments of package measure until stop is called.
func observeMetrics(cfg *Config) (stop func()) {
	meter := cfg.MeterProvider.Meter(ScopeName)
	if _, none := meter.(metricnoop.Meter); none {
		return func() {}
	}
	r := newRecorder(meter, measure.Recorded(cfg.Server != nil, cfg.Sessions != nil))
	stopReading := readOnCollect(meter, cfg)
	stopRecording := measure.Observe(cfg.Server, cfg.Sessions, r)
	return func() {
		stopRecording()
		stopReading()
	}
}

// recorder records what hooks measure. It implements measure.Recorder.
type recorder struct {
	counters   map[*measure.Instrument]metric.Int64Counter
	histograms map[*measure.Instrument]metric.Float64Histogram
}

func newRecorder(meter metric.Meter, instruments []*measure.Instrument) *recorder {
	r := &recorder{make(map[*measure.Instrument]metric.Int64Counter), make(map[*measure.Instrument]metric.Float64Histogram)}
	for _, i := range instruments {
		var err error
		if i.Kind == measure.Histogram {
			r.histograms[i], err = meter.Float64Histogram(i.Name, metric.WithDescription(i.Help), metric.WithUnit(i.Unit), metric.WithExplicitBucketBoundaries(i.Buckets...))
		} else {
			r.counters[i], err = meter.Int64Counter(i.Name, metric.WithDescription(i.Help), metric.WithUnit(i.Unit))
		}
		report(err)
	}
	return r
}

// Series implements measure.Recorder.
func (r *recorder) Series(i *measure.Instrument, labels ...string) measure.Series {
	attributes := attributesOf(i, labels)
	if i.Kind == measure.Histogram {
		return &histogramSeries{r.histograms[i], []metric.RecordOption{attributes}}
	}
	s := &counterSeries{r.counters[i], []metric.AddOption{attributes}}
	s.Record(context.Background(), 0) // the series exists before its first event
	return s
}

type counterSeries struct {
	metric.Int64Counter
	options []metric.AddOption
}

func (s *counterSeries) Record(ctx context.Context, v float64) { s.Add(ctx, int64(v), s.options...) }

type histogramSeries struct {
	histogram metric.Float64Histogram
	options   []metric.RecordOption
}

func (s *histogramSeries) Record(ctx context.Context, v float64) {
	s.histogram.Record(ctx, v, s.options...)
}

// attributesOf returns the labels of a series.
func attributesOf(i *measure.Instrument, labels []string) metric.MeasurementOption {
	all := make([]attribute.KeyValue, len(labels))
	for n, value := range labels {
		all[n] = attribute.String(i.Labels[n], value)
	}
	return metric.WithAttributeSet(attribute.NewSet(all...))
}

// readOnCollect reads the counts of the server and the store whenever metrics are collected,
// until stop is called.
func readOnCollect(meter metric.Meter, cfg *Config) (stop func()) {
	instruments := make(map[*measure.Instrument]metric.Int64Observable)
	var all []metric.Observable
	for _, i := range measure.Readable(cfg.Server != nil, cfg.Sessions != nil) {
		var (
			o   metric.Int64Observable
			err error
		)
		if i.Kind == measure.Gauge {
			o, err = meter.Int64ObservableUpDownCounter(i.Name, metric.WithDescription(i.Help), metric.WithUnit(i.Unit))
		} else {
			o, err = meter.Int64ObservableCounter(i.Name, metric.WithDescription(i.Help), metric.WithUnit(i.Unit))
		}
		report(err)
		instruments[i], all = o, append(all, o)
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		measure.Read(cfg.Server, cfg.Sessions, func(i *measure.Instrument, v float64, labels ...string) {
			to.ObserveInt64(instruments[i], int64(v), attributesOf(i, labels))
		})
		return nil
	}, all...)
	if err != nil {
		report(err)
		return func() {}
	}
	return func() { report(registration.Unregister()) }
}

// report passes an error of a provider to OpenTelemetry's error handler.
func report(err error) {
	if err != nil {
		otel.Handle(errors.Join(errors.New("bridgeotel: metrics are incomplete"), err))
	}
}
