package gen

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// form is what is known of a value.
type form int

const (
	received  form = iota // by the server, which checks the rules
	unchecked             // received, where rules do not hold
	sent                  // by the server, which sets constants, and makes nil lists and maps empty
	stored                // in a session, as encoding/json writes it
)

// suffixes are the ends of the names of definitions.
var suffixes = map[form]string{unchecked: ".unchecked", sent: ".sent", stored: ".stored"}

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
func (g *schemas) arguments(a Args, as form) object {
	s := object{{"type", "array"}}
	items, least := []object{}, 0
	for i, f := range a.List {
		item := g.field(f, as)
		if a.Tuple {
			item = append(object{{"title", f.Name}}, g.besides(item)...)
		}
		items = append(items, item)
		if isRequired(f, as) {
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

// isRequired reports whether a field, or an argument, must be there.
func isRequired(f Field, as form) bool {
	switch {
	case !f.Optional:
		return true
	case f.Below:
		return false
	case as == received:
		return !fitsZero(f.Type, f.Rules, f.Pointer)
	}
	return as == sent && f.Const != ""
}

// isNullable reports whether a field, or an argument, can be null.
func isNullable(f Field, as form) bool {
	switch as {
	case received:
		return f.Nullable && fitsZero(f.Type, f.Rules, f.Pointer)
	case stored:
		return f.Nullable || !f.Omitted && canBeNil(f.Type)
	}
	return f.Nullable
}

// canBeNil reports whether encoding/json writes null for a value of t that is no pointer.
func canBeNil(t *Type) bool {
	return t.Kind == List && t.Len < 0 || t.Kind == Map || t.Kind == Binary || t.Kind == Union
}

// field returns the schema of a field or an argument.
func (g *schemas) field(f Field, as form) object {
	s := g.value(f.Type, f.Rules, as, f.Pointer)
	if as == sent && f.Const != "" {
		g.merge(&s, object{{"const", f.Const}})
	}
	switch {
	case isNullable(f, as):
		s = orNull(s)
	case f.Pointer && f.Type.Kind == Any: // null is nil
		g.merge(&s, object{{"not", null}})
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
func (g *schemas) value(t *Type, r Rules, as form, pointer bool) object {
	below := as
	if as == received && (r.Skip || r.has("structonly", "nostructlevel")) {
		below = unchecked
	}
	var s object
	if t.Name != "" && (t.Elem == nil || below != received || r.Elem == nil) {
		s = g.ref(g.define(t, below))
	} else {
		s = g.body(t, r, below)
	}
	if as == received && !r.Skip {
		g.apply(&s, t, r.Own, pointer)
	}
	return s
}

// define adds t to the definitions and returns its name there.
func (g *schemas) define(t *Type, as form) string {
	name := t.Name
	if g.draft7 { // AsyncAPI allows few characters
		name = other.ReplaceAllStringFunc(name, func(s string) string { return fmt.Sprintf("u%04X", []rune(s)[0]) })
	}
	if as != received && !differs(t, as, sent) {
		as = sent
	}
	if as == sent && !differs(t, sent, received) {
		as = received
	}
	name += suffixes[as]
	g.used[name] = func() object {
		s := g.body(t, Rules{}, as)
		if t.Doc == "" {
			return s
		}
		return g.describe(s, t.Doc)
	}
	return name
}

var other = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// body returns the schema of t without the rules for itself.
func (g *schemas) body(t *Type, r Rules, as form) object {
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
		return g.list(t, r, as)
	case Map:
		return g.mapping(t, r, as)
	case Struct:
		return g.structure(t, as)
	case Enum:
		s := object{{"type", "string"}}
		if !t.isText() {
			s = object{{"type", "integer"}}
		}
		s.set("enum", raw(t.Values))
		return s
	case Union:
		return g.union(t, as)
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
func (g *schemas) elem(t *Type, r Rules, as form) object {
	below := Rules{}
	switch {
	case r.Elem != nil:
		below = *r.Elem
	case as == received:
		as = unchecked
	}
	s := g.value(t.Elem, below, as, t.NullElem)
	switch {
	case t.NullElem && (as != received || fitsNil(below)) || as == stored && canBeNil(t.Elem):
		s = orNull(s)
	case t.NullElem && t.Elem.Kind == Any:
		g.merge(&s, object{{"not", null}})
	}
	return s
}

func (g *schemas) list(t *Type, r Rules, as form) object {
	s := object{{"type", "array"}, {"items", g.elem(t, r, as)}}
	if t.Len >= 0 {
		s.set("minItems", t.Len)
		s.set("maxItems", t.Len)
	}
	return s
}

func (g *schemas) mapping(t *Type, r Rules, as form) object {
	s := object{{"type", "object"}, {"additionalProperties", g.elem(t, r, as)}}
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
	if as == received {
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

func (g *schemas) structure(t *Type, as form) object {
	properties, required := object{}, []string{}
	for _, f := range t.Fields {
		properties.set(f.Name, g.field(f, as))
		if isRequired(f, as) {
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
	if as == received {
		for _, e := range t.Embedded {
			for _, r := range e.Rules {
				g.note(&s, r.Text+" of "+e.Name)
			}
		}
	}
	return s
}

func (g *schemas) union(t *Type, as form) object {
	members := []object{}
	for _, m := range t.Members {
		s := g.value(m, Rules{}, as, false)
		if kind := kindOf(m); isLoose(kind, as) {
			s = g.besides(s)
			s.set("properties", object{{kind.Name, object{{"const", kind.Const}}}})
			s.set("required", []string{kind.Name})
			s = append(object{{"type", "object"}}, s...)
		}
		members = append(members, s)
	}
	return object{{"oneOf", members}}
}

// kindOf returns the field that tells which member of a union an object is.
func kindOf(member *Type) Field {
	return member.Fields[slices.IndexFunc(member.Fields, func(f Field) bool { return f.Const != "" })]
}

// isLoose reports whether the kind of a member of a union can be missing, or another one, where the
// member is not in the union.
func isLoose(kind Field, as form) bool {
	return as == unchecked || as == received && fitsZero(kind.Type, kind.Rules, kind.Pointer)
}

// differs reports whether the schemas of t in two forms differ.
func differs(t *Type, a, b form) bool {
	return (&difference{map[compared]bool{}}).in(t, a, b)
}

// difference finds out whether two forms of a type differ.
type difference struct{ seen map[compared]bool }

type compared struct {
	*Type
	a, b form
}

// visited reports whether two forms of a type are compared already.
func (d *difference) visited(t *Type, a, b form) bool {
	seen := d.seen[compared{t, a, b}]
	d.seen[compared{t, a, b}] = true
	return seen
}

// in reports whether t differs without rules of its own.
func (d *difference) in(t *Type, a, b form) bool {
	if t.Elem != nil {
		return d.of(t, Rules{}, "", a, b)
	}
	if a == b || d.visited(t, a, b) {
		return false
	}
	if len(t.Embedded) > 0 && (a == received || b == received) {
		return true
	}
	for _, m := range t.Members {
		if d.in(m, a, b) || isLoose(kindOf(m), a) != isLoose(kindOf(m), b) {
			return true
		}
	}
	for _, f := range t.Fields {
		if isRequired(f, a) != isRequired(f, b) || isNullable(f, a) != isNullable(f, b) || constIn(f, a) != constIn(f, b) || d.of(f.Type, f.Rules, f.Const, a, b) {
			return true
		}
	}
	return false
}

// constIn returns the only value of a field in a form, or "".
func constIn(f Field, as form) string {
	if as == sent || as == received && !f.Rules.Skip {
		return f.Const
	}
	return ""
}

// of reports whether a value of t with rules differs. A constant makes no difference.
func (d *difference) of(t *Type, r Rules, constant string, a, b form) bool {
	if a == b {
		return false
	}
	if (a == received || b == received) && !r.Skip {
		for _, rule := range r.Own {
			if constant == "" || rule.Name != "eq" || rule.Param != constant {
				return true
			}
		}
		if len(r.Keys) > 0 {
			return true
		}
	}
	below := func(as form, checked bool) form {
		if as == received && !checked {
			return unchecked
		}
		return as
	}
	if t.Elem == nil {
		checked := !r.Skip && !r.has("structonly", "nostructlevel")
		return d.in(t, below(a, checked), below(b, checked))
	}
	if (a == stored || b == stored) && canBeNil(t.Elem) && !t.NullElem {
		return true
	}
	elem := Rules{}
	if r.Elem != nil {
		elem = *r.Elem
	} else if d.visited(t, a, b) {
		return false
	}
	checked := !r.Skip && r.Elem != nil
	return d.of(t.Elem, elem, "", below(a, checked), below(b, checked))
}
