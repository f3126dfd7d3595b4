// Package lint finds mistakes in declarations of events: in their names and in `validate` tags.
// Packages contract and gen use it, so that they refuse the same.
package lint

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/go-playground/validator/v10"
)

// NewValidator returns a validator with the rules that tags can have.
func NewValidator() *validator.Validate { return validator.New(validator.WithRequiredStructEnabled()) }

// library evaluates rules on samples.
var library = NewValidator()

// Unknown stands for a struct that is not known further.
type Unknown struct{}

// mistake is the panic for a tag that cannot be used.
type mistake string

func failf(format string, args ...any) { panic(mistake(fmt.Sprintf(format, args...))) }

// Tag returns what is wrong with the `validate` tag of f, a field of the struct t, or "". The library
// panics for some mistakes, but not before it comes to the rule. For others it refuses all values, or
// none.
func Tag(t reflect.Type, f reflect.StructField) (wrong string) {
	tag := f.Tag.Get("validate")
	if tag == "" || tag == "-" {
		return ""
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case mistake:
			wrong = string(r)
		default: // of the library. A rule that is evaluated alone has no field.
			wrong = strings.TrimSuffix(fmt.Sprint(r), " on field ''")
		}
	}()
	all := strings.Split(tag, ",")
	for _, rule := range all {
		if rule == "" {
			failf("a rule is empty")
		}
	}
	_ = library.Var(nil, tag) // it reads all rules, and then finds no value
	typ, keys := f.Type, reflect.Type(nil)
	for _, rule := range all {
		switch rule {
		case "dive":
			switch typ = pointedTo(typ); typ.Kind() {
			case reflect.Map:
				typ, keys = typ.Elem(), typ.Key()
			case reflect.Slice, reflect.Array:
				typ, keys = typ.Elem(), nil
			default:
				failf("dive needs a slice, an array or a map")
			}
		case "keys", "endkeys":
			if keys == nil {
				failf("keys needs a map")
			}
			typ, keys = keys, typ
		case "omitempty", "omitnil", "omitzero":
		case "structonly", "nostructlevel":
			if classOf(typ) != structs {
				failf("%s does not fit %s: the rules after it would not hold", rule, nameOf(typ))
			}
		default:
			for one := range strings.SplitSeq(rule, "|") {
				check(t, typ, one)
			}
		}
	}
	return ""
}

// check fails if a rule cannot be used for a value of typ in the struct t.
func check(t, typ reflect.Type, rule string) {
	name, param, _ := strings.Cut(rule, "=")
	typ = pointedTo(typ)
	if typ.Implements(valuerType) || reflect.PointerTo(typ).Implements(valuerType) {
		return // the library checks another value
	}
	class := classOf(typ)
	differs := name == "unique" && param != "" && class&(texts|numbers|bools) != 0 // from another field
	compares := differs || comparisons[name]
	switch {
	case class != texts && fits[name]&class == 0 && !(typ.Implements(stringerType) && ofStringers[name]) && !differs:
		failf("%s does not fit %s", name, nameOf(typ))
	case class == times && param != "" && fits[name] == sizes|times && !strings.HasSuffix(name, "field"):
		failf("%s compares a time with now: it has no parameter", name)
	case name == "unique" && class != texts && param == "" && !comparable(typ.Elem()):
		failf("unique cannot compare %s: it can hold a list or a map", nameOf(typ.Elem()))
	case name == "validateFn":
		method := cmp.Or(param, "Validate")
		if _, ok := reflect.PointerTo(typ).MethodByName(method); !ok {
			failf("%v has no method %s that reports whether a value fits", typ, method)
		}
		return
	}
	others := othersOf(name, param)
	if compares {
		others = []string{param}
	}
	for _, other := range others {
		to, known := fieldAt(t, other)
		switch {
		case !known:
			failf("%s names %s, but there is no such field", name, other)
		case to != nil && compares && to.Kind() != typ.Kind():
			failf("%s compares %s with %s, which is %s", name, nameOf(typ), other, nameOf(to))
		}
	}
	_ = library.VarWithValue(sample(typ).Interface(), reflect.Zero(t).Interface(), rule)
}

var word = regexp.MustCompile(`'[^']*'|\S+`)

// othersOf returns the other fields of the struct that a rule names.
func othersOf(name, param string) (others []string) {
	words := word.FindAllString(param, -1)
	switch {
	case name == "fieldcontains", name == "fieldexcludes", name == "postcode_iso3166_alpha2_field":
		return []string{param}
	case strings.HasPrefix(name, "required_with"), strings.HasPrefix(name, "excluded_with"):
		return words
	case strings.HasSuffix(name, "_if"), strings.HasSuffix(name, "_unless"): // pairs of a field and its value
		for i := 0; i < len(words); i += 2 {
			others = append(others, words[i])
		}
	}
	return others
}

// fieldAt returns the type at a path in the struct t. It returns false if there is none, and nil if
// only a value can tell it.
func fieldAt(t reflect.Type, path string) (reflect.Type, bool) {
	for name := range strings.SplitSeq(path, ".") {
		name, _, indexed := strings.Cut(name, "[")
		if t = pointedTo(t); t.Kind() == reflect.Interface || t == unknownType {
			return nil, true
		}
		if t.Kind() != reflect.Struct {
			return nil, false
		}
		f, ok := t.FieldByName(name)
		if !ok || indexed {
			return nil, ok
		}
		t = f.Type
	}
	if t = pointedTo(t); t.Kind() == reflect.Interface || t == unknownType {
		return nil, true
	}
	return t, true
}

func pointedTo(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// nameOf returns what a type is to rules.
func nameOf(t reflect.Type) string {
	switch t = pointedTo(t); classOf(t) {
	case lists, lists | bytes:
		if t.Kind() == reflect.Map {
			return "a map"
		}
		return "a list"
	case times:
		return "a time"
	case structs:
		return "a struct"
	case interfaces:
		return "any or a union"
	}
	return t.Kind().String()
}

// comparable reports whether all values of t can be keys of a map.
func comparable(t reflect.Type) bool {
	switch t = pointedTo(t); t.Kind() {
	case reflect.Interface:
		return false // it can hold a slice
	case reflect.Array:
		return comparable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i).Type; f.Kind() != reflect.Pointer && !comparable(f) {
				return false
			}
		}
	}
	return t.Comparable()
}

// sample returns a value of t that is not zero, if t has one that is easily made.
func sample(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
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
