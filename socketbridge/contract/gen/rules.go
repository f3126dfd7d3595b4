package gen

import (
	"reflect"
	"slices"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
)

// Rules are those of a `validate` tag.
type Rules struct {
	Own  []Rule
	Keys []Rule // of a Map, between keys and endkeys
	Elem *Rules // after dive; nil if elements are not checked
	Skip bool   // neither the value nor what is in it is checked
}

// Rule is one rule, such as min=3. If it is several of which one has to hold, as in
// "ipv4|ipv6", they are in Or.
type Rule struct {
	Text, Name, Param string
	Or                []Rule
}

func parseRules(tag string) (r Rules) {
	if tag == "-" {
		return Rules{Skip: true}
	}
	to := &r
	own := &to.Own
	for text := range strings.SplitSeq(tag, ",") {
		switch text {
		case "":
		case "dive":
			to.Elem = &Rules{}
			to = to.Elem
			own = &to.Own
		case "keys":
			// They are those of the map, which is above to.
			own = &to.Keys
		case "endkeys":
			own = &to.Own
		default:
			*own = append(*own, parseRule(text))
		}
	}
	r.settleKeys()
	return r
}

// settleKeys moves rules of keys from the elements, where they are written, to their map.
func (r *Rules) settleKeys() {
	if r.Elem != nil {
		r.Keys, r.Elem.Keys = r.Elem.Keys, nil
		r.Elem.settleKeys()
	}
}

// unescape replaces what stands for the separators of rules in their parameters.
var unescape = strings.NewReplacer("0x2C", ",", "0x7C", "|")

func parseRule(text string) Rule {
	r := Rule{Text: text}
	if all := strings.Split(text, "|"); len(all) > 1 {
		for _, one := range all {
			r.Or = append(r.Or, parseRule(one))
		}
		return r
	}
	r.Name, r.Param, _ = strings.Cut(text, "=")
	r.Param = unescape.Replace(r.Param)
	return r
}

// eq returns the value of the rule eq, or "".
func (r *Rules) eq() string {
	for _, rule := range r.Own {
		if rule.Name == "eq" {
			return rule.Param
		}
	}
	return ""
}

// has reports whether one of the rules has one of the names.
func (r *Rules) has(names ...string) bool {
	return slices.ContainsFunc(r.Own, func(rule Rule) bool { return slices.Contains(names, rule.Name) })
}

// own returns the rules for the value itself, not those that say when they hold, or what is checked
// besides.
func (r *Rules) own() (own []Rule) {
	for _, rule := range r.Own {
		switch rule.Name {
		case "omitempty", "omitnil", "omitzero", "structonly", "nostructlevel":
		default:
			own = append(own, rule)
		}
	}
	return own
}

// checkDives fails if rules of elements in fields would not hold, for which Handle panics.
func (b *builder) checkDives(of string, fields []Field) {
	for _, f := range fields {
		have := 0
		for r := f.Rules.Elem; r != nil; r = r.Elem {
			have++
		}
		if need := levels(f.Type); have < need && !f.Rules.Skip {
			failf("field %s of %s: its elements have rules, which need %q in its validate tag", f.Name, of, strings.Repeat(",dive", need)[1:])
		}
		b.checkBelow(f.Type)
	}
}

// checkBelow is checkDives for the fields of all structs in t.
func (b *builder) checkBelow(t *Type) {
	if t == nil || b.checked[t] {
		return
	}
	b.checked[t] = true
	b.checkDives(t.Name, t.Fields)
	b.checkBelow(t.Elem)
	for _, m := range t.Members {
		b.checkBelow(m)
	}
}

// levels returns how many lists and maps are around the innermost elements of t that can have
// rules.
func levels(t *Type) (n int) {
	for t = t.Elem; t != nil && canHaveRules(t, map[*Type]bool{}); t = t.Elem {
		n++
	}
	return n
}

// canHaveRules reports whether values of t, or of what is in them, can have rules.
func canHaveRules(t *Type, seen map[*Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	if t.Kind == Union || t.Ruled || len(t.Embedded) > 0 {
		return true // members of unions have eq
	}
	for _, f := range t.Fields {
		if r := f.Rules; !r.Skip && (len(r.Own) > 0 || r.Elem != nil || canHaveRules(f.Type, seen)) {
			return true
		}
	}
	return canHaveRules(t.Elem, seen)
}

// onValue reports whether the rule looks at nothing but the value.
func (r Rule) onValue() bool {
	for _, one := range r.Or {
		if !one.onValue() {
			return false
		}
	}
	return !strings.HasSuffix(r.Name, "field") && !strings.HasPrefix(r.Name, "required_") &&
		!strings.HasPrefix(r.Name, "excluded_") && r.Name != "skip_unless"
}

// fitsZero reports whether the runtime accepts the zero value of a type with rules: that is
// what it checks for a field that a client has left out.
func fitsZero(t *Type, r Rules, pointer bool) bool {
	switch {
	case r.Skip:
		return true
	case pointer || t.Kind == Union || t.Kind == Any && t.Go == "":
		return fitsNil(r)
	}
	for _, rule := range r.Own {
		switch rule.Name {
		case "omitempty", "omitzero", "structonly", "nostructlevel":
			return true
		case "omitnil":
			if t.Len < 0 && t.Kind == List || t.Kind == Map || t.Kind == Binary {
				return true
			}
		default:
			if rule.onValue() && !zeroFits(t, rule) {
				return false
			}
		}
	}
	if t.Kind == List && t.Len > 0 && r.Elem != nil {
		return fitsZero(t.Elem, *r.Elem, t.NullElem)
	}
	for _, e := range t.Embedded {
		if e.Pointer && !fitsNil(Rules{Own: e.Rules}) || !e.Pointer && slices.ContainsFunc(e.Rules, func(r Rule) bool { return r.Name == "required" }) {
			return false
		}
	}
	for _, f := range t.Fields {
		if !f.Below && !fitsZero(f.Type, f.Rules, f.Pointer) {
			return false
		}
	}
	return true
}

// fitsNil reports whether nil fits rules. The library refuses it for any rule, even dive,
// unless the first one allows it or looks at other fields.
func fitsNil(r Rules) bool {
	if len(r.Own) == 0 {
		return r.Elem == nil
	}
	switch first := r.Own[0]; first.Name {
	case "omitempty", "omitzero", "omitnil", "isdefault":
		return true
	default:
		return !first.onValue()
	}
}

var library = lint.NewValidator()

// zeroFits asks the library that the runtime uses.
func zeroFits(t *Type, r Rule) bool {
	if t.standIn.Kind() == reflect.Struct && !t.standIn.ConvertibleTo(timeType) { // of which it checks only fields alone
		return r.Name != "required"
	}
	return library.Var(reflect.Zero(t.standIn).Interface(), r.Text) == nil
}

// isText reports whether values are strings, to rules too.
func (t *Type) isText() bool {
	return t.Kind == String || t.Kind == Enum && strings.HasPrefix(t.Values[0], `"`)
}
