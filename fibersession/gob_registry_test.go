package fibersession_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2/middleware/csrf"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

type (
	gobUser struct {
		Name   string
		Boss   *gobUser
		Extra  any
		hidden int
	}
	gobByPointer struct{ Name string }
	gobOnly      struct{ Name string }
	gobUUID      [16]byte
	gobLevel     int
	gobOwn       struct{ text string }
)

func (o gobOwn) GobEncode() ([]byte, error)   { return []byte(o.text), nil }
func (o *gobOwn) GobDecode(data []byte) error { o.text = string(data); return nil }

// afterFiber returns v as Fiber's middleware/session gives it back in the next request.
func afterFiber(t *testing.T, v any) any {
	t.Helper()
	var b bytes.Buffer
	var got map[string]any
	must(t, gob.NewEncoder(&b).Encode(&map[string]any{"key": v}))
	must(t, gob.NewDecoder(&b).Decode(&got))
	return got["key"]
}

// F2: what Fiber's sessions store, ours store, and Get returns what it returns there: right after
// the save, on this node and on another.
func TestF2_GobRegistry(t *testing.T) {
	t.Parallel()
	for _, v := range []any{gobOnly{}, gobUUID{}, gobLevel(0), gobOwn{}, []gobOnly{}, []*gobOnly{}, map[string]*gobOnly{}, map[gobUUID]gobLevel{}, csrf.Token{}, [3]int{}, time.Time{}} {
		gob.Register(v) // by another package, without RegisterType
	}
	five := 5
	overStorages(t, func(t *testing.T, st storage.Storage) {
		t.Run("nodes", func(t *testing.T) {
			here, there := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
			for _, s := range []*fibersession.Store{here, there} {
				s.RegisterType(gobUser{})
				s.RegisterType(&gobByPointer{})
			}
			boss := &gobUser{Name: "boss", Extra: gobLevel(2)}
			for name, v := range map[string]any{
				"a struct": gobUser{Name: "ada", Boss: boss, hidden: 7}, "a pointer to a registered struct": &gobUser{Name: "ada", Boss: boss},
				"a type registered by pointer": &gobByPointer{"p"}, "a value of a type registered by pointer": gobByPointer{"p"},
				"a struct of gob only": gobOnly{"g"}, "a pointer to it": &gobOnly{"g"}, "a pointer to a pointer": ptr(&gobOnly{"g"}),
				"a UUID": gobUUID{1, 2}, "a pointer to a UUID": &gobUUID{3}, "a named int": gobLevel(-4), "a type with GobEncode": gobOwn{"own"},
				"a slice": []gobOnly{{"a"}, {}}, "a slice of pointers": []*gobOnly{{"a"}}, "a map": map[string]*gobOnly{"a": {"b"}}, "a map by UUID": map[gobUUID]gobLevel{{1}: 2},
				"the token of csrf": &csrf.Token{Key: "k", Raw: []byte{1}, Expiration: time.Unix(5, 0).UTC()}, "an array": [3]int{1, 2, 3}, "a pointer to an int": &five,
			} {
				t.Run(name, func(t *testing.T) {
					want := afterFiber(t, v)
					h := storedSession(t, here, map[string]any{"key": v, "n": 0})
					for range 2 {
						if got := h.Get("key"); !reflect.DeepEqual(got, want) {
							t.Errorf("after Save: got %#v, want %#v", got, want)
						}
						if got := handleOf(t, there, h.ID()).Get("key"); !reflect.DeepEqual(got, want) {
							t.Errorf("on the other node: got %#v, want %#v", got, want)
						}
						if _, err := h.Incr(ctx, "n", 1); err != nil {
							t.Error(err)
						}
					}
					inside := storedSession(t, here, map[string]any{"key": []any{v, map[string]any{"in": v}}}) // which Fiber refuses
					if got, want := handleOf(t, there, inside.ID()).Get("key"), []any{want, map[string]any{"in": want}}; !reflect.DeepEqual(got, want) {
						t.Errorf("in other values: got %#v, want %#v", got, want)
					}
				})
			}
			h := storedSession(t, here, map[string]any{"user": &gobUser{Name: "ada"}})
			if u, err := fibersession.Value[gobUser](h, "user"); err != nil || u.Name != "ada" {
				t.Errorf("Value: got %+v, %v; want ada", u, err)
			}
			u := h.Get("user").(gobUser)
			u.Boss = boss
			if again := h.Get("user").(gobUser); again.Boss != nil {
				t.Error("a change of what Get returned changed the session")
			}
		})
	})
}

func ptr[T any](v T) *T { return &v }

// A value that cannot be stored is an error that names the key, the type and the line to add. A
// cycle, which would end the process in gob, is an error too.
func TestF2_GobRefuses(t *testing.T) {
	t.Parallel()
	type missing struct{ Name string }
	gob.Register(gobCycle{})
	cycle := &gobCycle{}
	cycle.Next = cycle
	long := &gobCycle{}
	for range 2000 {
		long = &gobCycle{Next: long}
	}
	wide := []any{1}
	for range 40 {
		wide = []any{wide, wide}
	}
	for builtin, s := range map[string]*fibersession.Store{
		"typed": newStore(t, fibersession.Config{}), "builtin": newStore(t, fibersession.Config{Builtin: true}),
	} {
		for name, tt := range map[string]struct {
			v    any
			err  error
			want string
		}{
			"a struct":            {missing{}, fibersession.ErrUnsupportedType, "RegisterType(fibersession_test.missing{})"},
			"a pointer":           {&missing{}, fibersession.ErrUnsupportedType, "RegisterType(&fibersession_test.missing{})"},
			"a slice":             {[]missing{{}}, fibersession.ErrUnsupportedType, "RegisterType([]fibersession_test.missing{})"},
			"inside a struct":     {gobCycle{Any: missing{}}, fibersession.ErrUnsupportedType, "not registered for interface: fibersession_test.missing"},
			"a nil pointer":       {(*gobCycle)(nil), fibersession.ErrUnsupportedType, "nil pointer"},
			"a channel":           {make(chan int), fibersession.ErrUnsupportedType, "no session can store"},
			"a cycle":             {cycle, fibersession.ErrTooLarge, "refers to itself"},
			"a list of 2,000":     {long, fibersession.ErrTooLarge, "deeper"},
			"exponentially large": {gobCycle{Any: wide}, fibersession.ErrTooLarge, "larger"},
		} {
			t.Run(fmt.Sprint(builtin, "/", name), func(t *testing.T) {
				h := storedSession(t, s, map[string]any{"n": 1})
				h.Set("key", tt.v)
				err := h.Save(ctx)
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"key"`) {
					t.Errorf("got %v, want %v with %q and the key", err, tt.err, tt.want)
				}
			})
		}
	}
}

type gobCycle struct {
	Next *gobCycle
	Any  any
}
