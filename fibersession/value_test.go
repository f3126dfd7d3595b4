package fibersession_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

type rank int

// values is a Getter of an application.
type values map[string]any

func (v values) Get(key string) any { return v[key] }

// converts checks Value and Lookup of one value as a T: want is a T, or nil for ErrType.
func converts[T any](v, want any) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		g := values{"key": v}
		got, err := fibersession.Value[T](g, "key")
		found, there, lookupErr := fibersession.Lookup[T](g, "key")
		if want == nil {
			if !errors.Is(err, fibersession.ErrType) || !errors.Is(lookupErr, fibersession.ErrType) || there || !reflect.ValueOf(&got).Elem().IsZero() {
				t.Errorf("%T %v as %T: got %v, %v; want ErrType", v, v, got, got, err)
			}
			if !strings.Contains(err.Error(), `"key"`) || !strings.Contains(err.Error(), fmt.Sprintf("%T", v)) || !strings.Contains(err.Error(), fmt.Sprintf("%T", got)) {
				t.Errorf("the error does not name the key and both types: %v", err)
			}
			return
		}
		if err != nil || lookupErr != nil || !there || !reflect.DeepEqual(any(got), want) || !reflect.DeepEqual(any(found), want) {
			t.Errorf("%T %v as %T: got %v, %v; want %v", v, v, got, got, err, want)
		}
	}
}

// Numbers are converted if nothing is lost. A zero never stands for a value of another type.
func TestValue_Conversions(t *testing.T) {
	t.Parallel()
	for i, check := range []func(*testing.T){
		converts[int](7, 7), converts[string]("a", "a"), converts[any](7, 7), converts[fmt.Stringer](time.Second, time.Second),
		converts[float64](20, 20.0), converts[float64](int64(1<<53), float64(1<<53)), converts[float64](int64(1<<53+1), nil), converts[float64](math.MaxInt64, nil),
		converts[float64](uint64(math.MaxUint64), nil), converts[float64](uint64(1<<63), float64(1<<63)), converts[float64](math.MinInt64, float64(math.MinInt64)),
		converts[float32](1<<24, float32(1<<24)), converts[float32](1<<24+1, nil), converts[float32](0.5, float32(0.5)), converts[float32](0.1, nil), converts[float32](math.Inf(-1), float32(math.Inf(-1))),
		converts[float32](1e300, nil), converts[float64](float32(0.1), float64(float32(0.1))),
		converts[int](20.0, 20), converts[int](20.5, nil), converts[int](math.NaN(), nil), converts[int](math.Inf(1), nil), converts[int64](float64(1<<62), int64(1<<62)), converts[int64](float64(1<<63), nil),
		converts[int64](-float64(1<<63), int64(math.MinInt64)), converts[uint64](float64(1<<63), uint64(1<<63)), converts[uint64](float64(1<<64), nil), converts[uint64](-1.0, nil),
		converts[int8](127, int8(127)), converts[int8](128, nil), converts[int8](-128, int8(-128)), converts[uint8](-1, nil), converts[uint8](255.0, uint8(255)), converts[uint8](256, nil),
		converts[uint](5, uint(5)), converts[int](uint64(5), 5), converts[int](uint64(math.MaxUint64), nil), converts[uint64](int8(-1), nil),
		converts[rank](3, rank(3)), converts[rank](3.0, rank(3)), converts[rank](3.5, nil), converts[int](rank(3), 3), converts[float64](rank(3), 3.0), converts[time.Duration](5, time.Duration(5)), converts[int64](time.Second, int64(time.Second)),
		converts[int](json.Number("12"), 12), converts[float64](json.Number("12"), 12.0), converts[uint64](json.Number("18446744073709551615"), uint64(math.MaxUint64)), converts[int](json.Number("1e3"), 1000), converts[int](json.Number("x"), nil), converts[json.Number](json.Number("1"), json.Number("1")),
		converts[int]("7", nil), converts[string](7, nil), converts[bool](1, nil), converts[int](true, nil), converts[[]string]([]any{"a"}, nil), converts[*int](7, nil), converts[complex128](7, nil),
	} {
		t.Run(fmt.Sprint(i), check)
	}
}

// A float or an integer that comes back from a conversion is the one that went in.
func TestValue_ConversionsAreExact(t *testing.T) {
	t.Parallel()
	for range 20_000 {
		bits := rand.Uint64() >> rand.N(64)
		for _, v := range []any{int64(bits), -int64(bits), bits, float64(bits), float32(bits), math.Float64frombits(bits), int32(bits), uint16(bits)} {
			checkExact[float64](t, v)
			checkExact[float32](t, v)
			checkExact[int64](t, v)
			checkExact[uint64](t, v)
			checkExact[int32](t, v)
			checkExact[uint8](t, v)
		}
	}
}

func checkExact[T any](t *testing.T, v any) {
	t.Helper()
	got, err := fibersession.Value[T](values{"n": v}, "n")
	if err != nil {
		return
	}
	back := reflect.ValueOf(got).Convert(reflect.TypeOf(v)).Interface()
	if back != v && fmt.Sprint(v) != "NaN" {
		t.Errorf("%T %v as %T: got %v", v, v, got, got)
	}
}

// A missing key, a stored nil and a session that cannot be read are three different things.
func TestValue_MissingAndUnreadable(t *testing.T) {
	t.Parallel()
	st := faulty.New(memory.New(), nil)
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, map[string]any{"nil": nil, "n": 5})
	for _, key := range []string{"nil", "missing"} {
		if v, ok, err := fibersession.Lookup[int](h, key); v != 0 || ok || err != nil {
			t.Errorf("%s: got %d, %v, %v; want 0, false and nil", key, v, ok, err)
		}
	}
	must(t, h.Update(ctx, func(tx *fibersession.Tx) error {
		tx.Set("f", 2.0)
		if n, err := fibersession.Value[int](tx, "f"); n != 2 || err != nil {
			t.Errorf("in an Update: got %d, %v; want 2", n, err)
		}
		_, err := fibersession.Value[string](tx, "n")
		if !errors.Is(err, fibersession.ErrType) {
			t.Errorf("in an Update: got %v, want ErrType", err)
		}
		return nil
	}))
	must(t, s.Delete(h.ID()))
	if _, err := fibersession.Value[int](h, "n"); !errors.Is(err, fibersession.ErrSessionGone) {
		t.Errorf("after the end: got %v, want ErrSessionGone", err)
	}
}

// With JSON, numbers keep their value, and come back as any type that can hold it.
func TestF2_JSONNumbers(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	cfg := fibersession.Config{Storage: st, Codec: fibersession.JSON{}}
	s := newStore(t, cfg)
	h := storedSession(t, s, map[string]any{"price": 20.0, "half": 0.5, "big": uint64(math.MaxUint64), "large": int64(math.MinInt64), "rank": rank(3), "nested": []any{uint64(math.MaxUint64)}})
	for _, h := range []*fibersession.Handle{h, handleOf(t, newStore(t, cfg), h.ID())} {
		if v, err := fibersession.Value[float64](h, "price"); v != 20 || err != nil {
			t.Errorf("20.0: got %v, %v", v, err)
		}
		if v, err := fibersession.Value[uint64](h, "big"); v != math.MaxUint64 || err != nil {
			t.Errorf("the largest uint64: got %v, %v", v, err)
		}
		if v, err := fibersession.Value[int64](h, "large"); v != math.MinInt64 || err != nil {
			t.Errorf("the smallest int64: got %v, %v", v, err)
		}
		if v, err := fibersession.Value[rank](h, "rank"); v != 3 || err != nil {
			t.Errorf("a named type: got %v, %v", v, err)
		}
		if v, err := fibersession.Value[int](h, "half"); !errors.Is(err, fibersession.ErrType) {
			t.Errorf("0.5 as an int: got %v, %v; want ErrType", v, err)
		}
		if got := h.Get("nested"); !reflect.DeepEqual(got, []any{uint64(math.MaxUint64)}) {
			t.Errorf("nested: got %#v", got)
		}
	}
	if n, err := h.Incr(ctx, "price", 1); n != 21 || err != nil {
		t.Errorf("Incr of 20.0: got %d, %v; want 21", n, err)
	}
	if _, err := h.Incr(ctx, "big", 1); !errors.Is(err, fibersession.ErrNotInteger) {
		t.Errorf("Incr of the largest uint64: got %v, want ErrNotInteger", err)
	}
}
