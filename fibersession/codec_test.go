package fibersession_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

func TestTyped_Unsupported(t *testing.T) {
	t.Parallel()
	type unknown struct{ A int }
	type names []string
	cycle := map[string]any{}
	cycle["self"] = cycle
	deep := any(1)
	for range 70 {
		deep = []any{deep}
	}
	wide := any(1)
	for range 60 { // 2^60 values if each one were encoded
		wide = []any{wide, wide}
	}
	tests := map[string]struct {
		v    any
		err  error
		want string // part of the message
	}{
		"a struct":                    {unknown{}, fibersession.ErrUnsupportedType, "RegisterType(fibersession_test.unknown{})"},
		"a pointer":                   {new(unknown), fibersession.ErrUnsupportedType, "RegisterType(&fibersession_test.unknown{})"},
		"a named type":                {names{"a"}, fibersession.ErrUnsupportedType, "fibersession_test.names"},
		"a channel":                   {make(chan int), fibersession.ErrUnsupportedType, "chan int"},
		"a function":                  {func() {}, fibersession.ErrUnsupportedType, "func()"},
		"an array":                    {[2]int{}, fibersession.ErrUnsupportedType, "[2]int"},
		"in a slice":                  {[]unknown{{}}, fibersession.ErrUnsupportedType, "[]fibersession_test.unknown"},
		"in a map":                    {map[string]*int{}, fibersession.ErrUnsupportedType, "map[string]*int"},
		"in an any":                   {[]any{1, unknown{}}, fibersession.ErrUnsupportedType, "fibersession_test.unknown"},
		"a float key":                 {map[float64]int{}, fibersession.ErrUnsupportedType, "map[float64]int"},
		"a struct key":                {map[unknown]int{}, fibersession.ErrUnsupportedType, "map[fibersession_test.unknown]int"},
		"an interface other than any": {[]error{nil}, fibersession.ErrUnsupportedType, "[]error"},
		"a type too deep":             {[][][][][][][][][]int{}, fibersession.ErrUnsupportedType, "[][]"},
		"too deep":                    {deep, fibersession.ErrTooLarge, "deeper"},
		"a cycle":                     {cycle, fibersession.ErrTooLarge, "deeper"},
		"exponentially large":         {wide, fibersession.ErrTooLarge, ""},
	}
	s := newStore(t, fibersession.Config{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := storedSession(t, s, map[string]any{"key": "old"})
			before := s.Stats().Writes
			h.Set("key", tt.v)
			h.Set("other", 1)
			err := h.Save(ctx)
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"key"`) {
				t.Errorf("got %v, want %v that names %q and the key", err, tt.err, tt.want)
			}
			if s.Stats().Writes != before {
				t.Error("the failed Save wrote to the storage")
			}
			must(t, h.Reload(ctx))
			if h.Get("key") != "old" || h.Get("other") != nil {
				t.Errorf("after Reload: got key = %v and other = %v, want \"old\" and nil", h.Get("key"), h.Get("other"))
			}
		})
	}
}

// With a codec that does not keep types, handles see the decoded form right after Save.
func TestJSON_HandlesSeeTheDecodedForm(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Codec: fibersession.JSON{}})
	type user struct {
		Name string `json:"name"`
	}
	h := storedSession(t, s, map[string]any{"user": user{"eve"}, "n": 1})
	want := map[string]any{"name": "eve"}
	if got := h.Get("user"); !reflect.DeepEqual(got, want) {
		t.Errorf("after Save: got %#v, want %#v", got, want)
	}
	id := h.ID()
	h.Release()
	again := handleOf(t, s, id)
	if got := again.Get("user"); !reflect.DeepEqual(got, want) {
		t.Errorf("from the store: got %#v, want %#v", got, want)
	}
	if n, err := again.Incr(ctx, "n", 1); n != 2 || err != nil || again.Get("n") != 2 {
		t.Errorf("Incr: got %d, %v; want 2", n, err)
	}
}

type panicky struct{}

func (panicky) MarshalJSON() ([]byte, error) { panic("secret of a value") }

// If a method of a user's type panics in Encode, Save returns an error and the next Save of the
// session works.
func TestCodec_Panics(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Codec: fibersession.JSON{}})
	h := storedSession(t, s, map[string]any{"n": 1})
	f := h.Fork()
	f.Set("bad", panicky{})
	if err := f.Save(ctx); err == nil {
		t.Error("got nil, want an error")
	}
	h.Set("n", 2)
	must(t, h.Save(ctx))
}
