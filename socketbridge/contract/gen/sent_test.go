package gen_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/servertest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/rules"
)

// TestM1_SchemaOfWhatIsSent: answers, notices and asks that the official client receives fit
// the schema, also when they break rules.
func TestM1_SchemaOfWhatIsSent(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	rules.Register(io)
	for _, event := range []string{"a shape/~é", "lists", "pair"} {
		io.Of("/").Off(event) // for the handlers below
	}
	label := "x"
	io.On("announce", func(p *socketbridge.Packet) error {
		return errors.Join(
			rules.Told.Emit(p.Socket(), rules.Mixed{Color: "red"}),
			rules.Told.Emit(p.Socket(), rules.Mixed{
				Base: rules.Base{ID: 1, Name: "too long"}, Data: []byte{1, 2, 3}, Raw: []byte("[1]"), Any: 1.5, Address: netip.IPv6Loopback(), Color: "blue",
				Tree: &rules.Tree{Left: &rules.Tree{Value: -1}}, Item: &rules.Item{}, Time: time.Now(),
			}),
			rules.Moved.Emit(p.Socket(), rules.Pair{}),
			rules.Moved.Emit(p.Socket(), rules.Pair{X: -1, Y: 9, Label: &label}),
			p.Ack(),
		)
	})
	io.On("ask", func(p *socketbridge.Packet) error {
		level, err := rules.Sure.Emit(p.Context(), p.Socket(), rules.Item{Name: "too long"})
		return p.Ack(level, err)
	})
	rules.ShapeEvent.Handle(io, func(*socketbridge.Packet, rules.Shape) (rules.Shape, error) {
		return rules.Square{Inside: []rules.Shape{rules.Circle{Radius: -1}, rules.Square{}, rules.Square{}}}, nil
	})
	rules.ListsEvent.Handle(io, func(*socketbridge.Packet, rules.Lists) (rules.Lists, error) { return rules.Lists{}, nil })
	rules.PairEvent.Handle(io, func(*socketbridge.Packet, rules.Pair) (rules.Pair, error) {
		return rules.Pair{}, &socketbridge.EventError{Code: "full", Message: "no"}
	})

	c := nodetest.Start(t).Connect(t, servertest.Serve(t, io), nodetest.Options{Transports: []string{"websocket"}})
	var all []validation
	got := func(name string, args nodetest.Args) {
		t.Helper()
		var v any
		if err := json.Unmarshal([]byte(args.String()), &v); err != nil {
			t.Fatal(err)
		}
		v = replace(v, func(m map[string]any) (any, bool) { text, ok := m["$binary"]; return text, ok })
		all = append(all, definition(name, compact(v)))
	}
	call := func(event, args string) nodetest.Args {
		t.Helper()
		var list []any
		if err := json.Unmarshal([]byte(args), &list); err != nil {
			t.Fatal(err)
		}
		return c.MustCall(event, list...)
	}
	failure := func(args nodetest.Args) {
		t.Helper()
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(args.String()), &list); err != nil || len(list) != 1 {
			t.Fatalf("%s is no failure", args)
		}
		all = append(all, definition("Failure", string(list[0])))
	}
	for _, f := range fitting {
		if f.event == "pair" {
			failure(call(f.event, f.args))
			continue
		}
		got("ClientToServerEvents."+f.event+".answer", call(f.event, f.args))
	}
	failure(call("texts", `[1]`))
	c.MustCall("announce")
	for range 2 {
		got("ServerToClientEvents.told.arguments", c.MustNext("told"))
		got("ServerToClientEvents.pair.arguments", c.MustNext("pair"))
	}
	c.Answer("sure", "high")
	c.MustCall("ask")
	got("ServerToClientEvents.sure.arguments", c.MustNext("sure"))
	all = append(all, definition("ServerToClientEvents.sure.answer", `["high"]`), definition("ServerToClientEvents.sure.answer", `["unlisted"]`))

	found := validate(t, gen.JSONSchema(loadRules(t)), false, all)
	for i, v := range all[:len(all)-1] {
		if found[i] != "" {
			t.Errorf("%s %s: %s", v.Path, v.Payload, found[i])
		}
	}
	if found[len(all)-1] == "" {
		t.Error("the schema accepts an answer that the server refuses")
	}
}
