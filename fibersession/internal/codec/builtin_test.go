package codec_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

// profile, address and level stand for types of an application. A blob in which one of their
// names is replaced by goneName is a blob of a build that has another type.
type profile struct {
	Name  string
	Homes []address
	Extra map[string]any
	Any   any
	Next  *profile
}

type address struct {
	Street string
	At     [2]float64
}

type level int

// token encodes itself, as uuid.UUID does.
type token [16]byte

func (t token) MarshalBinary() ([]byte, error) { return t[:], nil }
func (t *token) UnmarshalBinary(b []byte) error {
	if copy(t[:], b) != len(t) {
		return errors.New("bad token")
	}
	return nil
}

const goneName = "gonegon"

func init() {
	for _, v := range []any{profile{}, address{}, level(0), token{}, time.Time{}, []profile{}, map[string]address{}, []any{}, map[string]any{}} {
		gob.Register(v)
	}
}

// fiberBlob returns what Fiber's middleware/session stores for these values.
func fiberBlob(t testing.TB, values map[string]any) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, gob.NewEncoder(&b).Encode(&values))
	return b.Bytes()
}

// withoutType returns a blob as a build stored it that has a type of another name.
func withoutType(t testing.TB, data []byte, name string) []byte {
	t.Helper()
	gone := name[:len(name)-len(goneName)] + goneName
	if !bytes.Contains(data, []byte(name)) {
		t.Fatalf("the blob has no type %s", name)
	}
	return bytes.ReplaceAll(data, []byte(name), []byte(gone))
}

const (
	profileName = "codec_test.profile"
	addressName = "codec_test.address"
)

func blobValues() map[string]any {
	deep := profile{Name: "deep"}
	for range 20 {
		next := deep
		deep = profile{Name: "n", Next: &next, Any: next.Name}
	}
	return map[string]any{
		"int": 5, "text": "héllo\x00", "bytes": []byte{1, 2}, "strings": []string{"a", ""}, "float": 1.5, "bool": true, "complex": 1 + 2i,
		"time": time.Unix(5, 0).UTC(), "uint64": uint64(1<<64 - 1), "level": level(-7), "token": token{1, 2, 3},
		"map":     map[string]any{"a": 1, "b": []any{"x", address{Street: "s"}}},
		"address": address{"Main", [2]float64{1, -2}}, "homes": map[string]address{"a": {Street: "b"}},
		"profile":  profile{Name: "Ada", Homes: []address{{Street: "1"}, {}}, Extra: map[string]any{"in": address{Street: "2"}, "n": 1}, Any: []any{level(3), profile{Name: "in"}}},
		"profiles": []profile{{Name: "p"}, {Any: address{}}}, "deep": deep, "empty": profile{},
	}
}

// DecodeBuiltin decodes everything that Fiber stores, and costs of a blob with an unknown type
// only the values that have the type.
func TestF6_DecodeBuiltin(t *testing.T) {
	t.Parallel()
	want := blobValues()
	blob := fiberBlob(t, want)
	got, skipped, err := codec.DecodeBuiltin(blob)
	if err != nil || skipped != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got error %v, skipped %q\ngot  %#v\nwant %#v", err, skipped, got, want)
	}
	for name, lost := range map[string][]string{
		profileName: {"deep", "empty", "profile"},
		addressName: {"address", "map", "profile", "profiles"}, // also where it is nested in an any
	} {
		if name == addressName {
			lost = append(lost, "homes")
		} else {
			lost = append(lost, "profiles")
		}
		slices.Sort(lost)
		got, skipped, err := codec.DecodeBuiltin(withoutType(t, blob, name))
		if err != nil || !slices.Equal(skipped, lost) {
			t.Fatalf("without %s: got error %v and skipped %q, want %q", name, err, skipped, lost)
		}
		for key, v := range want {
			if !slices.Contains(lost, key) && !reflect.DeepEqual(got[key], v) {
				t.Errorf("without %s: %s: got %#v, want %#v", name, key, got[key], v)
			}
		}
		if len(got)+len(lost) != len(want) {
			t.Errorf("without %s: got %d values, want %d", name, len(got), len(want)-len(lost))
		}
	}
}

// A save writes back values of unknown types so that a build that has the types decodes them,
// whatever the numbers of types in the blobs are.
func TestF6_BuiltinWritesBackUnknownValues(t *testing.T) {
	t.Parallel()
	want := blobValues()
	for _, name := range []string{profileName, addressName} {
		values, err := codec.Decode(codec.Builtin{}, withoutType(t, fiberBlob(t, want), name))
		must(t, err)
		for round := range 3 { // also what was written back is written back
			values["new"] = map[string]any{"round": round}
			values["mine"] = []any{level(round)}
			data, err := codec.Encode(codec.Builtin{}, values)
			must(t, err)
			if values, err = codec.Decode(codec.Builtin{}, data); err != nil {
				t.Fatal(err)
			}
			known := bytes.ReplaceAll(data, []byte(name[:len(name)-len(goneName)]+goneName), []byte(name))
			var got map[string]any // as Fiber decodes it
			must(t, gob.NewDecoder(bytes.NewReader(known)).Decode(&got))
			for key, v := range want {
				if !reflect.DeepEqual(got[key], v) {
					t.Errorf("%s, round %d: %s: got %#v, want %#v", name, round, key, got[key], v)
				}
			}
			if !reflect.DeepEqual(got["mine"], []any{level(round)}) || len(got) != len(want)+2 {
				t.Errorf("%s, round %d: got %d values and mine = %v", name, round, len(got), got["mine"])
			}
		}
	}
}

// The size of a session stays the same, however often a node writes back what it does not know.
func TestF6_BuiltinDoesNotGrow(t *testing.T) {
	t.Parallel()
	all := map[string]any{}
	for i := range 20 {
		all[fmt.Sprint("p", i)] = profile{Name: "Ada", Homes: []address{{}}}
	}
	blob := withoutType(t, fiberBlob(t, all), profileName)
	size := 0
	for range 4 {
		values, err := codec.Decode(codec.Builtin{}, blob)
		must(t, err)
		blob, err = codec.Encode(codec.Builtin{}, values)
		must(t, err)
		if size == 0 {
			size = len(blob)
		}
		if len(blob) > size+8 {
			t.Fatalf("got %d bytes, want %d as after the first save", len(blob), size)
		}
	}
	if first := len(fiberBlob(t, all)); size > first+100 {
		t.Errorf("got %d bytes, want about the %d of Fiber", size, first)
	}
}

// Blobs that are no session of Fiber are errors.
func TestF6_DecodeBuiltinRefuses(t *testing.T) {
	t.Parallel()
	blob := fiberBlob(t, blobValues())
	nested := any("x")
	for range 2000 {
		nested = []any{nested}
	}
	tests := map[string][]byte{
		"empty": {}, "text": []byte("user=ada"), "JSON": []byte(`{"a":1}`), "a session of ours": []byte("fbs\x02" + strings.Repeat("\x00", 120)),
		"a struct": gobOf(profile{})[1:], "a string": gobOf("x")[1:], "another map": gobOf(map[string]string{"a": "b"})[1:],
		"nested too deep": fiberBlob(t, map[string]any{"a": nested}),
		"a 1 G message":   {0xfc, 0x3f, 0xff, 0xff, 0xff, 1},
		"a 4 G map":       append(bytes.Clone(blob[:14]), 12, 0xff, 0x80, 0, 0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a', 0),
	}
	for name, data := range tests {
		if values, skipped, err := codec.DecodeBuiltin(data); err == nil {
			t.Errorf("%s: got %v, skipped %q; want an error", name, values, skipped)
		}
	}
	for n := range blob {
		if _, _, err := codec.DecodeBuiltin(blob[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(blob))
		}
	}
}

// What decodes with values of unknown types can be encoded again and decodes to the same, in
// particular to the same bytes of those values.
func FuzzBuiltin(f *testing.F) {
	for key, v := range blobValues() {
		f.Add(fiberBlob(f, map[string]any{key: v}))
	}
	blob := fiberBlob(f, blobValues())
	f.Add(blob)
	f.Add(withoutType(f, blob, profileName))
	f.Add(withoutType(f, blob, addressName))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := codec.Decode(codec.Builtin{}, data)
		if err != nil {
			return
		}
		for key, v := range values {
			if v == nil { // gob decodes a nil that it does not encode
				delete(values, key)
			}
		}
		again, err := codec.Encode(codec.Builtin{}, values)
		if err != nil {
			if errors.Is(err, codec.ErrUnsupportedType) { // such as a nil in a slice of interfaces
				return
			}
			t.Fatalf("Encode of the decoded %#v: got %v, want nil", values, err)
		}
		back, err := codec.Decode(codec.Builtin{}, again)
		if err != nil {
			t.Fatalf("second Decode of %x, first %x: got %v, want nil", again, data, err)
		}
		if len(back) != len(values) {
			t.Errorf("second Decode: got %d values, want %d", len(back), len(values))
		}
		for key, v := range values {
			if (codec.Undecodable(v) != nil) != (codec.Undecodable(back[key]) != nil) {
				t.Errorf("%q: got %#v, want %#v", key, back[key], v)
			}
		}
	})
}
