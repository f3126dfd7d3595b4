package contract

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
)

// rules checks `validate` tags. It caches what it learns of a type.
var rules = validator.New(validator.WithRequiredStructEnabled())

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

// kindField returns the JSON name and the value of the first field of the struct t with the
// rule eq, or "".
func kindField(t reflect.Type) (name, kind string) {
	for _, f := range reflect.VisibleFields(t) {
		if kind = kindOf(f); kind != "" {
			return jsonName(f), kind
		}
	}
	return "", ""
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

// checkRules panics with a *typeError if a tag below t cannot be used. It reports whether
// there are tags.
func (b *builder) checkRules() (some bool) {
	for t, s := range b.shapes {
		if t.Kind() != reflect.Struct || s.fields == nil {
			continue
		}
		for _, f := range s.fields {
			if f.unchecked {
				continue
			}
			sf := t.FieldByIndex(f.index)
			tag := sf.Tag.Get("validate")
			if tag != "" {
				some = true
				checkTag(t, sf, tag)
			}
			have := 0
			for rule := range strings.SplitSeq(tag, ",") {
				if rule == "dive" {
					have++
				}
			}
			if need := b.levels(f.shape); have < need {
				unusable("field %s of %v: its elements have rules, which need %q in its validate tag", sf.Name, t, strings.Repeat(",dive", need)[1:])
			}
		}
	}
	return some
}

// elements returns the shape of a list's or map's elements, or nil.
func elements(s *shape) *shape {
	for s.typ.Kind() == reflect.Pointer && s.elem != nil {
		s = s.elem
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
	for _, f := range s.fields {
		if !f.unchecked && (s.typ.FieldByIndex(f.index).Tag.Get("validate") != "" || b.hasRules(f.shape, seen)) {
			return true
		}
	}
	return b.hasRules(s.elem, seen)
}

// checkTag evaluates each rule of a tag alone, on a value that is not zero, because the
// library panics only when it comes to an unusable rule.
func checkTag(t reflect.Type, sf reflect.StructField, tag string) {
	defer func() {
		if r := recover(); r != nil {
			// A rule that is evaluated alone has no field, so the library's message has no name.
			unusable("field %s of %v: the rules %q cannot be used: %s", sf.Name, t, tag, strings.TrimSuffix(fmt.Sprint(r), " on field ''"))
		}
	}()
	typ := sf.Type
	keys := reflect.Type(nil)
	for rule := range strings.SplitSeq(tag, ",") {
		switch name, _, _ := strings.Cut(rule, "="); name {
		case "dive":
			for typ.Kind() == reflect.Pointer {
				typ = typ.Elem()
			}
			switch typ.Kind() {
			case reflect.Map:
				keys = typ.Key()
				typ = typ.Elem()
			case reflect.Slice, reflect.Array:
				typ = typ.Elem()
			default:
				panic("dive needs a slice, an array or a map")
			}
		case "keys":
			typ, keys = keys, typ
		case "endkeys":
			typ, keys = keys, typ
		case "":
			panic("a rule is empty")
		case "omitempty", "omitnil", "omitzero", "structonly", "nostructlevel":
		default:
			if !strings.HasSuffix(name, "field") && !strings.HasPrefix(name, "required_") && !strings.HasPrefix(name, "excluded_") {
				_ = rules.Var(sample(typ).Interface(), rule)
			}
		}
	}
}

// sample returns a value of t that is not zero.
func sample(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		if e := sample(t.Elem()); e.IsValid() {
			v.Elem().Set(e)
		}
	case reflect.String:
		v.SetString("1")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
	default:
		switch {
		case v.CanInt():
			v.SetInt(1)
		case v.CanUint():
			v.SetUint(1)
		case v.CanFloat():
			v.SetFloat(1)
		}
	}
	return v
}

// checkValue checks the rules of one argument, or of the struct of several. dives is what diveTag
// returns.
func checkValue(s *shape, dives string, v reflect.Value) *misfit {
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
		err = rules.Struct(v.Interface())
		v = reflect.Indirect(v)
	case reflect.Slice, reflect.Array, reflect.Map:
		err = rules.Var(v.Interface(), dives)
	default:
		return nil
	}
	if err == nil {
		return nil
	}
	var all validator.ValidationErrors
	if !errors.As(err, &all) || len(all) == 0 {
		panic(fmt.Sprintf("contract: rules of %v: %v", s.typ, err))
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
			longest, of := "", reflect.Value{}
			for it := v.MapRange(); it.Next(); {
				if key := fmt.Sprint(it.Key()); strings.HasPrefix(names, "["+key+"]") && (!of.IsValid() || len(key) > len(longest)) {
					longest, of = key, it.Value()
				}
			}
			if !of.IsValid() {
				return path
			}
			path, names, v = append(path, step{longest, true}), names[len(longest)+2:], of
		default:
			return path
		}
	}
	return path
}
