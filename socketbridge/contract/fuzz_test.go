package contract_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// payloads generates JSON from Go types, independently of what the package knows of them. At
// one place, if wrong is one of their numbers, it makes a mistake.
type payloads struct {
	*rand.Rand
	places int // so far
	wrong  int // the place of the mistake, or -1
}

// mistake reports whether the next place is the wrong one.
func (g *payloads) mistake() bool {
	g.places++
	return g.places-1 == g.wrong
}

func (g *payloads) pick(of ...string) string { return of[g.IntN(len(of))] }

// value returns JSON for a value of t with the rules of tag.
func (g *payloads) value(t reflect.Type, tag string, depth int) string {
	own, below, dive := strings.Cut(tag, "dive")
	if !dive {
		below = ""
	}
	below = strings.Trim(below, ",")
	least, most, eq := 0, 5, ""
	for rule := range strings.SplitSeq(own, ",") {
		name, param, _ := strings.Cut(rule, "=")
		switch n, _ := strconv.Atoi(param); name {
		case "min":
			least, most = n, n+5
		case "eq":
			eq = param
		}
	}
	for rule := range strings.SplitSeq(own, ",") {
		if n, ok := strings.CutPrefix(rule, "max="); ok {
			most, _ = strconv.Atoi(n)
			if g.ruleApplies(t) && g.mistake() {
				return g.tooMuch(t, most+1)
			}
		}
	}
	switch t {
	case reflect.TypeFor[any](), reflect.TypeFor[json.RawMessage]():
		return g.pick("null", "1", `"x"`, `{"y":1}`, "[[],{}]")
	case reflect.TypeFor[json.Number]():
		if g.mistake() {
			return g.pick("null", `"1"`, "[]")
		}
		return g.pick("0", "-1.5", "1e99")
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && t.String() == "time.Time" {
		if g.mistake() {
			return g.pick("null", `"yesterday"`, "7", `"2026-13-01T00:00:00Z"`)
		}
		return g.pick(`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.678+02:00"`)
	}
	if t == reflect.TypeFor[Level]() {
		if g.mistake() {
			return g.pick("null", `"LOW"`, `""`, "0")
		}
		return g.pick(`"low"`, `"h\u0069gh"`)
	}
	switch t.Kind() {
	case reflect.Pointer:
		if depth > 4 || g.IntN(2) == 0 {
			return "null"
		}
		if text := g.value(t.Elem(), tag, depth+1); text != "null" {
			return text
		}
		return `{"x":[]}` // a mistake too, which null is not here
	case reflect.Interface: // Shape is the only one
		if g.mistake() {
			return g.pick("null", "{}", `{"kind":"star"}`, `{"kind":null,"side":1}`, "[]", `{"radius":1}`)
		}
		if depth > 3 || g.IntN(2) == 0 {
			return g.value(reflect.TypeFor[Circle](), "", depth+1)
		}
		return g.value(reflect.TypeFor[Square](), "", depth+1)
	case reflect.Bool:
		if g.mistake() {
			return g.pick("null", "0", `"true"`, "{}")
		}
		return g.pick("true", "false")
	case reflect.String:
		if g.mistake() {
			return g.pick("null", "0", "true", "[]", `{"_placeholder":true,"num":0}`)
		}
		if eq != "" {
			return strconv.Quote(eq)
		}
		return `"` + strings.Repeat(g.pick("a", "é", `\n`, `\u00e9`, `\"`), least+g.IntN(most-least+1)) + `"`
	case reflect.Float32, reflect.Float64:
		if g.mistake() {
			return g.pick("null", `"1"`, "true", "{}")
		}
		return g.pick("0", "1.5", "-2e2", "3.0E0")
	case reflect.Slice, reflect.Array:
		return g.list(t, below, least, most, depth)
	case reflect.Map:
		if g.mistake() {
			return g.pick("null", "[]", `"x"`, "0")
		}
		var pairs []string
		for i := range g.IntN(3) {
			pairs = append(pairs, fmt.Sprintf(`"%d":%s`, i, g.value(t.Elem(), below, depth+1)))
		}
		return "{" + strings.Join(pairs, ",") + "}"
	case reflect.Struct:
		return g.object(t, depth)
	}
	return g.integer(t, least)
}

func (g *payloads) ruleApplies(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Slice || t.Kind() == reflect.Float64
}

// tooMuch returns a value of t that is over a maximum.
func (g *payloads) tooMuch(t reflect.Type, n int) string {
	switch t.Kind() {
	case reflect.String:
		return `"` + strings.Repeat("x", n) + `"`
	case reflect.Slice:
		all := make([]string, n)
		for i := range all {
			all[i] = g.value(t.Elem(), "", 9)
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	return strconv.Itoa(n)
}

func (g *payloads) integer(t reflect.Type, least int) string {
	v := reflect.Zero(t)
	if least > 0 && g.mistake() {
		return strconv.Itoa(least - 1)
	}
	if v.CanUint() {
		if g.mistake() {
			return g.pick("null", "-1", "0.5", `"1"`, "18446744073709551616", "1e30")
		}
		return g.pick("0", "1", "1.0", "2e1", strconv.FormatUint(math.MaxUint64>>(64-t.Bits()), 10))
	}
	if g.mistake() {
		return g.pick("null", "0.5", `"1"`, "true", "9223372036854775808", "-1e30")
	}
	return g.pick(strconv.Itoa(max(least, 0)), "1", "7.0", strconv.FormatInt(math.MaxInt64>>(64-t.Bits()), 10))
}

func (g *payloads) list(t reflect.Type, below string, least, most, depth int) string {
	if t.Elem().Kind() == reflect.Uint8 {
		if g.mistake() {
			return g.pick("null", "[1,2]", `"%"`, "7", `{"_placeholder":true,"num":0}`)
		}
		return g.pick(`""`, `"AQI="`)
	}
	if g.mistake() {
		return g.pick("null", "{}", `"x"`, "0")
	}
	n := least + g.IntN(min(most, 3)-least+1)
	if t.Kind() == reflect.Array {
		if n = t.Len(); g.mistake() {
			n += 1 - 2*g.IntN(2)
		}
	}
	if depth > 4 && t.Kind() == reflect.Slice {
		n = least
	}
	var all []string
	for range n {
		all = append(all, g.value(t.Elem(), below, depth+1))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (g *payloads) object(t reflect.Type, depth int) string {
	if g.mistake() {
		return g.pick("null", "[]", `"x"`, "0", `{"_placeholder":true,"num":0}`)
	}
	var pairs []string
	g.fields(t, &pairs, depth)
	strict := false
	for i := range t.NumField() {
		strict = strict || t.Field(i).Type == reflect.TypeFor[contract.Strict]()
	}
	switch {
	case strict:
		if g.mistake() {
			pairs = append(pairs, `"no such":1`)
		}
	case g.IntN(4) == 0:
		pairs = append(pairs, `"no such":[{"x":"]}"}]`)
	}
	if len(pairs) > 0 && g.mistake() {
		pairs = append(pairs, pairs[0])
	}
	g.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return "{" + strings.Join(pairs, g.pick(",", " , ", ",\n")) + "}"
}

func (g *payloads) fields(t reflect.Type, pairs *[]string, depth int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			g.fields(f.Type, pairs, depth)
			continue
		case name == "":
			name = f.Name
		}
		optional := options != "" || f.Type.Kind() == reflect.Pointer
		if optional && (depth > 4 || g.IntN(2) == 0) || !optional && g.mistake() {
			continue // which is the mistake, if the field is required
		}
		*pairs = append(*pairs, fmt.Sprintf("%q:%s", name, g.value(f.Type, f.Tag.Get("validate"), depth+1)))
	}
}

// arguments returns the arguments of an event with the argument type t.
func (g *payloads) arguments(t reflect.Type) (args []string) {
	if t != reflect.TypeFor[Move]() {
		if t.Kind() != reflect.Pointer && g.mistake() {
			return nil
		}
		tag := ""
		if t.Kind() == reflect.Slice {
			tag = "dive"
		}
		return []string{g.value(t, tag, 0)}
	}
	n := 2 + g.IntN(3)
	if g.mistake() {
		n = g.IntN(2)
	}
	for i := range n {
		f := t.Field(i + 1)
		if i == 3 && g.IntN(2) == 0 {
			args = append(args, "null")
			continue
		}
		text := g.value(f.Type, "", 0)
		if i == 3 && text == "null" {
			text = "0" // a mistake too, which null is not here
		}
		args = append(args, text)
	}
	return args
}

var fuzzed = []struct {
	event string
	in    reflect.Type
}{
	{string(Put), reflect.TypeFor[Everything]()},
	{string(Go), reflect.TypeFor[Move]()},
	{string(Draw), reflect.TypeFor[Shape]()},
	{string(Double), reflect.TypeFor[int]()},
	{string(Perhaps), reflect.TypeFor[*int]()},
	{string(List), reflect.TypeFor[[]Item]()},
}

// FuzzM1_Payloads: payloads that are derived from the Go types reach the handler, and those
// with one mistake do not.
func FuzzM1_Payloads(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint16(0), uint8(seed))
		f.Add(seed, uint16(seed+1), uint8(seed))
	}
	io := newServer(f)
	var reached atomic.Int64
	register(io, func() { reached.Add(1) })
	conn := answering{sent: make(chan string, 1)}
	r, err := io.Accept(conn)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Closed(transport.TransportClose, nil) })
	send := func(t testing.TB, text string) string {
		if err := r.Receive(transport.Message{Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		return <-conn.sent
	}
	send(f, "0")
	f.Fuzz(func(t *testing.T, seed uint64, place uint16, event uint8) {
		e := fuzzed[int(event)%len(fuzzed)]
		g := &payloads{Rand: rand.New(rand.NewPCG(seed, 0)), wrong: -1}
		args := g.arguments(e.in)
		wrong := place > 0 && g.places > 0
		if wrong {
			g = &payloads{Rand: rand.New(rand.NewPCG(seed, 0)), wrong: int(place) % g.places}
			args = g.arguments(e.in)
		}
		before := reached.Load()
		got := send(t, fmt.Sprintf("20[%s]", strings.Join(append([]string{strconv.Quote(e.event)}, args...), ",")))
		refused := strings.HasPrefix(got, `30[{"error":{"code":"invalid_argument"`)
		switch did := reached.Load() != before; {
		case wrong && (did || !refused):
			t.Fatalf("%s %s has a mistake, but got %s; it reached the handler: %v", e.event, args, got, did)
		case !wrong && (!did || strings.HasPrefix(got, `30[{"error"`)):
			t.Fatalf("%s %s fits, but got %s", e.event, args, got)
		}
	})
}
