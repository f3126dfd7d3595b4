package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// fits is an argument of Put, as JSON.
const fits = `{"id":1,"made":"2026-01-02T03:04:05Z","flag":true,"small":-128,"big":18446744073709551615,"ratio":1.5,` +
	`"level":"low","tags":{"a/b":"c"},"data":"AQI=","pair":[1,2],"page":{"items":[{"name":"n","level":"high"}]},"Plain":"p"}`

// with returns fits with one change.
func with(old, new string) string {
	if !strings.Contains(fits, old) {
		panic(old + " is not there")
	}
	return strings.Replace(fits, old, new, 1)
}

// TestM1_Misfits: what does not fit gets an exact answer, and no handler.
func TestM1_Misfits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 300)
	for _, tt := range []struct {
		name           string
		event          string
		args           []string
		path, expected string
	}{
		{"no argument", "put", nil, "/0", "an object"},
		{"null", "put", []string{"null"}, "/0", "an object"},
		{"an array for an object", "put", []string{"[]"}, "/0", "an object"},
		{"a missing field", "put", []string{with(`"flag":true,`, "")}, "/0/flag", "true or false"},
		{"a missing embedded field", "put", []string{with(`"id":1,`, "")}, "/0/id", "an integer of at most 64 bits"},
		{"another case", "put", []string{with(`"flag"`, `"Flag"`)}, "/0/Flag", "no such field"},
		{"an unknown field", "put", []string{with(`"flag"`, `"x":1,"flag"`)}, "/0/x", "no such field"},
		{"an escaped unknown field", "put", []string{with(`"flag"`, `"x\u002fy~":1,"flag"`)}, "/0/x~1y~0", "no such field"},
		{"a long unknown field", "put", []string{with(`"flag"`, `"`+long+`":1,"flag"`)}, "/0/" + long[:252], "no such field"},
		{"a key twice", "put", []string{with(`"flag":true`, `"flag":true,"flag":false`)}, "/0/flag", "each key once"},
		{"a number for a bool", "put", []string{with(`true`, `1`)}, "/0/flag", "true or false"},
		{"null for a bool", "put", []string{with(`true`, `null`)}, "/0/flag", "true or false"},
		{"a bool for a string", "put", []string{with(`"p"`, `true`)}, "/0/Plain", "a string"},
		{"out of range", "put", []string{with(`-128`, `-129`)}, "/0/small", "an integer from -128 to 127"},
		{"a fraction", "put", []string{with(`-128`, `1.5`)}, "/0/small", "an integer from -128 to 127"},
		{"far out of range", "put", []string{with(`-128`, `1e99`)}, "/0/small", "an integer from -128 to 127"},
		{"negative", "put", []string{with(`18446744073709551615`, `-1`)}, "/0/big", "an integer from 0 to 18446744073709551615"},
		{"over uint64", "put", []string{with(`18446744073709551615`, `18446744073709551616`)}, "/0/big", "an integer from 0 to 18446744073709551615"},
		{"a float out of range", "put", []string{with(`1.5`, `1e39`)}, "/0/ratio", "a number"},
		{"a string for a float", "put", []string{with(`1.5`, `"1.5"`)}, "/0/ratio", "a number"},
		{"no time", "put", []string{with(`2026-01-02T03:04:05Z`, `yesterday`)}, "/0/made", "a time in the form of RFC 3339"},
		{"null for a time", "put", []string{with(`"2026-01-02T03:04:05Z"`, `null`)}, "/0/made", "a time in the form of RFC 3339"},
		{"not of the enum", "put", []string{with(`"low"`, `"mid"`)}, "/0/level", `one of "low", "high"`},
		{"null for a map", "put", []string{with(`{"a/b":"c"}`, `null`)}, "/0/tags", "an object"},
		{"in a map", "put", []string{with(`"c"`, `7`)}, "/0/tags/a~1b", "a string"},
		{"a rule in a map", "put", []string{with(`"c"`, `"cccccc"`)}, "/0/tags/a~1b", "a value with max=5"},
		{"a map's key twice", "put", []string{with(`{"a/b":"c"}`, `{"a":"b","\u0061":"c"}`)}, "/0/tags/a", "each key once"},
		{"a key that is no integer", "put", []string{with(`"flag"`, `"ports":{"x":true},"flag"`)}, "/0/ports", "a key that is an integer of at most 64 bits"},
		{"a number for binary data", "put", []string{with(`"AQI="`, `7`)}, "/0/data", "binary data"},
		{"no base64", "put", []string{with(`"AQI="`, `"!"`)}, "/0/data", "binary data"},
		{"null for binary data", "put", []string{with(`"AQI="`, `null`)}, "/0/data", "binary data"},
		{"an array too short", "put", []string{with(`[1,2]`, `[1]`)}, "/0/pair", "an array of 2 elements"},
		{"an array too long", "put", []string{with(`[1,2]`, `[1,2,3]`)}, "/0/pair", "an array of 2 elements"},
		{"deep", "put", []string{with(`"n"`, `7`)}, "/0/page/items/0/name", "a string"},
		{"a rule, deep", "put", []string{with(`"n"`, `""`)}, "/0/page/items/0/name", "a value with min=1"},
		{"a rule of an embedded field", "put", []string{with(`"id":1`, `"id":0`)}, "/0/id", "a value with min=1"},
		{"a rule behind a pointer", "put", []string{with(`"items"`, `"next":{"name":"","level":"low"},"items"`)}, "/0/page/next/name", "a value with min=1"},
		{"a rule of a slice", "put", []string{with(`[{"name":"n","level":"high"}]`, `[`+strings.Repeat(`{"name":"n","level":"high"},`, 3)+`{"name":"n","level":"high"}]`)}, "/0/page/items", "a value with max=3"},
		{"in a recursive type", "put", []string{with(`"flag"`, `"tree":{"value":1,"left":{"value":"x"}},"flag"`)}, "/0/tree/left/value", "an integer of at most 64 bits"},
		{"a second argument", "go", []string{"1"}, "/1", "an integer from -32768 to 32767"},
		{"null for an argument", "go", []string{"1", "null"}, "/1", "an integer from -32768 to 32767"},
		{"an optional argument", "go", []string{"1", "2", "3"}, "/2", "a string"},
		{"an optional enum", "go", []string{"1", "2", "null", `"x"`}, "/3", `one of "low", "high"`},
		{"no member", "draw", []string{`{"kind":"star"}`}, "/0/kind", `one of "circle", "square"`},
		{"no kind", "draw", []string{`{"radius":1}`}, "/0/kind", `one of "circle", "square"`},
		{"no object", "draw", []string{`1`}, "/0", `an object whose "kind" is one of "circle", "square"`},
		{"in a member", "draw", []string{`{"kind":"circle","radius":"1"}`}, "/0/radius", "a number"},
		{"a kind twice", "draw", []string{`{"kind":"circle","radius":1,"kind":"square"}`}, "/0/kind", "each key once"},
		{"a rule in a member", "draw", []string{`{"kind":"circle","radius":1001}`}, "/0/radius", "a value with max=1000"},
		{"a rule in a member's member", "draw", []string{`{"kind":"square","side":1,"inside":[{"kind":"circle","radius":1001}]}`}, "/0/inside/0/radius", "a value with max=1000"},
		{"a string for an int", "double", []string{`"1"`}, "/0", "an integer of at most 64 bits"},
		{"a rule in a list", "list", []string{`[{"name":"a","level":"low"},{"name":"","level":"low"}]`}, "/0/1/name", "a value with min=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t)
			register(io, func() { t.Error("a handler was reached") })
			c := bridgetest.Dial(t, io)
			args := make([]any, len(tt.args))
			for i, arg := range tt.args {
				args[i] = json.RawMessage(arg)
			}
			e := c.Ask(tt.event, args...).WantError(contract.CodeInvalidArgument)
			got, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			want, err := json.Marshal(&socketbridge.EventError{
				Code: "invalid_argument", Message: "expected " + tt.expected + " at " + tt.path,
				Data: map[string]string{"path": tt.path, "expected": tt.expected},
			})
			if err != nil || string(got) != string(want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

// TestM1_Fits: what fits reaches the handler.
func TestM1_Fits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, event string
		args        []string
		want        []string
	}{
		{"an object with all shapes", "put", []string{fits}, nil},
		{"an integer with a point", "double", []string{"4.0"}, []string{"8"}},
		{"an integer with an exponent", "double", []string{"1e3"}, []string{"2000"}},
		{"without arguments", "ping", nil, []string{}},
		{"arguments beyond the last", "ping", []string{"1", "2"}, []string{}},
		{"an absent argument", "perhaps", nil, []string{"null"}},
		{"null for a pointer", "perhaps", []string{"null"}, []string{"null"}},
		{"optional arguments absent", "go", []string{"1", "2"}, []string{"1", "2"}},
		{"one optional argument", "go", []string{"1", "2", `"a"`}, []string{"1", "2", `"a"`}},
		{"an optional argument after null", "go", []string{"1", "2", "null", `"low"`}, []string{"1", "2", "null", `"low"`}},
		{"white space and escapes", "draw", []string{" { \"\\u006bind\" : \"squ\\u0061re\" , \"side\" : 1 , \"ignored\" : [ { \"]\" : \"\\\"\" } ] } "}, []string{`{"kind":"square","side":1}`}},
		{"a union in a union", "draw", []string{`{"kind":"square","side":1,"inside":[{"kind":"circle","radius":1,"icon":"AQI="}]}`}, nil},
		{"an empty list", "list", []string{"[]"}, []string{"[]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t)
			var reached atomic.Int32
			register(io, func() { reached.Add(1) })
			args := make([]any, len(tt.args))
			for i, arg := range tt.args {
				args[i] = json.RawMessage(arg)
			}
			r := bridgetest.Dial(t, io).Ask(tt.event, args...)
			if err := r.Err(); err != nil || reached.Load() != 1 {
				t.Fatalf("got %v, the handler was reached %d times", err, reached.Load())
			}
			if tt.want != nil && fmt.Sprintf("%s", r.Args()) != fmt.Sprintf("%s", tt.want) {
				t.Errorf("got %s, want %s", r.Args(), tt.want)
			}
		})
	}
}

type (
	badTag struct {
		A string `validate:"nosuchrule"`
	}
	badParam struct {
		A *int `validate:"omitempty,max=x"`
	}
	emptyRule struct {
		A string `validate:"min=1,"`
	}
	noDive  struct{ Items []Item }
	oneDive struct {
		Items [][]Item `validate:"max=3,dive,max=2"`
	}
	withChan  struct{ C chan int }
	chanBelow struct{ Of []withChan }
	chanTuple struct {
		contract.Tuple
		C chan int
	}
	withString struct {
		N int `json:",string"`
	}
	twoOfOne struct {
		left
		right
	}
	left struct {
		X int
	}
	right struct {
		X int
	}
	gap struct {
		contract.Tuple
		A *int
		B int
	}
	hidden struct {
		A int
		b string `validate:"required"`
	}
	hiddenArgs struct {
		contract.Tuple
		a, b int
	}
	pointed   string
	noUnion   struct{ E error }
	floatKeys struct{ M map[float64]int }
	noKind    interface{ oneOf(Item) }
	dived     struct {
		N int `validate:"dive"`
	}
)

func (*pointed) Values() []pointed { return nil }

var _ = hidden{}.b + fmt.Sprint(hiddenArgs{}.a+hiddenArgs{}.b)

// TestM1_UnusableTypes: a type that cannot be used panics when its handler is registered.
func TestM1_UnusableTypes(t *testing.T) {
	t.Parallel()
	const end = "\n" // of the message
	io := newServer(t)
	for _, tt := range []struct {
		name   string
		handle func()
		want   string
	}{
		{"an unknown rule", func() { contract.Event[badTag, contract.None]("e").Handle(io, nop[badTag]) },
			`field A of contract_test.badTag: the rules "nosuchrule" cannot be used: Undefined validation function 'nosuchrule'` + end},
		{"a parameter that is no number", func() { contract.Event[badParam, contract.None]("e").Handle(io, nop[badParam]) }, "max=x"},
		{"an empty rule", func() { contract.Event[emptyRule, contract.None]("e").Handle(io, nop[emptyRule]) }, "a rule is empty"},
		{"no dive", func() { contract.Event[noDive, contract.None]("e").Handle(io, nop[noDive]) }, "dive"},
		{"one dive into two lists", func() { contract.Event[oneDive, contract.None]("e").Handle(io, nop[oneDive]) }, `"dive,dive"`},
		{"dive into a number", func() { contract.Event[dived, contract.None]("e").Handle(io, nop[dived]) }, "dive"},
		{"a channel", func() { contract.Event[withChan, contract.None]("e").Handle(io, nop[withChan]) }, "field C of contract_test.withChan: chan int"},
		{"a channel below", func() { contract.Event[chanBelow, contract.None]("e").Handle(io, nop[chanBelow]) }, "e: field C of contract_test.withChan: chan int"},
		{"a channel in a tuple", func() { contract.Event[chanTuple, contract.None]("e").Handle(io, nop[chanTuple]) }, "field C of contract_test.chanTuple: chan int"},
		{"the option string", func() { contract.Event[withString, contract.None]("e").Handle(io, nop[withString]) }, `"string"`},
		{"two fields of a name", func() { contract.Event[twoOfOne, contract.None]("e").Handle(io, nop[twoOfOne]) }, `"X"`},
		{"a required argument after an optional one", func() { contract.Event[gap, contract.None]("e").Handle(io, nop[gap]) }, "argument B"},
		{"an unexported field with a rule", func() { contract.Event[hidden, contract.None]("e").Handle(io, nop[hidden]) }, "field b of contract_test.hidden has tags, but is not exported"},
		{"arguments that are not exported", func() { contract.Event[hiddenArgs, contract.None]("e").Handle(io, nop[hiddenArgs]) }, "no field of contract_test.hiddenArgs is exported: b cannot be an argument"},
		{"an enum of the pointer", func() { contract.Event[pointed, contract.None]("e").Handle(io, nop[pointed]) }, "method Values of contract_test.pointed has a pointer receiver: write func (pointed) Values"},
		{"an interface", func() { contract.Event[noUnion, contract.None]("e").Handle(io, nop[noUnion]) }, "field E of contract_test.noUnion: error is no union"},
		{"keys that are floats", func() { contract.Event[floatKeys, contract.None]("e").Handle(io, nop[floatKeys]) }, "field M of contract_test.floatKeys: map[float64]int has keys"},
		{"a union without members", func() { contract.Event[noKind, contract.None]("e").Handle(io, nop[noKind]) }, "no member"},
		{"an answer", func() {
			contract.Event[int, withChan]("e").Handle(io, func(*socketbridge.Packet, int) (withChan, error) { return withChan{}, nil })
		}, "the answer to e"},
		{"no handler", func() { contract.Event[int, int]("e").Handle(io, nil) }, "needs a handler"},
		{"nothing to register on", func() { Ping.Handle(nil, echo[contract.None](func() {})) }, "cannot register"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "contract: ") || !strings.Contains(text+end, tt.want) {
					t.Errorf("got panic %q, want one about %s", text, tt.want)
				}
			}()
			tt.handle()
		})
	}
}

// Nick decodes itself, and has words for what it refuses.
type Nick string

func (n *Nick) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		return &socketbridge.EventError{Code: "nick", Message: "Choose a nickname."}
	case "plain":
		return errors.New("secret")
	}
	*n = Nick(text)
	return nil
}

// Pin decodes itself from any JSON, and wraps its answer.
type Pin int

func (n *Pin) UnmarshalJSON(text []byte) error {
	if string(text) == "0" {
		return fmt.Errorf("secret: %w", &socketbridge.EventError{Code: "pin", Message: "Choose a number."})
	}
	return json.Unmarshal(text, (*int)(n))
}

// TestM1_TypesThatAnswer: an EventError of a type that decodes itself is the answer, at any depth.
// Other errors of such a type stay on the server.
func TestM1_TypesThatAnswer(t *testing.T) {
	t.Parallel()
	type member struct {
		Nick Nick  `json:"nick" validate:"max=5"`
		Pins []Pin `json:"pins"`
	}
	const (
		rename = contract.Event[Nick, Nick]("rename")
		invite = contract.Event[map[string]member, contract.None]("invite")
	)
	io := newServer(t)
	rename.Handle(io, func(_ *socketbridge.Packet, n Nick) (Nick, error) { return n + "!", nil })
	invite.Handle(io, nop)
	c := bridgetest.Dial(t, io)
	c.Ask("rename", "ada").Want("ada!")
	for _, tt := range []struct {
		event, arg, code, message string
	}{
		{"rename", `""`, "nick", "Choose a nickname."},
		{"rename", `"plain"`, contract.CodeInvalidArgument, "expected a string of another form at /0"},
		{"rename", `7`, contract.CodeInvalidArgument, "expected a string of another form at /0"},
		{"invite", `{"a":{"nick":"","pins":[]}}`, "nick", "Choose a nickname."},
		{"invite", `{"a":{"nick":"sesame","pins":[]}}`, contract.CodeInvalidArgument, "expected a value with max=5 at /0/a/nick"},
		{"invite", `{"a":{"nick":"a","pins":[1,0]}}`, "pin", "Choose a number."},
		{"invite", `{"a":{"nick":"a","pins":[1,"x"]}}`, contract.CodeInvalidArgument, "expected another value at /0/a/pins/1"},
	} {
		if e := c.Ask(tt.event, json.RawMessage(tt.arg)).WantError(tt.code); e.Message != tt.message {
			t.Errorf("%s %s: got %q, want %q", tt.event, tt.arg, e.Message, tt.message)
		}
	}
}

// TestM1_RuleTexts: what a rule expects is said in words that stand after "expected".
func TestM1_RuleTexts(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	type form struct {
		Name string `validate:"required"`
		Mail string `validate:"omitempty,email"`
		Age  int    `validate:"max=150"`
	}
	const send = contract.Event[form, contract.None]("send")
	send.Handle(io, nop)
	c := bridgetest.Dial(t, io)
	for _, tt := range []struct {
		in   form
		want string
	}{
		{form{}, "expected a value that is not empty or zero at /0/Name"},
		{form{Name: "a", Mail: "b"}, "expected a value with the rule email at /0/Mail"},
		{form{Name: "a", Age: 151}, "expected a value with max=150 at /0/Age"},
	} {
		if e := c.Ask(string(send), tt.in).WantError(contract.CodeInvalidArgument); e.Message != tt.want {
			t.Errorf("%v: got %q, want %q", tt.in, e.Message, tt.want)
		}
	}
}

func nop[T any](*socketbridge.Packet, T) (contract.None, error) { return contract.None{}, nil }

// TestM1_Errors: errors and panics of typed handlers are those of plain ones.
func TestM1_Errors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		fn         func() error
	}{
		{"a code", "full", func() error { return &socketbridge.EventError{Code: "full"} }},
		{"another error", socketbridge.CodeInternal, func() error { return errors.New("secret") }},
		{"a panic", socketbridge.CodeInternal, func() error { panic("secret") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			io := newServer(t)
			Double.Handle(io, func(*socketbridge.Packet, int) (int, error) { return 1, tt.fn() })
			if e := bridgetest.Dial(t, io).Ask("double", 1).WantError(tt.want); strings.Contains(e.Message, "secret") {
				t.Errorf("got %v", e)
			}
		})
	}
}
