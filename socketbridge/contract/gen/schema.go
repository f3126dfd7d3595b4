package gen

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// schemas makes JSON Schemas of types. Each type with a name is a definition of its own.
type schemas struct {
	refs   string // where definitions are
	draft7 bool   // as AsyncAPI wants it, instead of 2020-12
	used   map[string]func() object
}

// binaryText is base64 as the runtime accepts it, without line breaks.
const binaryText = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

var (
	nothing = object{{"not", object{}}}
	null    = object{{"type", "null"}}

	binarySchema = object{
		{"description", "Binary data: an attachment. As JSON, a string in base64."},
		{"type", "string"},
		{"contentEncoding", "base64"},
		{"pattern", binaryText},
	}
	failureSchema = object{
		{"description", "The answer to an event that failed."},
		{"type", "object"},
		{"properties", object{
			{"error", object{
				{"type", "object"},
				{"properties", object{
					{"code", object{{"type", "string"}}},
					{"message", object{{"type", "string"}}},
					{"data", object{}},
				}},
				{"required", []string{"code", "message"}},
			}},
		}},
		{"required", []string{"error"}},
	}
)

func newSchemas(refs string, draft7 bool) *schemas {
	return &schemas{refs: refs, draft7: draft7, used: map[string]func() object{
		"Binary":  func() object { return binarySchema },
		"Failure": func() object { return failureSchema },
	}}
}

// definitions adds the schemas of all types that were used so far, and those below, to o.
func (g *schemas) definitions(o *object) {
	done := map[string]object{}
	for len(done) < len(g.used) {
		for name, make := range g.used {
			if _, ok := done[name]; !ok {
				done[name] = make()
			}
		}
	}
	for _, name := range sorted(done) {
		o.set(name, done[name])
	}
}

// ref returns a reference to a definition.
func (g *schemas) ref(name string) object {
	return object{{"$ref", g.refs + pointerPart(name)}}
}

// pointerPart returns a name as part of a JSON pointer in a URI.
func pointerPart(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

// arguments returns the schema of an array of arguments, or of its only one if alone.
func (g *schemas) arguments(a Args, checked bool) object {
	s := object{{"type", "array"}}
	items, least := []object{}, 0
	for i, f := range a.List {
		item := g.field(f, checked)
		if a.Tuple {
			item = append(object{{"title", f.Name}}, g.besides(item)...)
		}
		items = append(items, item)
		if isRequired(f, checked) {
			least = i + 1
		}
	}
	if len(items) > 0 {
		s.set(g.tuple(), items)
		if least > 0 {
			s.set("minItems", least)
		}
	}
	if a.Strict {
		s.set("maxItems", len(items))
	}
	return s
}

func (g *schemas) tuple() string {
	if g.draft7 {
		return "items"
	}
	return "prefixItems"
}

// isRequired reports whether a field, or an argument, must be there. What the server sends always
// has the fields that are constants.
func isRequired(f Field, checked bool) bool {
	return !f.Optional || !f.Below && (f.Const != "" || checked && !fitsZero(f.Type, f.Rules, f.Pointer))
}

// isNullable reports whether a field, or an argument, can be null.
func isNullable(f Field, checked bool) bool {
	return f.Nullable && (!checked || fitsZero(f.Type, f.Rules, f.Pointer))
}

// field returns the schema of a field or an argument. Rules hold for what the server checks,
// and not for what it sends.
func (g *schemas) field(f Field, checked bool) object {
	checked = checked && !f.Rules.Skip
	s := g.value(f.Type, f.Rules, checked, f.Pointer)
	if !checked && f.Const != "" {
		g.merge(&s, object{{"const", f.Const}})
	}
	if isNullable(f, checked) {
		s = orNull(s)
	}
	if f.Doc == "" {
		return s
	}
	return g.describe(s, f.Doc)
}

// besides returns s such that other keywords can be added. Draft 7 ignores those beside $ref.
func (g *schemas) besides(s object) object {
	if _, ref := s.get("$ref"); ref && g.draft7 {
		return object{{"allOf", []object{s}}}
	}
	return s
}

// describe returns s with text before its own description.
func (g *schemas) describe(s object, text string) object {
	out := object{{"description", text}}
	for _, m := range g.besides(s) {
		if m.name == "description" {
			out[0].value = text + "\n" + m.value.(string)
			continue
		}
		out = append(out, m)
	}
	return out
}

// note adds a sentence about a rule that JSON Schema does not have.
func (g *schemas) note(s *object, rule string) {
	for i, m := range *s {
		if m.name == "description" {
			(*s)[i].value = m.value.(string) + " Rule: " + rule + "."
			return
		}
	}
	*s = g.describe(*s, "Rule: "+rule+".")
}

// orNull returns s, or null.
func orNull(s object) object {
	if len(s) == 0 {
		return s
	}
	return object{{"anyOf", []object{s, null}}}
}

// value returns the schema of a value with rules.
func (g *schemas) value(t *Type, r Rules, checked, pointer bool) object {
	below := checked && !r.has("structonly", "nostructlevel")
	var s object
	switch {
	case t.Name != "":
		s = g.ref(g.define(t, below))
	default:
		s = g.body(t, r, below)
	}
	if checked {
		g.apply(&s, t, r.Own, pointer)
	}
	return s
}

// define adds t to the definitions and returns its name there.
func (g *schemas) define(t *Type, checked bool) string {
	name := t.Name
	if g.draft7 { // AsyncAPI allows few characters
		name = other.ReplaceAllStringFunc(name, func(s string) string { return fmt.Sprintf("u%04X", []rune(s)[0]) })
	}
	if !checked && hasRules(t, map[*Type]bool{}) {
		name += ".sent"
	}
	g.used[name] = func() object {
		s := g.body(t, Rules{}, checked)
		if t.Doc == "" {
			return s
		}
		return g.describe(s, t.Doc)
	}
	return name
}

var other = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// body returns the schema of t without the rules for itself.
func (g *schemas) body(t *Type, r Rules, checked bool) object {
	switch t.Kind {
	case Bool:
		return object{{"type", "boolean"}}
	case String:
		return object{{"type", "string"}}
	case Time:
		return object{{"type", "string"}, {"format", "date-time"}}
	case Text:
		return object{{"description", "The text of a Go " + t.Go + "."}, {"type", "string"}}
	case Integer:
		return integer(t)
	case Number:
		if t.Bits == 32 {
			// The first number that is rounded to more than the largest float32.
			const limit = 0x1.ffffffp127
			return object{{"type", "number"}, {"exclusiveMinimum", -limit}, {"exclusiveMaximum", limit}}
		}
		return object{{"type", "number"}}
	case Binary:
		return g.ref("Binary")
	case List:
		return g.list(t, r, checked)
	case Map:
		return g.mapping(t, r, checked)
	case Struct:
		return g.structure(t, checked)
	case Enum:
		s := object{{"type", "string"}}
		if !t.isText() {
			s = object{{"type", "integer"}}
		}
		s.set("enum", raw(t.Values))
		return s
	case Union:
		return g.union(t, checked)
	}
	if t.Go != "" && t.Go != "json.RawMessage" && t.Go != "socketbridge.Value" {
		return object{{"description", "The JSON of a Go " + t.Go + "."}}
	}
	return object{}
}

// integer returns the schema of an integer in the range of its type.
func integer(t *Type) object {
	least, most := "0", strconv.FormatUint(math.MaxUint64>>(64-t.Bits), 10)
	if !t.Unsigned {
		least, most = strconv.FormatInt(math.MinInt64>>(64-t.Bits), 10), strconv.FormatInt(math.MaxInt64>>(64-t.Bits), 10)
	}
	return object{{"type", "integer"}, {"minimum", json.RawMessage(least)}, {"maximum", json.RawMessage(most)}}
}

func raw(texts []string) (list []json.RawMessage) {
	for _, text := range texts {
		list = append(list, json.RawMessage(text))
	}
	return list
}

// elem returns the schema of an element of t. The runtime checks elements only after dive.
func (g *schemas) elem(t *Type, r Rules, checked bool) object {
	checked = checked && r.Elem != nil
	below := Rules{}
	if checked {
		below = *r.Elem
	}
	s := g.value(t.Elem, below, checked, t.NullElem)
	if t.NullElem && fitsNil(below) {
		s = orNull(s)
	}
	return s
}

func (g *schemas) list(t *Type, r Rules, checked bool) object {
	s := object{{"type", "array"}, {"items", g.elem(t, r, checked)}}
	if t.Len >= 0 {
		s.set("minItems", t.Len)
		s.set("maxItems", t.Len)
	}
	return s
}

func (g *schemas) mapping(t *Type, r Rules, checked bool) object {
	s := object{{"type", "object"}, {"additionalProperties", g.elem(t, r, checked)}}
	keys := object{{"type", "string"}}
	switch {
	case t.Keys != nil && t.IntKeys:
		var texts []string
		for _, key := range t.Keys {
			texts = append(texts, quote(key))
		}
		keys.set("enum", raw(texts))
	case t.Keys != nil:
		keys.set("enum", raw(t.Keys))
	case t.Unsigneds:
		keys.set("pattern", "^[0-9]+$")
	case t.IntKeys:
		keys.set("pattern", "^-?[0-9]+$")
	}
	if checked {
		kind := &Type{Kind: String, Len: -1}
		if t.IntKeys {
			kind.Kind = Any // rules for numbers do not fit a string
		}
		g.apply(&keys, kind, r.Keys, false)
	}
	if len(keys) > 1 {
		s.set("propertyNames", keys)
	}
	return s
}

func (g *schemas) structure(t *Type, checked bool) object {
	properties, required := object{}, []string{}
	for _, f := range t.Fields {
		properties.set(f.Name, g.field(f, checked))
		if isRequired(f, checked) {
			required = append(required, f.Name)
		}
	}
	s := object{{"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		s.set("required", required)
	}
	if t.Strict {
		s.set("additionalProperties", false)
	}
	return s
}

func (g *schemas) union(t *Type, checked bool) object {
	members := []object{}
	for _, m := range t.Members {
		members = append(members, g.value(m, Rules{}, checked, false))
	}
	return object{{"oneOf", members}}
}

// hasRules reports whether the schema of t differs for what the server checks and what it
// sends.
func hasRules(t *Type, seen map[*Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	for _, m := range t.Members {
		if hasRules(m, seen) {
			return true
		}
	}
	for _, f := range t.Fields {
		if rulesDiffer(f.Type, f.Rules, f.Const, seen) || !f.Rules.Skip && f.Optional && f.Const == "" && !fitsZero(f.Type, f.Rules, f.Pointer) {
			return true
		}
	}
	return false
}

// rulesDiffer reports whether rules make a difference for a value of t. A constant makes none.
func rulesDiffer(t *Type, r Rules, constant string, seen map[*Type]bool) bool {
	if r.Skip {
		return false
	}
	for _, rule := range r.Own {
		if constant == "" || rule.Name != "eq" || rule.Param != constant {
			return true
		}
	}
	if t.Elem != nil {
		return len(r.Keys) > 0 || r.Elem != nil && rulesDiffer(t.Elem, *r.Elem, "", seen)
	}
	return hasRules(t, seen)
}
