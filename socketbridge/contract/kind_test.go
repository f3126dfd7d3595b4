package contract_test

import (
	"encoding/json"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// Signal is a union whose kinds have the separators of rules.
type Signal interface{ oneOf(Stop, Turn) }

type (
	// Stop has a kind with the separators of rules, and a field that several values fit.
	Stop struct {
		Kind string `json:"kind" validate:"eq=stop0x2C now0x7Clater"`
		How  string `json:"how" validate:"eq=hard|eq=soft"`
	}
	// Turn has its kind after a field that several values fit.
	Turn struct {
		Way  string `json:"way" validate:"eq=left|eq=right"`
		Kind string `json:"kind" validate:"eq=turn"`
	}
)

func (Stop) oneOf(Stop, Turn) {}
func (Turn) oneOf(Stop, Turn) {}

// TestM1_Kinds: the value of eq is sent and expected without escapes, and a field that several
// values fit has no such value.
func TestM1_Kinds(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	const signal = contract.Event[Signal, Signal]("signal")
	signal.Handle(io, func(_ *socketbridge.Packet, in Signal) (Signal, error) {
		switch in := in.(type) {
		case Stop:
			in.Kind = ""
			return in, nil
		case Turn:
			in.Kind = ""
			return in, nil
		}
		return in, nil
	})
	c := bridgetest.Dial(t, io)
	for _, text := range []string{
		`{"kind":"stop, now|later","how":"hard"}`,
		`{"kind":"stop, now|later","how":"soft"}`,
		`{"way":"left","kind":"turn"}`,
		`{"way":"right","kind":"turn"}`,
	} {
		c.Ask("signal", json.RawMessage(text)).Want(json.RawMessage(text))
	}
	for _, text := range []string{
		`{"kind":"stop, now|later","how":""}`,
		`{"kind":"stop0x2C now0x7Clater","how":"soft"}`,
		`{"way":"hard","kind":"turn"}`,
	} {
		c.Ask("signal", json.RawMessage(text)).WantError(contract.CodeInvalidArgument)
	}
}
