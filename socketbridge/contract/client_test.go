package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/servertest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// TestM1_OfficialClient: every shape, from and to an unmodified official client, with its own
// parser and with socket.io-msgpack-parser.
func TestM1_OfficialClient(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	for _, tt := range []struct {
		name   string
		parser socketbridge.Parser
		extra  map[string]any
	}{
		{"JSON", socketbridge.JSONParser, nil},
		{"MessagePack", socketbridge.MsgpackParser, map[string]any{"parser": "msgpack"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			testOfficialClient(t, n, tt.parser, tt.extra)
		})
	}
}

func testOfficialClient(t *testing.T, n *nodetest.Node, parser socketbridge.Parser, extra map[string]any) {
	io := newServer(t, socketbridge.Config{Logger: silent, Parser: parser})
	register(io, func() {})
	contract.Event[numbers, numbers]("numbers").Handle(io, echo[numbers](func() {}))
	contract.Event[time.Time, time.Time]("later").Handle(io, echo[time.Time](func() {}))
	io.On("announce", func(p *socketbridge.Packet) error {
		label := "here"
		return errors.Join(
			Said.Emit(p.Socket(), Move{X: 1, Y: -2}),
			Said.Emit(io.To(p.Socket().ID()), Move{X: 3, Y: 4, Label: &label}),
			Said.Emit(io.Of("/"), Move{X: 5, Y: 6, Color: High}),
			Drawn.Emit(io, Circle{Radius: 1, Icon: []byte{1, 2}}),
			Drawn.Emit(io, &Square{Side: 2, Inside: []Shape{Square{Side: 1}, Circle{}}}),
			p.Ack(),
		)
	})
	io.On("ask", func(p *socketbridge.Packet) error {
		level, err := Sure.Emit(p.Context(), p.Socket(), Item{Name: "n", Level: Low})
		var misfit *contract.AnswerError
		if errors.As(err, &misfit) {
			return p.Ack("misfit", misfit.Event, misfit.Path, misfit.Expected)
		}
		return p.Ack(level, err)
	})
	url := servertest.Serve(t, io)
	for _, transport := range []string{"polling", "websocket"} {
		t.Run(transport, func(t *testing.T) {
			c := n.Connect(t, url, nodetest.Options{Transports: []string{transport}, Extra: extra})
			wantText := func(what string, got nodetest.Args, want string) {
				t.Helper()
				if got.String() != want {
					t.Errorf("%s: got %s\nwant %s", what, got, want)
				}
			}
			in := map[string]any{
				"id": 1, "made": "2026-01-02T03:04:05Z", "flag": true, "small": -5, "big": 7, "ratio": 0.5, "level": "high",
				"tags": map[string]any{"a": "b"}, "data": nodetest.Binary{1, 2, 3}, "pair": []int{1, 2}, "Plain": "é",
				"page": map[string]any{"items": []any{map[string]any{"name": "x", "level": "low"}}}, "extra": map[string]any{"deep": nodetest.Binary{9}},
				"tree": map[string]any{"value": 1, "right": map[string]any{"value": 2}}, "ports": map[string]any{"80": true},
			}
			wantText("an object", c.MustCall("put", in), `[{"id":1,"made":"2026-01-02T03:04:05Z","flag":true,"small":-5,"big":7,"ratio":0.5,"note":null,`+
				`"level":"high","tags":{"a":"b"},"ports":{"80":true},"data":{"$binary":"AQID"},"pair":[1,2],"page":{"items":[{"name":"x","level":"low"}],"next":null},`+
				`"extra":{"deep":{"$binary":"CQ=="}},"tree":{"left":null,"right":{"left":null,"right":null,"value":2},"value":1},"Plain":"é"}]`)
			wantText("several arguments", c.MustCall("go", 1, 2), `[1,2]`)
			wantText("optional arguments", c.MustCall("go", 1, 2, nil, "low"), `[1,2,null,"low"]`)
			wantText("a union with binary data", c.MustCall("draw", map[string]any{"kind": "square", "side": 1, "inside": []any{map[string]any{"kind": "circle", "radius": 2, "icon": nodetest.Binary{7}}}}),
				`[{"kind":"square","side":1,"inside":[{"kind":"circle","radius":2,"icon":{"$binary":"Bw=="}}]}]`)
			wantText("binary data everywhere", c.MustCall("send", "a", nodetest.Binary{1}, -3, "#c", "90s", map[string]any{"m": nodetest.Binary{4}},
				map[string]any{"x": nodetest.Binary{2}}, []any{map[string]any{"kind": "circle", "radius": 1.5, "icon": nodetest.Binary{3}}}, 65535),
				`["a",{"$binary":"AQ=="},-3,"#c","1m30s",{"m":{"$binary":"BA=="}},{"x":{"$binary":"Ag=="}},[{"kind":"circle","radius":1.5,"icon":{"$binary":"Aw=="}}],65535]`)
			wantText("large numbers", c.MustCall("numbers", map[string]any{"min": math.MinInt32, "int": -1 << 53, "uint": 1 << 53, "float": -1.5e-300, "small": 0.1, "whole": 3.0}),
				`[{"min":-2147483648,"int":-9007199254740992,"uint":9007199254740992,"float":-1.5e-300,"small":0.1,"whole":3}]`)
			wantText("a Date", c.MustCall("later", nodetest.Date(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC))), `["2026-01-02T03:04:05.678Z"]`)
			for _, misfit := range []struct {
				event          string
				args           []any
				path, expected string
			}{
				{"send", []any{nodetest.Binary{1}}, "/0", "a string"},
				{"send", []any{"a", map[string]any{"_placeholder": true, "num": 0}}, "/1", "binary data"},
				{"send", []any{"a", nodetest.Binary{1}, 4}, "/2", "one of 1, 2, -3"},
				{"send", []any{"a", nodetest.Binary{1}, 1, nodetest.Binary{1}}, "/3", "another value"},
				{"send", []any{"a", nodetest.Binary{1}, 1, "#", "1s", 1, nodetest.Binary{1}}, "/6", "an object"},
				{"send", []any{"a", nodetest.Binary{1}, 1, "#", "1s", 1, nil, nil, nil, 1}, "/9", "9 arguments"},
				{"later", []any{5}, "/0", "a time in the form of RFC 3339"},
				{"numbers", []any{map[string]any{"min": 1.5}}, "/0/min", "an integer from -2147483648 to 2147483647"},
				{"numbers", []any{map[string]any{"min": 1 << 40}}, "/0/min", "an integer from -2147483648 to 2147483647"},
				{"double", []any{nodetest.Binary{1}}, "/0", "an integer of at most 64 bits"},
			} {
				wantText("a misfit", c.MustCall(misfit.event, misfit.args...), fmt.Sprintf(`[{"error":{"code":"invalid_argument","message":%s,"data":{"expected":%q,"path":%q}}}]`,
					must(json.Marshal("expected "+misfit.expected+" at "+misfit.path)), misfit.expected, misfit.path))
			}
			wantText("no arguments", c.MustCall("ping"), `[]`)
			wantText("a scalar", c.MustCall("double", 21), `[42]`)
			wantText("a list", c.MustCall("list", []any{}), `[[]]`)
			wantText("binary data for an object", c.MustCall("draw", nodetest.Binary{1}),
				`[{"error":{"code":"invalid_argument","message":"expected one of \"circle\", \"square\" at /0/kind","data":{"expected":"one of \"circle\", \"square\"","path":"/0/kind"}}}]`)
			in["data"] = "x"
			wantText("a misfit", c.MustCall("put", in),
				`[{"error":{"code":"invalid_argument","message":"expected binary data at /0/data","data":{"expected":"binary data","path":"/0/data"}}}]`)
			wantText("the connection goes on", c.MustCall("double", 1), `[2]`)

			wantText("announce", c.MustCall("announce"), `[]`)
			for _, want := range []string{`[1,-2]`, `[3,4,"here"]`, `[5,6,null,"high"]`} {
				wantText("a notice", c.MustNext("said"), want)
			}
			wantText("a notice of a union", c.MustNext("drawn"), `[{"kind":"circle","radius":1,"icon":{"$binary":"AQI="}}]`)
			wantText("a notice of a union", c.MustNext("drawn"), `[{"kind":"square","side":2,"inside":[{"kind":"square","side":1},{"kind":"circle","radius":0}]}]`)

			c.Answer("sure", "high")
			wantText("an answer", c.MustCall("ask"), `["high",null]`)
			c.Answer("sure", "mid")
			wantText("an answer that does not fit", c.MustCall("ask"), `["misfit","sure","/0","one of \"low\", \"high\""]`)
		})
	}
}

// numbers has a number of each size.
type numbers struct {
	Min   int32   `json:"min"`
	Int   int64   `json:"int"`
	Uint  uint64  `json:"uint"`
	Float float64 `json:"float"`
	Small float32 `json:"small"`
	Whole int     `json:"whole"`
}

// TestM1_SentValues: nil slices and maps are sent as empty ones, kinds are set, and values of
// the caller stay as they are.
func TestM1_SentValues(t *testing.T) {
	t.Parallel()
	type inner struct {
		List []string          `json:"list"`
		Map  map[string]string `json:"map"`
	}
	type value struct {
		*Base
		List    []inner          `json:"list"`
		Omitted []int            `json:"omitted,omitempty"`
		ByName  map[string]inner `json:"byName"`
		Pointer *inner           `json:"pointer"`
		Data    []byte           `json:"data"`
		Shape   Shape            `json:"shape"`
		Pair    [2][]int         `json:"pair"`
	}
	sent := &recorder{}
	v := value{List: []inner{{}}, ByName: map[string]inner{"a": {}}, Pointer: &inner{}, Shape: Circle{Radius: 1}}
	if err := contract.Notice[value]("n").Emit(sent, v); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(sent.args)
	want := `[{"list":[{"list":[],"map":{}}],"byName":{"a":{"list":[],"map":{}}},"pointer":{"list":[],"map":{}},"data":"","shape":{"kind":"circle","radius":1},"pair":[[],[]]}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	if v.List[0].List != nil || v.ByName["a"].Map != nil || v.Pointer.List != nil || v.Data != nil || v.Shape.(Circle).Kind != "" {
		t.Errorf("the value was changed: %+v", v)
	}
	if err := contract.Notice[[]int]("n").Emit(sent, nil); err != nil || string(must(json.Marshal(sent.args))) != "[[]]" {
		t.Errorf("a nil slice: got %v, %v", sent.args, err)
	}
	if err := contract.Notice[Shape]("n").Emit(sent, nil); err != nil || string(must(json.Marshal(sent.args))) != "[null]" {
		t.Errorf("a union without a value: got %v, %v", sent.args, err)
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// recorder is a contract.Emitter.
type recorder struct{ args []any }

func (r *recorder) Emit(_ string, args ...any) error { r.args = args; return nil }
