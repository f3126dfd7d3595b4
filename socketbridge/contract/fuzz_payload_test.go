package contract_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// payloads generates JSON from Go types, independently of what the package knows of them. At
// one place, if wrong is one of their numbers, it makes a mistake.
type payloads struct {
	*rand.Rand
	places int  // so far
	wrong  int  // the place of the mistake, or -1
	plain  bool // the same values as encoding/json reads them, with base64 for attachments
	levels int  // of types that contain themselves

	attachments [][]byte
}

func newPayloads(seed uint64, wrong int, plain bool) *payloads {
	g := &payloads{Rand: rand.New(rand.NewPCG(seed, 0)), wrong: wrong, plain: plain, levels: 4}
	if g.IntN(8) == 0 {
		g.levels = 100 // a packet has at most 128 levels of nesting
	}
	return g
}

// mistake reports whether the next place is the wrong one.
func (g *payloads) mistake() bool {
	g.places++
	return g.places-1 == g.wrong
}

func (g *payloads) pick(of ...string) string { return of[g.IntN(len(of))] }

// either returns a form that only typed events read, or the one of encoding/json.
func (g *payloads) either(typed, plain string) string {
	if g.plain {
		return plain
	}
	return typed
}

const (
	attached = "@attached" // in a list of mistakes: an attachment
	alike    = "@alike"    // an object like a placeholder, in a packet without attachments
	nothing  = `{"x":[]}`  // fits no type of these tests
)

// bad returns one of the values, none of which fits.
func (g *payloads) bad(of ...string) string {
	v := g.pick(of...)
	switch {
	case v != attached:
		return v
	case len(g.attachments) == 10: // the most that a packet can have
		return nothing
	}
	return g.attach([]byte{1})
}

// attach adds an attachment to the packet, and returns its placeholder.
func (g *payloads) attach(data []byte) string {
	g.attachments = append(g.attachments, data)
	n := strconv.Itoa(len(g.attachments) - 1)
	return `{"_placeholder":true,"num":` + n + `}`
}

// binary returns binary data: an attachment, or base64.
func (g *payloads) binary() string {
	data := make([]byte, g.IntN(4))
	for i := range data {
		data[i] = byte(g.Uint32())
	}
	if text := g.IntN(3) == 0; text || g.plain || len(g.attachments) == 10 {
		if g.plain && !text && len(g.attachments) < 10 {
			g.attachments = append(g.attachments, nil) // counts as in the other form
		}
		return strconv.Quote(base64.StdEncoding.EncodeToString(data))
	}
	return g.attach(data)
}

// anything returns a value for types that take all.
func (g *payloads) anything() string { return g.pick("null", "1", `"x"`, `{"y":1}`, "[[],{}]") }

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
	case reflect.TypeFor[any](), reflect.TypeFor[socketbridge.Value]():
		if g.IntN(3) == 0 {
			return g.pick("", " ") + g.binary()
		}
		return g.anything()
	case reflect.TypeFor[json.RawMessage]():
		if g.mistake() {
			return g.bad(attached)
		}
		return g.anything()
	case reflect.TypeFor[json.Number]():
		if g.mistake() {
			return g.bad("null", `"1"`, "[]", attached)
		}
		return g.pick("0", "-1.5", "1e99")
	case reflect.TypeFor[time.Time]():
		if g.mistake() {
			return g.bad("null", `"yesterday"`, "7", `"2026-13-01T00:00:00Z"`, attached)
		}
		return g.pick(`"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.678+02:00"`)
	case reflect.TypeFor[Code]():
		if g.mistake() {
			return g.bad("null", `"x"`, "7", attached)
		}
		return g.pick(`"#1"`, `"#"`)
	case reflect.TypeFor[Secs]():
		if g.mistake() {
			return g.bad("null", `"x"`, "7", attached)
		}
		return `"90s"`
	}
	if values := enumOf(t); t.Kind() != reflect.Pointer && values != nil {
		return g.enum(values)
	}
	switch t.Kind() {
	case reflect.Pointer:
		if depth > g.levels || g.IntN(2) == 0 {
			return "null"
		}
		if text := g.value(t.Elem(), tag, depth+1); text != "null" {
			return text
		}
		return nothing // null would be no mistake here
	case reflect.Interface: // Shape is the only one
		if g.mistake() {
			return g.bad("null", "{}", `{"kind":"star"}`, `{"kind":null,"side":1}`, "[]", `{"radius":1}`, attached)
		}
		if depth > g.levels-1 || g.IntN(2) == 0 {
			return g.value(reflect.TypeFor[Circle](), "", depth+1)
		}
		return g.value(reflect.TypeFor[Square](), "", depth+1)
	case reflect.Bool:
		if g.mistake() {
			return g.bad("null", "0", `"true"`, "{}", attached)
		}
		return g.pick("true", "false")
	case reflect.String:
		return g.text(least, most, eq)
	case reflect.Float32, reflect.Float64:
		if g.mistake() {
			return g.bad("null", `"1"`, "true", "{}", attached, map[int]string{32: "1e39", 64: "-1e309"}[t.Bits()])
		}
		return g.pick("0", "1.5", "-2e2", "3.0E0", "1e-7")
	case reflect.Slice, reflect.Array:
		return g.list(t, below, least, most, depth)
	case reflect.Map:
		return g.mapping(t, below, depth)
	case reflect.Struct:
		return g.object(t, depth)
	}
	return g.integer(t, least)
}

// enumOf returns the values of an enum as JSON, or nil for another type.
func enumOf(t reflect.Type) (values []string) {
	if m, ok := t.MethodByName("Values"); ok {
		all := m.Func.Call([]reflect.Value{reflect.Zero(t)})[0]
		for i := range all.Len() {
			values = append(values, string(must(json.Marshal(all.Index(i).Interface()))))
		}
	}
	return values
}

func (g *payloads) enum(values []string) string {
	if g.mistake() {
		return g.bad("null", `"LOW"`, `""`, "0", "1.5", "[]", attached)
	}
	v := g.pick(values...)
	if s, quoted := strings.CutPrefix(v, `"`); quoted && g.IntN(2) == 0 {
		return fmt.Sprintf(`"\u%04x`, s[0]) + s[1:]
	}
	return v
}

func (g *payloads) text(least, most int, eq string) string {
	if g.mistake() {
		return g.bad("null", "0", "true", "[]", attached, alike)
	}
	if eq != "" {
		return strconv.Quote(eq)
	}
	if least > 0 && g.mistake() {
		return `""`
	}
	return `"` + strings.Repeat(g.pick("a", "é", `\n`, `\u00e9`, `\"`, `\ud83d\ude00`, "@"), least+g.IntN(most-least+1)) + `"`
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
			all[i] = g.value(t.Elem(), "", 99)
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
	if g.mistake() {
		if v.CanUint() {
			return g.bad("null", "-1", "0.5", `"1"`, "18446744073709551616", "1e30", attached)
		}
		return g.bad("null", "0.5", `"1"`, "true", "9223372036854775808", "-1e30", "1e-1", attached)
	}
	most := strconv.FormatUint(math.MaxUint64>>(64-t.Bits()), 10)
	if v.CanInt() {
		most = strconv.FormatInt(math.MaxInt64>>(64-t.Bits()), 10)
	}
	switch g.IntN(6) {
	case 0:
		return g.either("7.0", "7")
	case 1:
		return g.either("2e1", "20")
	case 2:
		return g.either("30E-1", "3")
	case 3:
		return most
	case 4:
		return strconv.Itoa(least)
	}
	return "1"
}

func (g *payloads) list(t reflect.Type, below string, least, most, depth int) string {
	if t.Elem().Kind() == reflect.Uint8 {
		if g.mistake() {
			return g.pick("null", "[1,2]", `"%"`, "7", alike)
		}
		return g.binary()
	}
	if g.mistake() {
		return g.bad("null", "{}", `"x"`, "0", attached)
	}
	n := least + g.IntN(min(most, 3)-least+1)
	if t.Kind() == reflect.Array {
		if n = t.Len(); g.mistake() {
			n += 1 - 2*g.IntN(2)
		}
	}
	if depth > g.levels && t.Kind() == reflect.Slice {
		n = least
	}
	var all []string
	for range n {
		all = append(all, g.value(t.Elem(), below, depth+1))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (g *payloads) mapping(t reflect.Type, below string, depth int) string {
	if g.mistake() {
		return g.bad("null", "[]", `"x"`, "0", attached)
	}
	keys := []string{`"a"`, `"\u0062"`, `"/~\""`, `"_placeholder"`, `""`, `"num"`}
	isInt := t.Key().Kind() == reflect.Int
	if isInt {
		keys = []string{`"0"`, `"-1"`, `"42"`}
		if g.mistake() {
			return `{"x":` + g.value(t.Elem(), below, depth+1) + `}`
		}
	}
	g.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var pairs []string
	for _, key := range keys[:g.IntN(3)] {
		v := g.value(t.Elem(), below, depth+1)
		if key == `"_placeholder"` && v == "true" {
			v = "7" // a mistake too, but no placeholder
		}
		pairs = append(pairs, key+":"+v)
	}
	if len(pairs) > 0 && g.mistake() {
		pairs = append(pairs, g.again(pairs[0]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

// again returns a pair a second time. A placeholder must not occur twice.
func (g *payloads) again(pair string) string {
	if strings.Contains(pair, `"_placeholder":true`) {
		key, _, _ := strings.Cut(pair, ":")
		return key + ":null"
	}
	return pair
}

func (g *payloads) object(t reflect.Type, depth int) string {
	if g.mistake() {
		return g.bad("null", "[]", `"x"`, "0", attached, alike)
	}
	var pairs []string
	g.fields(t, &pairs, depth)
	switch {
	case embeds(t, reflect.TypeFor[contract.Strict]()):
		if g.mistake() {
			pairs = append(pairs, `"no such":1`)
		}
	case g.IntN(8) == 0:
		pairs = append(pairs, `"no such":`+g.binary())
	case g.IntN(4) == 0:
		pairs = append(pairs, g.pick(`"no such":[{"x":"]}"}]`, `"_placeholder":1`))
	}
	if len(pairs) > 0 && g.mistake() {
		pairs = append(pairs, g.again(pairs[0]))
	}
	g.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return "{" + strings.Join(pairs, g.pick(",", " , ", ",\n")) + "}"
}

func embeds(t, marker reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Type == marker {
			return true
		}
	}
	return false
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
		if optional && (depth > g.levels || g.IntN(2) == 0) || !optional && g.mistake() {
			continue // which is the mistake, if the field is required
		}
		key := strconv.Quote(name)
		if g.IntN(8) == 0 {
			key = fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
		}
		*pairs = append(*pairs, key+g.pick(":", " : ")+g.value(f.Type, f.Tag.Get("validate"), depth+1))
	}
}

// arguments returns the arguments of an event with the argument type t.
func (g *payloads) arguments(t reflect.Type) (args []string) {
	if t.Kind() == reflect.Struct && embeds(t, reflect.TypeFor[contract.Tuple]()) {
		args = g.tuple(t)
	} else {
		if t.Kind() != reflect.Pointer && g.mistake() {
			return nil
		}
		tag := ""
		if t.Kind() == reflect.Slice {
			tag = "dive"
		}
		args = []string{g.value(t, tag, 0)}
	}
	look := nothing
	if len(g.attachments) == 0 {
		look = `{"_placeholder":true,"num":0}`
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], alike, look)
	}
	return args
}

func (g *payloads) tuple(t reflect.Type) (args []string) {
	var fields []reflect.StructField
	required := 0
	optional := func(f reflect.StructField) bool {
		return f.Type.Kind() == reflect.Pointer || strings.Contains(f.Tag.Get("json"), ",omit")
	}
	for i := range t.NumField() {
		if f := t.Field(i); !f.Anonymous {
			if fields = append(fields, f); !optional(f) {
				required = len(fields)
			}
		}
	}
	n := required + g.IntN(len(fields)-required+1)
	if g.mistake() {
		n = g.IntN(required)
	}
	for _, f := range fields[:n] {
		if optional(f) && g.IntN(2) == 0 {
			args = append(args, "null")
			continue
		}
		text := g.value(f.Type, f.Tag.Get("validate"), 0)
		if text == "null" && optional(f) && f.Type.Kind() != reflect.Pointer {
			text = nothing // null would be no mistake here
		}
		args = append(args, text)
	}
	if n == len(fields) {
		switch {
		case embeds(t, reflect.TypeFor[contract.Strict]()):
			if g.mistake() {
				args = append(args, "null")
			}
		case g.IntN(4) == 0:
			args = append(args, g.anything())
		}
	}
	return args
}
