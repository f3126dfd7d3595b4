package contract

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a field of a struct, also of one embedded in it.
type field struct {
	place
	name     string
	index    []int
	optional bool
	omit     omission
	shape    *shape // nil for an embedded struct, which is a field only for its rules
	kind     string // all that the field can be: of a rule eq
}

// place is a field in the source.
type place struct {
	reflect.StructField
	in reflect.Type // the struct that declares it
}

func (p place) rules() string { return p.Tag.Get("validate") }

// checksItself reports whether there are rules for the field, and not only about those below.
func (f *field) checksItself() bool {
	if f.shape != nil {
		return f.rules() != ""
	}
	for rule := range strings.SplitSeq(f.rules(), ",") {
		switch rule {
		case "", "omitempty", "omitnil", "omitzero", "structonly", "nostructlevel":
		default:
			return true
		}
	}
	return false
}

// omission says when a field is left out. It is a set.
type omission uint8

const (
	omitEmpty omission = 1 << iota
	omitZero
)

// omissionOf returns what the options of a json tag say.
func omissionOf(options string) (o omission) {
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			o |= omitEmpty
		case "omitzero":
			o |= omitZero
		}
	}
	return o
}

// embeds reports whether the struct t embeds marker.
func embeds(t, marker reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Type == marker {
			return true
		}
	}
	return false
}

// fieldsOf returns the fields of t as encoding/json sees them, and those whose rules hold, with
// embedded structs.
func (b *builder) fieldsOf(t reflect.Type) (fields, checked []*field) {
	type found struct {
		*field
		tagged, checked bool
	}
	var order []string
	byName := map[string][]found{}
	var walk func(in reflect.Type, index []int, direct, checks bool, seen map[reflect.Type]bool)
	walk = func(in reflect.Type, index []int, direct, checks bool, seen map[reflect.Type]bool) {
		if seen[in] {
			unusable("%v embeds itself", in)
		}
		seen[in] = true
		defer delete(seen, in)
		for i := range in.NumField() {
			f := place{in.Field(i), in}
			tag := f.Tag.Get("json")
			name, options, _ := strings.Cut(tag, ",")
			switch {
			case f.Anonymous && (f.Type == tupleType || f.Type == strictType):
				continue
			case tag == "-":
				if checks {
					b.hide(f, t)
				}
				continue
			case name != "" && !validName(name):
				unusable("field %s of %v has the JSON name %q, which has characters that encoding/json does not take", f.Name, in, name)
			}
			at := append(index[:len(index):len(index)], i)
			if f.Anonymous && name == "" {
				below := f.Type
				if below.Kind() == reflect.Pointer {
					below = below.Elem()
				}
				if below.Kind() == reflect.Struct && !isLeaf(below) {
					if !f.IsExported() && f.Type.Kind() == reflect.Pointer {
						unusable("%v embeds a pointer to the unexported %v", in, below)
					}
					if checks && f.rules() != "" && f.rules() != "-" {
						checked = append(checked, &field{place: f})
					}
					walk(below, at, direct && f.Type.Kind() != reflect.Pointer, checks && !checksNotBelow(f.StructField), seen)
					continue
				}
			}
			if !f.IsExported() {
				if tag != "" || f.rules() != "" {
					unusable("field %s of %v has tags, but is not exported: clients cannot send it", f.Name, in)
				}
				continue
			}
			if slices.Contains(strings.Split(options, ","), "string") {
				unusable("field %s of %v has the json option \"string\"", f.Name, in)
			}
			omit, tagged := omissionOf(options), name != ""
			name = jsonName(f.StructField)
			if byName[name] == nil {
				order = append(order, name)
			}
			byName[name] = append(byName[name], found{&field{
				place: f, name: name, index: at, omit: omit, kind: kindOf(f.StructField),
				optional: omit != 0 || !direct || f.Type.Kind() == reflect.Pointer,
			}, tagged, checks && f.rules() != "-"})
		}
	}
	walk(t, nil, true, true, map[reflect.Type]bool{})
	for _, name := range order {
		best, twice := byName[name][0], false
		for _, f := range byName[name][1:] {
			switch {
			case len(f.index) < len(best.index), len(f.index) == len(best.index) && f.tagged && !best.tagged:
				best, twice = f, false
			case len(f.index) == len(best.index) && f.tagged == best.tagged:
				twice = true // unless a later field hides both
			}
		}
		if twice {
			unusable("%v has two fields with the JSON name %q", t, name)
		}
		for _, f := range byName[name] {
			if f.field != best.field && f.checked {
				b.hide(f.place, t)
			}
		}
		best.shape = b.fieldShape(best.place)
		fields = append(fields, best.field)
		if best.checked {
			checked = append(checked, best.field)
			note(b.shown, best.place, t)
		}
	}
	return fields, checked
}

// hide keeps the rules of a field from being checked: t says that clients cannot send it.
func (b *builder) hide(f place, t reflect.Type) {
	switch {
	case f.rules() == "-" || !f.IsExported() && !f.Anonymous: // the library does not check it
	case f.rules() != "" || f.Type.Kind() == reflect.Struct && len(taggedIn(f.Type, map[reflect.Type]bool{})) > 0:
		note(b.hidden, f, t)
	}
}

func note(all map[reflect.Type]map[string]reflect.Type, f place, t reflect.Type) {
	if all[f.in] == nil {
		all[f.in] = map[string]reflect.Type{}
	}
	all[f.in][f.Name] = t
}

// taggedIn returns the fields with rules of a struct of which encoding/json does not see the fields:
// the rules hold.
func taggedIn(t reflect.Type, seen map[reflect.Type]bool) (all []*field) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.ConvertibleTo(timeType) || seen[t] {
		return nil
	}
	seen[t] = true
	for i := range t.NumField() {
		f := place{t.Field(i), t}
		if !f.IsExported() && !f.Anonymous || f.rules() == "-" {
			continue
		}
		if f.rules() != "" {
			all = append(all, &field{place: f})
		}
		if !checksNotBelow(f.StructField) {
			all = append(all, taggedIn(f.Type, seen)...)
		}
	}
	return all
}

// validName reports whether encoding/json takes a name in a tag.
func validName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}

// jsonName returns the name of a field in JSON.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return cmp.Or(name, f.Name)
}

// fieldShape returns the shape of a field. If its type cannot be used, the error names the field.
func (b *builder) fieldShape(f place) *shape {
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(*typeError); ok && !strings.HasPrefix(e.text, "field ") {
				e.text = fmt.Sprintf("field %s of %v: %s", f.Name, f.in, e.text)
			}
			panic(r)
		}
	}()
	return b.shapeOf(f.Type)
}

// isLeaf reports whether a type decodes itself.
func isLeaf(t reflect.Type) bool {
	if k := t.Kind(); k == reflect.Pointer || k == reflect.Interface {
		return false
	}
	return t == timeType || t == valueType || reflect.PointerTo(t).Implements(unmarshalerType) || reflect.PointerTo(t).Implements(textType)
}

// encodesItself reports whether encoding/json calls a method of values of t in a slice.
func encodesItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(marshalerType) || reflect.PointerTo(t).Implements(textMarshalType)
}
