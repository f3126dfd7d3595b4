package gen_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/odd"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/rules"
)

// fittingOdd are arguments that fit, for each event of package odd.
var fittingOdd = []sample{
	{"recursive", `[{"nested":[[],[[]]],"dir":{"a":{"b":{}}},"next":{"nested":[],"dir":{},"many":[],"lists":{}},"many":[null,{"nested":[],"dir":{},"next":null,"many":[],"lists":{}}],
		"either":{"kind":"node","left":{"kind":"leaf"},"right":{"a":{"kind":"node","left":{"kind":"leaf"},"right":{}}}},"lists":{"a":[{"Loop":[{"Loop":[]}]}]}}]`},
	{"menu", `[[{"title":"a","sub":[{"title":"b","sub":[{"title":"c"}]}]},{"title":"d"}]]`},
	{"generic", `[{"page":{"items":[{"name":"a"}],"last":{"name":"b"}},"pages":{"items":[null,{"items":[]}]},"inline":{"items":[{"A":1}]},"pair":{"values":{"low":"AQI="}},
		"numbers":{"values":{"-1":1000}},"value":"x"}]`},
	{"embedded", `[{"a":1,"b":2,"Either":{"kind":"leaf"},"named":{"c":true},"name":1,"d":"ab"}]`},
	{"maps", `[{"int8":{"-1":"a"},"uint64":{"1":"AQI="},"rank":{"1":{"name":"a"},"-2":null},"level":{"low":{"a":true}},"named":{"a":[1],"b":null},"any":{"a":{"b":[null]}},"nil":{"a":{"b":1}}}]`},
	{"lists", `[{"none":[],"pair":[null,{"name":"a"}],"long":[true,true,true,true,true,true,true,true,true,true,true,true,true,true,true,true,false],"bytes":[0,1,255],"blobs":["AQI=",""],
		"blob":"AQI=","matrix":[[[1],[]]],"maybe":[null,["a"]],"levels":["low"],"ranks":[1,null],"empty":{"list":[]},"zero":{"list":[1]}}]`},
	{"leaves", `[{"duration":1000000000,"time":"2026-01-02T03:04:05Z","zero":"2026-01-02T03:04:05Z","raw":{"a":[]},"raws":[1,null],"number":1,"any":1,"anything":{"a":1},"value":[1],
		"address":"::1","big":1,"nick":"ab","opt":1,"needed":1}]`},
	{"unions", `[{"one":{"kind":"circle","radius":1},"maybe":{"kind":"square","side":1},"list":[{"kind":"square","side":3}],"pair":[{"kind":"circle","radius":1},{"kind":"square","side":1}],
		"map":{"a":{"kind":"circle","radius":1}}}]`},
	{"kinds", `[{"kind":"x","needed":"y","circle":{"kind":"circle","radius":1},"unchecked":{"kind":"square","side":9},"pointer":{"kind":"circle","radius":1},"shape":{"kind":"square","side":9}}]`},
	{"loose", `[{"kind":"dot","x":1},{"x":1}]`},
	{"hidden", `[{"name":"a","key":"ab"}]`},
	{"words", `[1,2,3,4,5,6,7,8,9,10,11,12,13,14]`},
	{"parts", `[{"whole":{"a":1,"b":1,"other":1},"filled":{"a":1,"b":1},"absent":{"a":1,"b":2},"zero":{"a":1},"list":[{"a":1,"b":1}]}]`},
	{"pointer", `[1]`},
	{"saved", `[{"list":[{"name":"a"}],"map":{"a":{"b":{}}},"blob":"AQI=","more":{"list":[],"map":{},"blob":"","more":null,"pair":[[]],"refs":[],"need":1,"only":{}},"kept":["a"],
		"pair":[[1]],"refs":[null,[1]],"need":1,"only":{"a":{"tags":["b"],"icon":"AQI="}}}]`},
}

// agreements returns the packages whose schemas are compared with a server.
func agreements(t *testing.T) map[string]*agreement {
	return map[string]*agreement{
		"rules": {loadRules(t), newRuntime(t, rules.Register), fitting, []string{"pair", "many"}, func(event, answer string) bool {
			return event == "mixed" && strings.Contains(answer, "a string of another form")
		}},
		"odd": {loadPackage(t, "./testdata/odd"), newRuntime(t, odd.Register), fittingOdd, []string{"words", "loose"}, func(event, answer string) bool {
			switch event {
			case "leaves": // which decode themselves
				return strings.Contains(answer, "a string of another form") || strings.Contains(answer, `expected another value at /0/big`) || strings.Contains(answer, "min=2 at /0/nick")
			case "parts": // have rules without a counterpart
				return strings.Contains(answer, "a value that is not empty or zero at /0/")
			}
			return false
		}},
	}
}

// TestM1_OddSent: types that only encode themselves are sent as the schema and TypeScript say.
func TestM1_OddSent(t *testing.T) {
	t.Parallel()
	c := loadPackage(t, "./testdata/odd")
	server := newRuntime(t, func(on socketbridge.Registrar) {
		on.(*socketbridge.Server).On("pay", func(p *socketbridge.Packet) error {
			return odd.Paid.Emit(p.Socket(), odd.Bill{Stage: 1, By: map[odd.Level]odd.Money{odd.Low: {Cents: 3}}})
		})
	})
	sent := strings.TrimPrefix(string(server.send(t, `2["pay"]`)[0].Data), `2["paid",`)
	const want = `{"sum":"0","stage":"stage 1","by":{"low":"3"},"label":"«»","whole":"stage 0"}]`
	if sent != want {
		t.Errorf("got %s\nwant %s", sent, want)
	}
	for i, found := range validate(t, gen.JSONSchema(c), false, []validation{definition("ServerToClientEvents.paid.arguments", "["+sent), definition("ServerToClientEvents.paid.arguments", `[{"sum":"0","stage":1,"by":{},"label":"","whole":""}]`)}) {
		if (found == "") != (i == 0) {
			t.Errorf("payload %d: ajv says %q", i, found)
		}
	}
	if out, err := typeCheck(t, map[string]string{"types.ts": string(gen.TypeScript(c)), "sent.ts": `import type { ServerToClientEvents } from "./types";
declare function sent(...args: Parameters<ServerToClientEvents["paid"]>): void;
sent(` + strings.TrimSuffix(sent, "]") + `);
`}); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestM1_SessionForms: values of a session as encoding/json writes them, which other servers read,
// fit the schema and TypeScript: nil lists are null, binary data is base64, and kinds may be missing.
func TestM1_SessionForms(t *testing.T) {
	t.Parallel()
	c := loadPackage(t, "./testdata/odd")
	one, list := 1, []int(nil)
	sessions := []map[string]any{
		{
			string(odd.ListKey): []odd.Item(nil), string(odd.PointerKey): (*odd.Item)(nil), string(odd.NestedKey): map[string][]int(nil), string(odd.BlobKey): []byte(nil),
			string(odd.BothKey): odd.Saved{}, string(odd.OnlyKey): odd.Only{}, string(odd.DirKey): odd.Dir(nil), string(odd.CircleKey): odd.Circle{}, string(odd.AnyKey): nil, string(odd.MoneyKey): odd.Money{},
		},
		{
			string(odd.ListKey): []odd.Item{{}}, string(odd.PointerKey): &odd.Item{Name: "too long"}, string(odd.NestedKey): map[string][]int{"a": nil}, string(odd.BlobKey): []byte{1},
			string(odd.BothKey): odd.Saved{
				List: []odd.Item{}, Map: map[string]odd.Dir{"a": nil, "b": {"c": nil}}, Blob: []byte{}, More: &odd.Saved{}, Kept: []string{"a"}, Pair: [1][]int{{1}}, Refs: []*[]int{nil, &list},
				Need: &one, Only: map[string]odd.Only{"a": {Icon: []byte{1}}},
			},
			string(odd.OnlyKey): odd.Only{Tags: []string{"a"}, Icon: []byte{1}}, string(odd.DirKey): odd.Dir{"a": nil}, string(odd.CircleKey): odd.Circle{Kind: "circle"}, string(odd.AnyKey): 1,
		},
	}
	var all []validation
	code := "import type { Session } from \"./types\";\ndeclare function session(values: Session): void;\n"
	for _, values := range sessions {
		text, err := fibersession.JSON{}.Encode(values)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, definition("Session", string(text)))
		code += "session(" + string(text) + ");\n"
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			code += "session({ " + name + ": " + string(fields[name]) + " });\n"
		}
	}
	// What sessions have does not fit events.
	code += `
declare function saved(value: import("./types").Saved): void;
// @ts-expect-error: a list of an event is not null
saved(null! as NonNullable<Session["both"]>);
`
	for _, wrong := range []string{`{"list":1}`, `{"list":[{"name":1}]}`, `{"nested":{"a":[null]}}`, `{"circle":{"kind":1,"radius":1}}`, `{"both":{}}`, `{"dir":{"a":1}}`} {
		all = append(all, definition("Session", wrong))
	}
	all = append(all, definition("ClientToServerEvents.saved.answer", `[{"list":null,"map":{},"blob":"","more":null,"pair":[[]],"refs":[],"need":null,"only":{}}]`))
	for i, found := range validate(t, gen.JSONSchema(c), false, all) {
		if (found == "") != (i < len(sessions)) {
			t.Errorf("%s: ajv says %q", all[i].Payload, found)
		}
	}
	if out, err := typeCheck(t, map[string]string{"types.ts": string(gen.TypeScript(c)), "session.ts": code}); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, code)
	}
}
