package measure

import (
	"context"
	"maps"
	"math"
	"sync"
	"sync/atomic"
)

// Recorder gets the values of Observe.
type Recorder interface {
	// Series returns the series of an instrument with the given values of its labels. It is
	// called once per series, so it may be slow.
	Series(i *Instrument, labels ...string) Series
}

// Series is one series of an instrument. It is safe for concurrent use.
type Series interface {
	// Record adds v to a counter, or a value to a histogram. ctx is that of the operation.
	Record(ctx context.Context, v float64)
}

// table is a map that is read without a lock or an allocation, and that grows seldom. The zero
// value is empty.
type table[K comparable, V any] struct {
	current atomic.Pointer[map[K]V]
	mu      sync.Mutex // serialises changes
}

// get returns the value of k.
func (t *table[K, V]) get(k K) (v V, ok bool) {
	if m := t.current.Load(); m != nil {
		v, ok = (*m)[k]
	}
	return v, ok
}

// getOrMake returns the value of k, which make makes if there is none. Above limit values, it
// returns other instead.
func (t *table[K, V]) getOrMake(k K, limit int, other V, make func(K) V) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	var m map[K]V
	if p := t.current.Load(); p != nil {
		m = *p
	}
	if v, ok := m[k]; ok {
		return v
	}
	if len(m) >= limit {
		return other
	}
	next := map[K]V{k: make(k)}
	maps.Copy(next, m)
	t.current.Store(&next)
	return next[k]
}

// family holds the series of an instrument whose labels have the values of K.
type family[K comparable] struct {
	recorder   Recorder
	instrument *Instrument
	labels     func(K) []string
	series     table[K, Series]
}

// of returns the series of k.
func (f *family[K]) of(k K) Series {
	if s, ok := f.series.get(k); ok {
		return s
	}
	return f.series.getOrMake(k, math.MaxInt, nil, f.make) // K is made of words from fixed lists
}

func (f *family[K]) make(k K) Series { return f.recorder.Series(f.instrument, f.labels(k)...) }

func one(word string) []string       { return []string{word} }
func two(words [2]string) []string   { return words[:] }
func three(words [3]string) []string { return words[:] }
