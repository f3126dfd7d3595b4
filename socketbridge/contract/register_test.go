package contract_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/emitter"
)

// Notices and questions go through all that sends.
var (
	_ = []contract.Emitter{
		&socketbridge.Server{}, &socketbridge.Namespace{}, &socketbridge.Socket{}, socketbridge.Broadcast{}, socketbridge.User{},
		socketbridge.RemoteSocket{}, socketbridge.Emitter{}, emitter.Namespace{},
	}
	_ = []contract.Asker{&socketbridge.Socket{}, socketbridge.RemoteSocket{}, socketbridge.Emitter{}}
)

// TestM1_Registrars: a typed handler can be registered wherever plain ones can, beside them,
// and after middlewares.
func TestM1_Registrars(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, namespace string
		setup           func(io *socketbridge.Server, handle func(on socketbridge.Registrar))
	}{
		{"server", "/", func(io *socketbridge.Server, handle func(socketbridge.Registrar)) { handle(io) }},
		{"namespace", "/chat", func(io *socketbridge.Server, handle func(socketbridge.Registrar)) { handle(io.Of("/chat")) }},
		{"socket", "/", func(io *socketbridge.Server, handle func(socketbridge.Registrar)) {
			io.OnConnection(func(s *socketbridge.Socket) { handle(s) })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t)
			var mu sync.Mutex
			var happened []string
			note := func(what string) { mu.Lock(); happened = append(happened, what); mu.Unlock() }
			step := func(name string) socketbridge.Handler {
				return func(p *socketbridge.Packet) error {
					note(name)
					if string(p.Args()[0]) == "13" {
						return &socketbridge.EventError{Code: "unlucky"}
					}
					return p.Next()
				}
			}
			tt.setup(io, func(on socketbridge.Registrar) {
				chain := contract.Use(on, step("a"))
				Double.Handle(contract.Use(chain, step("b")), func(_ *socketbridge.Packet, n int) (int, error) { note("typed"); return 2 * n, nil })
				contract.Event[string, contract.None]("other").Handle(chain, func(*socketbridge.Packet, string) (contract.None, error) {
					note("other")
					return contract.None{}, nil
				})
				plain := func(*socketbridge.Packet) error { note("plain"); return nil }
				switch on := on.(type) {
				case *socketbridge.Server:
					on.On("double", plain)
				case *socketbridge.Namespace:
					on.On("double", plain)
				case *socketbridge.Socket:
					on.On("double", plain)
				}
			})
			c := bridgetest.Dial(t, io)
			if tt.namespace != "/" {
				c = c.Join(tt.namespace)
			}
			c.Ask("double", 4).Want(8)
			c.Ask("double", 13).WantError("unlucky")
			c.Ask("double", "x").WantError(contract.CodeInvalidArgument)
			c.Ask("other", "x").Want()
			c.Emit("double", 5) // wants no answer
			c.Settle()
			mu.Lock()
			defer mu.Unlock()
			want := []string{"a", "b", "typed", "plain", "a", "plain", "a", "b", "plain", "a", "other", "a", "b", "typed", "plain"}
			if !slices.Equal(happened, want) {
				t.Errorf("got %v, want %v", happened, want)
			}
		})
	}
}

// TestM1_Races: many clients, on handlers of one type that is used for the first time.
func TestM1_Races(t *testing.T) {
	t.Parallel()
	type fresh struct {
		Items []Item         `json:"items" validate:"dive"`
		By    map[string]int `json:"by"`
	}
	io := newServer(t)
	const event = contract.Event[fresh, fresh]("fresh")
	io.OnConnection(func(s *socketbridge.Socket) {
		event.Handle(s, func(_ *socketbridge.Packet, in fresh) (fresh, error) {
			return in, contract.Notice[fresh]("heard").Emit(io, in)
		})
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := bridgetest.Dial(t, io)
			for n := range 50 {
				name := fmt.Sprint(i)
				c.Ask("fresh", fresh{Items: []Item{{name, Low}}, By: map[string]int{name: n}}).Want(fresh{Items: []Item{{name, Low}}, By: map[string]int{name: n}})
				c.Ask("fresh", json.RawMessage(`{"items":[{"name":"","level":"low"}],"by":{}}`)).WantError(contract.CodeInvalidArgument)
			}
		})
	}
	all.Wait()
}
