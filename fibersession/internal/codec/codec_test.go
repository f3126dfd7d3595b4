package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

type registered struct {
	Name string
	Tags map[string][]int
	Next *registered
}

type pair [2]string

type role string

func typedCodec() *codec.Typed {
	c := new(codec.Typed)
	c.Register(registered{})
	c.Register(&registered{})
	c.Register([]registered{})
	c.Register(pair{})
	c.Register(role(""))
	return c
}

// everyType returns a value of each type that Typed keeps.
func everyType() map[string]any {
	nested := any("deep")
	for range 60 {
		nested = []any{nested}
	}
	return map[string]any{
		"nil": nil, "true": true, "false": false, "string": "héllo\x00\xff", "empty": "",
		"int": math.MinInt, "int8": int8(-128), "int16": int16(math.MaxInt16), "int32": int32(math.MinInt32), "int64": int64(math.MaxInt64),
		"uint": uint(math.MaxUint), "uint8": uint8(255), "uint16": uint16(1), "uint32": uint32(math.MaxUint32), "uint64": uint64(math.MaxUint64), "uintptr": uintptr(9),
		"float32": float32(1.5), "float64": math.Inf(-1), "tiny": math.SmallestNonzeroFloat64,
		"complex64": complex64(complex(1, -2)), "complex128": complex(math.MaxFloat64, 0.1),
		"bytes": []byte{0, 1, 255}, "no bytes": []byte{}, "nil bytes": []byte(nil),
		"time": time.Date(2026, 11, 21, 1, 2, 3, 456, time.UTC), "zone": time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), "zero time": time.Time{},
		"duration": time.Duration(-5),
		"strings":  []string{"a", "", "c"}, "no strings": []string{}, "nil strings": []string(nil),
		"ints": []int{1, -1}, "int8s": []int8{1}, "bools": []bool{true, false}, "floats": []float64{1.5}, "durations": []time.Duration{1}, "times": []time.Time{time.Unix(5, 0).UTC()},
		"anys":    []any{1, "a", nil, []any{true}, map[string]any{"x": int16(1)}},
		"map":     map[string]any{"a": 1, "b": []string{"x"}, "nil": nil},
		"strmap":  map[string]string{"a": "b"},
		"intmap":  map[int]string{-1: "b"},
		"boolmap": map[bool][]int{true: {1}},
		"nilmap":  map[string]int(nil), "no map": map[string]int{},
		"nested": nested, "matrix": [][]int{{1}, nil, {}}, "deepmap": map[string]map[string][]any{"a": {"b": {1}}}, "bytess": [][]byte{{1}, nil},
		"struct": registered{Name: "a", Tags: map[string][]int{"x": {1}}, Next: &registered{Name: "b"}},
		"ptr":    &registered{Name: "p"}, "structs": []registered{{Name: "q"}}, "array": pair{"a", "b"}, "named": role("admin"),
		"in any": []any{registered{Name: "in"}, role("x")},
	}
}

func TestTyped_KeepsTypes(t *testing.T) {
	t.Parallel()
	c := typedCodec()
	for name, v := range everyType() {
		data, err := c.Encode(map[string]any{"key": v})
		if err != nil {
			t.Errorf("%s: Encode got %v, want nil", name, err)
			continue
		}
		back, err := c.Decode(data)
		if err != nil || !reflect.DeepEqual(back, map[string]any{"key": v}) {
			t.Errorf("%s: Decode got error %v\ngot  %#v\nwant %#v", name, err, back["key"], v)
		}
	}
	nan, err := c.Encode(map[string]any{"nan": math.NaN()})
	must(t, err)
	if back, err := c.Decode(nan); err != nil || !math.IsNaN(back["nan"].(float64)) {
		t.Errorf("NaN: got %v, %v; want NaN", back, err)
	}
}

// Decode rejects every truncation of a valid message, and panics for none.
func TestTyped_EveryTruncation(t *testing.T) {
	t.Parallel()
	c := typedCodec()
	for name, v := range everyType() {
		data, err := c.Encode(map[string]any{"key": v})
		must(t, err)
		for n := range data {
			if _, err := c.Decode(data[:n]); err == nil {
				t.Errorf("%s: Decode accepted %d of %d bytes", name, n, len(data))
			}
		}
		if _, err := c.Decode(append(data, 0)); err == nil {
			t.Errorf("%s: Decode accepted a trailing byte", name)
		}
	}
}

// Decode rejects hostile data without large allocations. The test is not parallel because it
// measures the allocations of the whole process.
func TestTyped_RefusesHostileData(t *testing.T) {
	big := func(prefix ...byte) []byte { return append(prefix, 0xff, 0xff, 0xff, 0xff, 0x0f) }
	nested := one()
	for range 200 {
		nested = append(nested, 21, 23, 2) // a []any of one element
	}
	nested = append(nested, 0)
	types := one()
	for range 100 {
		types = append(types, 21)
	}
	types = append(types, 2, 0) // of int; the value is nil
	lengths := one()            // nested lengths, each as large as the rest of the data
	for range 20 {
		lengths = append(lengths, 21, 23, 0xff, 0x1f)
	}
	lengths = append(lengths, make([]byte, 4096)...)
	tests := map[string][]byte{
		"empty":                  {},
		"4 G keys":               big(),
		"a 4 G key":              big(1),
		"a 4 G string":           one(big(17)...),
		"4 G bytes":              one(big(18)...),
		"4 G strings":            one(big(21, 17)...),
		"a 4 G map":              one(big(22, 17, 17)...),
		"a 4 G gob":              one(big(24, 0)...),
		"an endless varint":      one(append([]byte{2}, bytes.Repeat([]byte{0xff}, 20)...)...),
		"an unknown tag":         one(99),
		"an any outside a slice": one(23),
		"a bool of 2":            one(1, 2),
		"an int8 of 200":         one(3, 0x90, 3),
		"a uint8 of 300":         one(8, 0xac, 2),
		"bytes as a slice":       one(21, 8, 1),
		"a map keyed by floats":  one(22, 14, 17, 1),
		"a map keyed by slices":  one(22, 21, 17, 17, 1),
		"a key twice":            {2, 1, 'k', 0, 1, 'k', 0},
		"a map's key twice":      one(22, 17, 2, 3, 1, 'a', 2, 1, 'a', 2),
		"values too deep":        nested,
		"types too deep":         types,
		"nested lengths":         lengths,
		"an unregistered type":   one(24, 7, 'o', 's', '.', 'F', 'i', 'l', 'e', 0),
		"a bad time":             one(19, 3, 9, 9, 9),
		"invalid gob":            one(append([]byte{24, byte(len(registeredName))}, append([]byte(registeredName), 2, 1, 1)...)...),
		"gob of another type":    one(append([]byte{24, byte(len(registeredName))}, append([]byte(registeredName), gobOf("string")...)...)...),
		"gob of 1 G":             one(append([]byte{24, byte(len(registeredName))}, append([]byte(registeredName), 6, 0xfc, 0x3f, 0xff, 0xff, 0xff, 0xff)...)...),
	}
	c := typedCodec()
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := c.Decode(data)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("got %v, want an error", v)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("decoding %d bytes allocated %d, want at most 1 MiB", len(data), got)
			}
		})
	}
}

const registeredName = "github.com/fiberbridge/fiberbridge/fibersession/internal/codec_test.registered"

func gobOf(v any) []byte {
	var b bytes.Buffer
	_ = gob.NewEncoder(&b).Encode(v)
	return append([]byte{byte(b.Len())}, b.Bytes()...)
}

// Data that decodes can be encoded again, and decodes to the same values.
func FuzzTyped(f *testing.F) {
	c := typedCodec()
	for key, v := range everyType() {
		data, err := c.Encode(map[string]any{key: v})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{2, 1, 'k', 0, 1, 'k', 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := c.Decode(data)
		if err != nil {
			return
		}
		again, err := c.Encode(values)
		if err != nil {
			t.Fatalf("Encode of the decoded %#v: got %v, want nil", values, err)
		}
		back, err := c.Decode(again)
		if err != nil || fmt.Sprintf("%#v", plain(back)) != fmt.Sprintf("%#v", plain(values)) {
			t.Errorf("second Decode got error %v\ngot  %#v\nwant %#v", err, back, values)
		}
	})
}

// one encodes one value of Typed by hand.
func one(value ...byte) []byte { return append([]byte{1, 1, 'k'}, value...) }

// form encodes a value of Typed in a form that has a name and a content.
func form(tag byte, name, content string) []byte {
	b := append(binary.AppendUvarint([]byte{tag}, uint64(len(name))), name...)
	return append(binary.AppendUvarint(b, uint64(len(content))), content...)
}

// A value that this build cannot decode is kept byte for byte, also if only a part of it is of an
// unknown type, and the other keys are decoded.
func TestF6_TypedKeepsUnknownValues(t *testing.T) {
	t.Parallel()
	c := typedCodec()
	panics := gobOf(panicky{})[1:]
	c.Register(panicky{})
	for name, tt := range map[string]struct {
		value []byte
		typ   string
	}{
		"an unregistered type":          {form(24, "os.File", "\x03\x04\x00\x02"), "os.File"},
		"a type gone from the registry": {form(25, "main.Gone", string(withoutType(t, interfaceOf(t, profile{}), profileName))), "main.Gone"},
		"another type by the name":      {form(24, registeredName, string(gobOf("string")[1:])), registeredName},
		"no gob":                        {form(24, registeredName, "\x01"), registeredName},
		"a form of the next version":    {form(26, "main.New", "\x00\x01"), "main.New"},
		"a form of a later version":     {form(255, "", ""), ""},
		"in a list":                     {append([]byte{21, 23, 3, 2, 2}, form(24, "os.File", "x")...), "os.File"},
		"in a map":                      {append([]byte{22, 17, 23, 2, 1, 'a'}, form(77, "main.New", "x")...), "main.New"},
		"GobDecode panics":              {form(24, "github.com/fiberbridge/fiberbridge/fibersession/internal/codec_test.panicky", string(panics)), "github.com/fiberbridge/fiberbridge/fibersession/internal/codec_test.panicky"},
	} {
		data := append([]byte{2, 1, 'k'}, tt.value...)
		data = append(data, 1, 'n', 2, 14)
		values, err := codec.Decode(c, data)
		if err != nil {
			t.Errorf("%s: Decode got %v, want nil", name, err)
			continue
		}
		s := codec.Undecodable(values["k"])
		if s == nil || s.Type() != tt.typ || s.Err() == nil || strings.Contains(s.Err().Error(), "secret") || codec.Value(values["k"]) != nil || values["n"] != 7 {
			t.Errorf("%s: got %#v and n = %v, want a kept value of %s and 7", name, values["k"], values["n"], tt.typ)
			continue
		}
		again, err := codec.Encode(c, map[string]any{"k": values["k"]})
		if err != nil || !bytes.Equal(again, one(tt.value...)) {
			t.Errorf("%s: got %x, %v; want %x", name, again, err, one(tt.value...))
		}
		if v, err := c.Decode(data); err == nil { // what applications call
			t.Errorf("%s: Typed.Decode got %v, want an error", name, v)
		}
		for n := range data {
			if _, err := codec.Decode(c, data[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes were accepted", name, n, len(data))
			}
		}
	}
}

type panicky struct{}

func (panicky) GobEncode() ([]byte, error) { return []byte("x"), nil }
func (*panicky) GobDecode([]byte) error    { panic("secret of a value") }

// interfaceOf returns the gob stream of v as an interface's value.
func interfaceOf(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, gob.NewEncoder(&b).Encode(&v))
	return b.Bytes()
}

// Values that were kept decode to the same, and are written with the same bytes.
func FuzzTypedKept(f *testing.F) {
	c := typedCodec()
	for key, v := range everyType() {
		data, err := c.Encode(map[string]any{key: v})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(one(form(25, "main.Gone", string(withoutType(f, interfaceOf(f, profile{}), profileName)))...))
	f.Add(one(append([]byte{21, 23, 3, 2, 2}, form(99, "os.File", "x")...)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := codec.Decode(c, data)
		if err != nil {
			return
		}
		again, err := codec.Encode(c, values)
		if err != nil {
			t.Fatalf("Encode of the decoded %#v: got %v, want nil", values, err)
		}
		back, err := codec.Decode(c, again)
		if err != nil || len(back) != len(values) {
			t.Fatalf("second Decode: got %d values and %v, want %d", len(back), err, len(values))
		}
		for key, v := range values {
			if _, kept := v.(*codec.Stored); !kept {
				continue
			}
			if same, _ := codec.SameBytes(v, back[key]); !same {
				t.Errorf("%q: got %#v, want the same bytes as %#v", key, back[key], v)
			}
		}
	})
}

// plain formats the values without the pointers in them, which %v would print as addresses.
func plain(values map[string]any) map[string]string {
	p := make(map[string]string)
	for k, v := range values {
		if t := reflect.TypeOf(v); t != nil && strings.Contains(t.String(), "registered") {
			v = t.String()
		}
		p[k] = fmt.Sprintf("%T %v", v, v)
	}
	return p
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var c codec.Codec = codec.JSON{}
	data, err := c.Encode(map[string]any{"i": 5, "neg": -7, "f": 1.5, "big": uint64(math.MaxUint64), "s": "a", "n": nil, "l": []int{1}, "m": map[string]any{"x": 2}, "e": 1e3})
	must(t, err)
	got, err := c.Decode(data)
	must(t, err)
	want := map[string]any{"i": 5, "neg": -7, "f": 1.5, "big": uint64(math.MaxUint64), "s": "a", "n": nil, "l": []any{1}, "m": map[string]any{"x": 2}, "e": 1000}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
	for name, bad := range map[string]string{
		"empty": "", "a list": "[]", "null": "null", "truncated": `{"a":1`, "a trailing brace": `{"a":1} {`, "a trailing value": `{"a":1}2`,
		"too deep": `{"a":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, "a number out of range": `{"a":1e999}`,
	} {
		if v, err := c.Decode([]byte(bad)); err == nil {
			t.Errorf("%s: got %v, want an error", name, v)
		}
	}
	for name, ok := range map[string]string{
		"the maximum depth":    `{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		"brackets in a string": `{"a":"` + strings.Repeat("[", 100) + `\"` + strings.Repeat("{", 100) + `"}`,
		"surrounding spaces":   " {} \n",
	} {
		if _, err := c.Decode([]byte(ok)); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
	}
	if _, err := c.Encode(map[string]any{"ok": 1, "bad": make(chan int)}); !errors.Is(err, codec.ErrUnsupportedType) || !strings.Contains(err.Error(), `"bad" holds a chan int`) {
		t.Errorf("a channel: got %v, want ErrUnsupportedType that names the key", err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x",null,{"b":true}],"big":18446744073709551615,"e":1e3}`))
	f.Add([]byte(`{"a":-0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := codec.JSON{}.Decode(data)
		if err != nil {
			return
		}
		again, err := codec.JSON{}.Encode(values)
		if err != nil {
			t.Fatalf("Encode of the decoded %#v: got %v, want nil", values, err)
		}
		back, err := codec.JSON{}.Decode(again)
		if err != nil || !reflect.DeepEqual(back, values) {
			t.Errorf("second Decode got error %v\ngot  %#v\nwant %#v", err, back, values)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
