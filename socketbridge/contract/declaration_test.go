package contract_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// Structs whose tags cannot be used. The tag is that of the field A.
type (
	textRuleOnInt struct {
		A int `validate:"email"`
	}
	textRuleOnList struct {
		A []string `validate:"alpha"`
	}
	constantOnMap struct {
		A map[string]int `validate:"excludes=x"` // would accept all
	}
	secondChoice struct {
		A string `validate:"ascii|max=x"` // an evaluation of both ends with the first
	}
	sizeOfStruct struct {
		A Item `validate:"min=1"`
	}
	sizeOfAny struct {
		A any `validate:"min=1"` // a client could send what has no size
	}
	eqTime struct {
		A time.Time `validate:"eq=1"`
	}
	timeParam struct {
		A time.Time `validate:"gt=2020-01-01"`
	}
	textElems struct {
		A []int `validate:"dive,uuid"`
	}
	textKeys struct {
		A map[int]string `validate:"dive,keys,alpha,endkeys"`
	}
	keysOfList struct {
		A []string `validate:"dive,keys,alpha,endkeys"`
	}
	keysWithoutDive struct {
		A map[string]int `validate:"keys,alpha,endkeys"`
	}
	onlyOfInt struct {
		A int `validate:"structonly,min=1"`
	}
	uniqueAny struct {
		A []any `validate:"unique"` // a client could send [{}]
	}
	uniqueBlobs struct {
		A map[string]struct{ B []byte } `validate:"unique"`
	}
	uniqueField struct {
		A []Item `validate:"unique=Nane,dive"`
	}
	noOther struct {
		A string `validate:"eqfield=B"`
	}
	otherKind struct {
		A string `validate:"nefield=B"`
		B int
	}
	noCondition struct {
		A string `validate:"required_if=B x"`
	}
	oddCondition struct {
		A string `validate:"required_if=B"`
		B string
	}
	badCondition struct {
		A string `validate:"required_if=B x"`
		B int
	}
	noneWith struct {
		A *string `validate:"required_without=B C"`
		B *string
	}
	noMethod struct {
		A int `validate:"validateFn=Check"`
	}
	embedsWrong struct {
		Base `validate:"nosuchrule"`
	}
	embedsWrongPointer struct {
		*Item `validate:"min=1"`
	}
	embedsBelow struct {
		Below struct {
			Item `validate:"eqfield=B"`
		}
	}
	quotedName struct {
		//lint:ignore SA5008 the name is wrong
		A int `json:"it's"`
	}
	bytesOfType struct{ A []tiny }
	tiny        uint8
	itself      *itself
	hasItself   struct{ A itself }
	hiddenKind  interface{ oneOf(hidesKind) }
	hidesKind   struct {
		A string `json:"-" validate:"eq=a"`
	}
	hasHiddenKind struct{ A hiddenKind }
	bothWays      struct {
		A Item
		B special
	}
	special struct {
		Item
		Name int `json:"name"`
	}
	decodesItself struct {
		A int `validate:"max=x"`
	}
	hasDecodesItself struct{ B decodesItself }
)

func (*decodesItself) UnmarshalJSON([]byte) error { return nil }

func (hidesKind) oneOf(hidesKind) {}

// TestM1_UnusableRules: Handle panics for a rule that cannot be evaluated, and for one that says
// nothing about values of its Go type.
func TestM1_UnusableRules(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	for _, tt := range []struct {
		name   string
		handle func()
		want   string
	}{
		{"a rule for strings on an int", use[textRuleOnInt](io), `field A of contract_test.textRuleOnInt: the rules "email" cannot be used: email does not fit int`},
		{"a rule for strings on a list", use[textRuleOnList](io), "alpha does not fit a list"},
		{"a rule that accepts all maps", use[constantOnMap](io), "excludes does not fit a map"},
		{"the second of two rules", use[secondChoice](io), `parsing "x": invalid syntax`},
		{"a size of a struct", use[sizeOfStruct](io), "min does not fit a struct"},
		{"a size of any", use[sizeOfAny](io), "min does not fit any or a union"},
		{"a constant time", use[eqTime](io), "eq does not fit a time"},
		{"a time as a parameter", use[timeParam](io), "gt compares a time with now: it has no parameter"},
		{"a rule for strings on elements", use[textElems](io), "uuid does not fit int"},
		{"a rule for strings on keys", use[textKeys](io), "alpha does not fit int"},
		{"keys of a list", use[keysOfList](io), "keys needs a map"},
		{"keys without dive", use[keysWithoutDive](io), "'keys' tag must be immediately preceded by the 'dive' tag"},
		{"structonly on an int", use[onlyOfInt](io), "structonly does not fit int"},
		{"unique elements of any", use[uniqueAny](io), "unique cannot compare any or a union: it can hold a list or a map"},
		{"unique elements with a list", use[uniqueBlobs](io), "unique cannot compare a struct: it can hold a list or a map"},
		{"a unique field that does not exist", use[uniqueField](io), "Bad field name Nane"},
		{"another field that does not exist", use[noOther](io), "eqfield names B, but there is no such field"},
		{"another field of another kind", use[otherKind](io), "nefield compares string with B, which is int"},
		{"a condition on no field", use[noCondition](io), "required_if names B, but there is no such field"},
		{"a condition without a value", use[oddCondition](io), "Bad param number for required_if"},
		{"a condition with another type", use[badCondition](io), `parsing "x": invalid syntax`},
		{"one of two fields does not exist", use[noneWith](io), "required_without names C, but there is no such field"},
		{"a method that does not exist", use[noMethod](io), "int has no method Check"},
		{"a rule of an embedded struct", use[embedsWrong](io), `field Base of contract_test.embedsWrong: the rules "nosuchrule" cannot be used: Undefined validation function 'nosuchrule'`},
		{"a rule of an embedded pointer", use[embedsWrongPointer](io), "field Item of contract_test.embedsWrongPointer: the rules \"min=1\" cannot be used: min does not fit a struct"},
		{"a rule of an embedded struct below", use[embedsBelow](io), "field Item of struct"},
		{"a rule in a type that decodes itself", use[hasDecodesItself](io), "field A of contract_test.decodesItself"},
		{"a JSON name that encoding/json does not take", use[quotedName](io), `field A of contract_test.quotedName has the JSON name "it's"`},
		{"a list of a type of bytes", use[bytesOfType](io), "[]contract_test.tiny would be sent as base64"},
		{"a pointer to itself", use[hasItself](io), "contract_test.itself points to itself"},
		{"a kind that clients cannot send", use[hasHiddenKind](io), "needs one string field with the rule eq=…"},
		{"a field that is hidden in one of two structs", use[bothWays](io), "field Name of contract_test.Item has rules, which hold in contract_test.Item, but clients cannot send the field in contract_test.special"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := panicOf(tt.handle)
			if !strings.HasPrefix(text, "contract: event e: field ") && !strings.HasPrefix(text, "contract: event e: contract_test.") || !strings.Contains(text, tt.want) {
				t.Errorf("got panic %q, want one about %s", text, tt.want)
			}
		})
	}
}

// use returns a function that registers an event with T.
func use[T any](io *socketbridge.Server) func() {
	return func() { contract.Event[T, contract.None]("e").Handle(io, nop[T]) }
}

// panicOf returns the text of fn's panic, or "<nil>".
func panicOf(fn func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	fn()
	return ""
}

// stringer is no string, but has its text.
type stringer [2]byte

func (stringer) String() string { return "57b73598-8764-4ad0-a76a-679bb6640eb1" }

func (n stringer) Check() bool { return n[0] == 1 }

// TestM1_UsableRules: what rules mean for types other than strings stays usable.
func TestM1_UsableRules(t *testing.T) {
	t.Parallel()
	type other struct {
		Name string
		On   bool
	}
	type usable struct {
		Port  uint16           `validate:"port"`
		Size  float64          `validate:"required,latitude"`
		Flag  *bool            `validate:"omitempty,eq=true"`
		Born  time.Time        `validate:"omitempty,lt"`
		Until time.Time        `validate:"omitempty,gtfield=Born"`
		ID    stringer         `validate:"uuid4,validateFn=Check"`
		Any   any              `validate:"required"`
		Code  int              `validate:"omitempty,country_code|oneof=1 2"`
		Again string           `validate:"eqfield=Other.Name"`
		Maybe *string          `validate:"required_if=Other.On true Port 1,omitempty,iscolor"`
		List  []stringer       `validate:"unique,max=2"`
		Pairs map[string]other `validate:"dive,keys,alpha,endkeys"`
		Other other            `validate:"required"`
		Raw   json.RawMessage  `validate:"min=1"`
		Names []*string        `validate:"dive,omitempty,lowercase"`
		Twin  string           `validate:"unique=Again"`
		Items []other          `validate:"unique=Name"`
	}
	io := newServer(t)
	handle[usable](io, "use")
	c := bridgetest.Dial(t, io)
	const ok = `{"Port":1,"Size":1,"Flag":null,"Born":"0001-01-01T00:00:00Z","Until":"0001-01-01T00:00:00Z","ID":[1,0],"Any":1,"Code":1,"Again":"x","Maybe":"#fff","List":[],` +
		`"Pairs":{"a":{"Name":"","On":true}},"Other":{"Name":"x","On":true},"Raw":1,"Names":["a",null],"Twin":"y","Items":[]}`
	c.Ask("use", json.RawMessage(ok)).Want(json.RawMessage(ok))
	for _, tt := range []struct{ old, new, path string }{
		{`"Port":1`, `"Port":0`, "/0/Port"},
		{`"ID":[1,0]`, `"ID":[0,0]`, "/0/ID"},
		{`"Code":1`, `"Code":3`, "/0/Code"},
		{`"Again":"x"`, `"Again":"y"`, "/0/Again"},
		{`"Maybe":"#fff"`, `"Maybe":null`, "/0/Maybe"},
		{`"List":[]`, `"List":[[0,0],[0,0]]`, "/0/List"},
		{`"a"`, `"1"`, "/0/Pairs/1"},
		{`"Twin":"y"`, `"Twin":"x"`, "/0/Twin"},
	} {
		e := c.Ask("use", json.RawMessage(strings.Replace(ok, tt.old, tt.new, 1))).WantError(contract.CodeInvalidArgument)
		if data, _ := e.Data.(map[string]any); data["path"] != tt.path {
			t.Errorf("%s: got %v, want the path %s", tt.new, e, tt.path)
		}
	}
}

// TestM1_UnusableNames: a name that no event can have is refused where it is used first.
func TestM1_UnusableNames(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	io.On("begin", func(p *socketbridge.Packet) error {
		var ask contract.Ask[int, int] = "connect"
		return p.Ack(panicOf(func() { _, _ = ask.Emit(p.Context(), p.Socket(), 1) }))
	})
	bridgetest.Dial(t, io).Ask("begin").Want(`contract: ask "connect": Socket.IO reserves the name: choose another one`)
	event := func(name contract.Event[int, int]) string {
		return panicOf(func() { name.Handle(io, func(*socketbridge.Packet, int) (int, error) { return 0, nil }) })
	}
	const reserved = ": Socket.IO reserves the name: choose another one"
	for _, tt := range []struct{ got, want string }{
		{event(""), `contract: event "": the name is empty`},
		{event("connect"), `contract: event "connect"` + reserved},
		{event("connect_error"), `contract: event "connect_error"` + reserved},
		{event("disconnect"), `contract: event "disconnect"` + reserved},
		{event("disconnecting"), `contract: event "disconnecting"` + reserved},
		{event("newListener"), `contract: event "newListener"` + reserved},
		{event("removeListener"), `contract: event "removeListener"` + reserved},
		{event("\xff"), `contract: event "\xff": the name is not valid UTF-8`},
		{event(contract.Event[int, int](strings.Repeat("x", 257))), `contract: event "` + strings.Repeat("x", 257) + `": the name has more than 256 bytes: the server would refuse the event`},
		{event(contract.Event[int, int](strings.Repeat("x", 256))), "<nil>"},
		{panicOf(func() { _ = contract.Notice[int]("").Emit(io, 1) }), `contract: notice "": the name is empty`},
		{panicOf(func() { _ = contract.Notice[int]("disconnect").Emit(io, 1) }), `contract: notice "disconnect"` + reserved},
		{panicOf(func() { _, _ = contract.Ask[int, int]("").EmitAll(t.Context(), io.To("room"), 1) }), `contract: ask "": the name is empty`},
		{panicOf(func() { _ = contract.Notice[int](strings.Repeat("x", 257)).Emit(io, 1) }), "<nil>"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s\nwant %s", tt.got, tt.want)
		}
	}
}

// Account has rules for fields that no client can send.
type Account struct {
	Name string `json:"name" validate:"min=1"`
	Hash string `json:"-" validate:"required"`
	Meta struct {
		By string `validate:"required"`
	} `json:"-"`
	Item `json:"-"`
	Secret
}

// Secret is embedded, and its field is hidden by that of Account.
type Secret struct {
	Name string `json:"name" validate:"max=0,required"`
	Key  string `json:"key,omitempty" validate:"max=2"`
}

// TestM1_HiddenRules: a rule holds for fields that clients can send, and only for these.
func TestM1_HiddenRules(t *testing.T) {
	t.Parallel()
	type args struct {
		contract.Tuple
		One    Account
		Hidden string    `json:"-" validate:"required"`
		Two    []Account `json:",omitempty" validate:"dive"`
	}
	io := newServer(t)
	handle[Account](io, "one")
	handle[[]Account](io, "many")
	handle[args](io, "args")
	c := bridgetest.Dial(t, io)
	for _, tt := range []struct{ event, json, path string }{
		{"one", `{"name":"a"}`, ""},
		{"one", `{"name":"a","key":"ab"}`, ""},
		{"one", `{"name":""}`, "/0/name"},
		{"one", `{"name":"a","key":"abc"}`, "/0/key"},
		{"many", `[{"name":"a"}]`, ""},
		{"many", `[{"name":"a"},{"name":""}]`, "/0/1/name"},
		{"args", `{"name":"a"}`, ""},
		{"args", `{"name":""}`, "/0/name"},
	} {
		r := c.Ask(tt.event, json.RawMessage(tt.json))
		if tt.path == "" {
			if err := r.Err(); err != nil {
				t.Errorf("%s %s: %v", tt.event, tt.json, err)
			}
			continue
		}
		e := r.WantError(contract.CodeInvalidArgument)
		if data, _ := e.Data.(map[string]any); data["path"] != tt.path {
			t.Errorf("%s %s: got %v, want the path %s", tt.event, tt.json, e, tt.path)
		}
	}
}

// TestM1_EmbeddedRules: a rule of an embedded struct holds, whether or not there are others.
func TestM1_EmbeddedRules(t *testing.T) {
	t.Parallel()
	type Part struct{ X, Y int }
	type whole struct {
		*Part `validate:"required"`
	}
	type filled struct {
		Part `validate:"required"`
	}
	io := newServer(t)
	handle[whole](io, "whole")
	handle[filled](io, "filled")
	c := bridgetest.Dial(t, io)
	c.Ask("whole", json.RawMessage(`{"X":0}`)).Want(json.RawMessage(`{"X":0,"Y":0}`))
	c.Ask("whole", json.RawMessage(`{}`)).WantError(contract.CodeInvalidArgument)
	c.Ask("filled", json.RawMessage(`{"X":0,"Y":1}`)).Want(json.RawMessage(`{"X":0,"Y":1}`))
	c.Ask("filled", json.RawMessage(`{"X":0,"Y":0}`)).WantError(contract.CodeInvalidArgument)
}

// Stage is an enum of integers with names for people.
type Stage uint16

func (Stage) Values() []Stage { return []Stage{1, 2} }

func (s Stage) String() string { return [...]string{"", "first", "second"}[s] }

// Blob is a struct that decodes itself, and has rules.
type Blob struct {
	Size int `validate:"max=3"`
}

func (b *Blob) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &b.Size) }

func (b Blob) MarshalJSON() ([]byte, error) { return json.Marshal(b.Size) }

// TestM1_OddTypes: types that are rarely used are read and sent as encoding/json does.
func TestM1_OddTypes(t *testing.T) {
	t.Parallel()
	type (
		Anything any
		Opt      *int
		Inner    struct{ List []int }
	)
	type odd struct {
		Any    Anything           `json:"any"`
		Opt    Opt                `json:"opt"`
		Stages map[Stage]Item     `json:"stages" validate:"dive"`
		Stage  Stage              `json:"stage"`
		Empty  Inner              `json:"empty,omitempty"` // is sent nevertheless
		Pair   [2]Inner           `json:"pair,omitempty"`
		Zero   Inner              `json:"zero,omitzero"`
		Times  map[string][]int   `json:"times,omitempty"`
		Nil    []int              `json:"nil,omitzero"`
		Blobs  []Blob             `json:"blobs" validate:"dive"`
		Wait   time.Duration      `json:"wait"`
		Ports  map[int8]*[1]uint8 `json:"ports"`
	}
	io := newServer(t)
	handle[odd](io, "odd")
	c := bridgetest.Dial(t, io)
	const in = `{"any":{"x":[]},"opt":1,"stages":{"1":{"name":"a","level":"low"}},"stage":2,"blobs":[3],"wait":1500,"ports":{"-1":[255],"2":null}}`
	c.Ask("odd", json.RawMessage(in)).Want(json.RawMessage(`{"any":{"x":[]},"opt":1,"stages":{"1":{"name":"a","level":"low"}},"stage":2,` +
		`"empty":{"List":[]},"pair":[{"List":[]},{"List":[]}],"blobs":[3],"wait":1500,"ports":{"-1":[255],"2":null}}`))
	for _, tt := range []struct{ old, new, path, expected string }{
		{`"stage":2`, `"stage":3`, "/0/stage", "one of 1, 2"},
		{`"1":{`, `"3":{`, "/0/stages", "a key that is one of 1, 2"},
		{`"name":"a"`, `"name":""`, "/0/stages/1/name", "a value with min=1"},
		{`[3]`, `[4]`, "/0/blobs/0", "a value with max=3"},
		{`"-1"`, `"-129"`, "/0/ports", "a key that is an integer from -128 to 127"},
	} {
		e := c.Ask("odd", json.RawMessage(strings.Replace(in, tt.old, tt.new, 1))).WantError(contract.CodeInvalidArgument)
		if data, _ := e.Data.(map[string]any); data["path"] != tt.path || data["expected"] != tt.expected {
			t.Errorf("%s: got %v, want %s at %s", tt.new, e, tt.expected, tt.path)
		}
	}
}
