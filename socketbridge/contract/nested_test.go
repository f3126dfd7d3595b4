package contract_test

import (
	"encoding/json"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// TestM1_NestedElements: rules of elements hold at any depth of the only argument, for which no
// tag can stand. null fits elements that are pointers.
func TestM1_NestedElements(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	handle[[][]Item](io, "lists")
	handle[map[string]*[2]*[]Item](io, "maps")
	handle[*[][][]*Item](io, "pointers")
	handle[[][]Shape](io, "unions")
	c := bridgetest.Dial(t, io)
	for _, tt := range []struct{ event, json, path string }{
		{"lists", `[[{"name":"a","level":"low"}],[]]`, ""},
		{"lists", `[[],[{"name":"a","level":"low"},{"name":"","level":"low"}]]`, "/0/1/1/name"},
		{"maps", `{"a":[null,[{"name":"a","level":"low"}]],"b":null}`, ""},
		{"maps", `{"a":[null,[{"name":"","level":"low"}]]}`, "/0/a/1/0/name"},
		{"pointers", `[[[null,{"name":"a","level":"low"}]]]`, ""},
		{"pointers", `[[[null,{"name":"","level":"low"}]]]`, "/0/0/0/1/name"},
		{"unions", `[[{"kind":"circle","radius":1000}]]`, ""},
		{"unions", `[[{"kind":"circle","radius":1001}]]`, "/0/0/0/radius"},
	} {
		r := c.Ask(tt.event, json.RawMessage(tt.json))
		if tt.path == "" {
			r.Want(json.RawMessage(tt.json))
			continue
		}
		e := r.WantError(contract.CodeInvalidArgument)
		if data, _ := e.Data.(map[string]any); data["path"] != tt.path {
			t.Errorf("%s %s: got %v, want the path %s", tt.event, tt.json, e, tt.path)
		}
	}
}

// handle registers an event that is answered with what it gets.
func handle[T any](on socketbridge.Registrar, event string) {
	contract.Event[T, T](event).Handle(on, func(_ *socketbridge.Packet, in T) (T, error) { return in, nil })
}
