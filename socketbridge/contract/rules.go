package contract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
)

// rules checks the `validate` tags of most types. It caches what it learns of a type.
var rules = lint.NewValidator()

// unescape replaces what stands for the separators of rules in their parameters.
var unescape = strings.NewReplacer("0x2C", ",", "0x7C", "|")

// kindOf returns the value of the rule eq of a string field: all that it can be. It is "" for
// eq=a|eq=b, which several values fit.
func kindOf(f reflect.StructField) string {
	if f.Type.Kind() == reflect.String {
		for rule := range strings.SplitSeq(f.Tag.Get("validate"), ",") {
			if kind, ok := strings.CutPrefix(rule, "eq="); ok && !strings.Contains(kind, "|") {
				return unescape.Replace(kind)
			}
		}
	}
	return ""
}

// checksNotBelow reports whether rules of the fields of an embedded struct do not hold.
func checksNotBelow(f reflect.StructField) bool {
	for rule := range strings.SplitSeq(f.Tag.Get("validate"), ",") {
		if rule == "-" || rule == "structonly" || rule == "nostructlevel" {
			return true
		}
	}
	return false
}

// checkRules panics with a *typeError if a tag of one of the types cannot be used. It reports
// whether there are tags.
func (b *builder) checkRules() (some bool) {
	for _, s := range b.shapes {
		for _, f := range s.checked {
			tag := f.rules()
			some = some || f.checksItself()
			if wrong := lint.Tag(f.in, f.StructField); wrong != "" {
				unusable("field %s of %v: the rules %q cannot be used: %s", f.Name, f.in, tag, wrong)
			}
			have := 0
			for rule := range strings.SplitSeq(tag, ",") {
				if rule == "dive" {
					have++
				}
			}
			if need := b.levels(f.shape); have < need {
				unusable("field %s of %v: its elements have rules, which need %q in its validate tag", f.Name, f.in, strings.Repeat(",dive", need)[1:])
			}
		}
	}
	return some
}

// validator returns what checks the rules of the types, except for those of fields that clients
// cannot send.
func (b *builder) validator() *validator.Validate {
	if len(b.hidden) == 0 {
		return rules
	}
	own := lint.NewValidator()
	for t, fields := range b.hidden {
		skip := map[string]string{}
		for name, in := range fields {
			if shown, both := b.shown[t][name]; both {
				unusable("field %s of %v has rules, which hold in %v, but clients cannot send the field in %v", name, t, shown, in)
			}
			skip[name] = "-"
		}
		own.RegisterStructValidationMapRules(skip, reflect.Zero(t).Interface())
	}
	return own
}

// elements returns the shape of a list's or map's elements, or nil.
func elements(s *shape) *shape {
	for s != nil && s.typ.Kind() == reflect.Pointer && s.elem != nil {
		s = s.elem
	}
	if s == nil {
		return nil
	}
	if k := s.typ.Kind(); k == reflect.Slice || k == reflect.Array || k == reflect.Map {
		return s.elem
	}
	return nil
}

// levels returns how many lists and maps are around the innermost elements of s that can have
// rules.
func (b *builder) levels(s *shape) (n int) {
	for s = elements(s); s != nil && b.hasRules(s, map[*shape]bool{}); s = elements(s) {
		n++
	}
	return n
}

// diveTag returns the rules of an only argument, for which no tag can stand: those of its elements
// hold, at any depth.
func (b *builder) diveTag(s *shape) string {
	return strings.TrimPrefix(strings.Repeat(",omitnil,dive", b.levels(s)), ",")
}

// hasRules reports whether values of s can have rules.
func (b *builder) hasRules(s *shape, seen map[*shape]bool) bool {
	if s == nil || seen[s] {
		return false
	}
	seen[s] = true
	if s.typ.Kind() == reflect.Interface && s.typ.NumMethod() > 0 {
		return true // members have eq
	}
	for _, f := range s.checked {
		if f.checksItself() || b.hasRules(f.shape, seen) {
			return true
		}
	}
	return b.hasRules(s.elem, seen)
}

// check checks the rules of one argument, or of the struct of several.
func (pl *plan) check(v reflect.Value) *misfit {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	var err error
	switch v.Kind() {
	case reflect.Struct:
		if v.CanAddr() {
			v = v.Addr()
		}
		err = pl.rules.Struct(v.Interface())
		v = reflect.Indirect(v)
	case reflect.Slice, reflect.Array, reflect.Map:
		err = pl.rules.Var(v.Interface(), pl.dives)
	default:
		return nil
	}
	if err == nil {
		return nil
	}
	var all validator.ValidationErrors
	if !errors.As(err, &all) || len(all) == 0 {
		panic(fmt.Sprintf("contract: rules of %v: %v", pl.root.typ, err))
	}
	m := expected(ruleText(all[0].Tag(), all[0].Param()))
	names := all[0].StructNamespace()
	if v.Kind() == reflect.Struct {
		names = strings.TrimPrefix(names, v.Type().Name())
	}
	m.path = pathOf(v, names)
	slices.Reverse(m.path)
	return m
}

// ruleText returns what a client should have sent, if a rule does not hold.
func ruleText(rule, param string) string {
	switch {
	case param != "":
		return "a value with " + rule + "=" + param
	case rule == "required":
		return "a value that is not empty or zero"
	}
	return "a value with the rule " + rule
}

// pathOf returns the JSON names for a path of the library below v, such as ".Items[2].Name".
func pathOf(v reflect.Value, names string) (path []step) {
	for names != "" {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if isLeaf(v.Type()) {
			return path // clients know nothing of its fields
		}
		switch v.Kind() {
		case reflect.Struct:
			name := strings.TrimPrefix(names, ".")
			end := strings.IndexAny(name, ".[")
			if end < 0 {
				end = len(name)
			}
			f, ok := v.Type().FieldByName(name[:end])
			if !ok {
				return path
			}
			names, v = name[end:], v.FieldByIndex(f.Index)
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case tag != "":
				path = append(path, step{name: tag})
			case !f.Anonymous:
				path = append(path, step{name: f.Name})
			}
		case reflect.Slice, reflect.Array:
			index, rest, _ := strings.Cut(strings.TrimPrefix(names, "["), "]")
			i, err := strconv.Atoi(index)
			if err != nil || i >= v.Len() {
				return path
			}
			path, names, v = append(path, step{index, true}), rest, v.Index(i)
		case reflect.Map:
			// A key can contain brackets: the longest that fits is meant.
			longest, key, of := "", reflect.Value{}, reflect.Value{}
			for it := v.MapRange(); it.Next(); {
				if name := fmt.Sprint(it.Key()); strings.HasPrefix(names, "["+name+"]") && (!of.IsValid() || len(name) > len(longest)) {
					longest, key, of = name, it.Key(), it.Value()
				}
			}
			if !of.IsValid() {
				return path
			}
			path, names, v = append(path, step{plainText(key), true}), names[len(longest)+2:], of
		default:
			return path
		}
	}
	return path
}

// plainText returns a string or an integer as text, without its methods.
func plainText(v reflect.Value) string {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return v.String()
}
