package contract

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

func (b *builder) pointer(s *shape) {
	for t, n := s.typ, 0; t.Kind() == reflect.Pointer; t = t.Elem() {
		if n++; n > 100 {
			unusable("%v points to itself", s.typ)
		}
	}
	elem := b.shapeOf(s.typ.Elem())
	s.elem = elem
	s.decode = func(r *reader, v reflect.Value) *misfit {
		if r.null() {
			v.SetZero()
			return nil
		}
		to := reflect.New(elem.typ)
		if m := elem.decode(r, to.Elem()); m != nil {
			return m
		}
		v.Set(to)
		return nil
	}
	s.prepare = func(v reflect.Value) (reflect.Value, bool) {
		if v.IsNil() || elem.prepare == nil {
			return v, false
		}
		to, changed := elem.prepare(v.Elem())
		if !changed {
			return v, false
		}
		clone := reflect.New(elem.typ)
		clone.Elem().Set(to)
		return clone, true
	}
}

func (b *builder) list(s *shape) {
	elem := b.shapeOf(s.typ.Elem())
	s.elem, s.what = elem, "an array"
	fixed := s.typ.Kind() == reflect.Array
	if fixed {
		s.what = fmt.Sprintf("an array of %d elements", s.typ.Len())
	}
	s.decode = func(r *reader, v reflect.Value) *misfit {
		if !r.take('[') {
			return expected(s.what)
		}
		n := 0
		for first := true; !r.take(']'); first = false {
			if !first {
				r.take(',')
			}
			if fixed && n == v.Len() {
				return expected(s.what)
			}
			if !fixed {
				if n == v.Cap() {
					v.Grow(max(4-n, 1))
				}
				v.SetLen(n + 1)
			}
			if m := elem.decode(r, v.Index(n)); m != nil {
				return m.at(n)
			}
			n++
		}
		switch {
		case fixed && n < v.Len():
			return expected(s.what)
		case !fixed && n == 0:
			v.Set(reflect.MakeSlice(s.typ, 0, 0)) // not nil
		}
		return nil
	}
	s.prepare = func(v reflect.Value) (reflect.Value, bool) {
		changed := false
		if !fixed && v.IsNil() {
			return reflect.MakeSlice(s.typ, 0, 0), true
		}
		if elem.prepare == nil {
			return v, false
		}
		out := v
		for i := range v.Len() {
			to, differs := elem.prepare(v.Index(i))
			if !differs {
				continue
			}
			if !changed {
				changed = true
				out = reflect.New(s.typ).Elem()
				if fixed {
					out.Set(v)
				} else {
					out.Set(reflect.AppendSlice(reflect.MakeSlice(s.typ, 0, v.Len()), v))
				}
			}
			out.Index(i).Set(to)
		}
		return out, changed
	}
}

func (b *builder) mapping(s *shape) {
	elem, key := b.shapeOf(s.typ.Elem()), s.typ.Key()
	zero := reflect.Zero(key)
	text := key.Kind() == reflect.String // which encoding/json takes as it is, even if it has a method MarshalText
	if reflect.PointerTo(key).Implements(textType) || !text && (key.Implements(textMarshalType) || !zero.CanInt() && !zero.CanUint()) {
		unusable("%v has keys that are neither strings nor integers", s.typ)
	}
	keys := b.shapeOf(key)
	s.elem, s.what = elem, "an object"
	s.decode = func(r *reader, v reflect.Value) *misfit {
		if !r.take('{') {
			return expected(s.what)
		}
		v.Set(reflect.MakeMap(s.typ))
		for first := true; !r.take('}'); first = false {
			if !first {
				r.take(',')
			}
			name := unquote(r.str())
			r.take(':')
			if r.isBinary([]byte(name)) {
				return expected(s.what)
			}
			k, to := reflect.New(key).Elem(), reflect.New(elem.typ).Elem()
			if text && !keys.enum {
				k.SetString(name)
			} else {
				in := reader{text: []byte(name)}
				if text {
					in.text = strconv.AppendQuote(nil, name)
				}
				if m := keys.decode(&in, k); m != nil || in.at != len(in.text) {
					return expected("a key that is " + keys.what)
				}
			}
			if v.MapIndex(k).IsValid() {
				return expected("each key once").under(name)
			}
			if m := elem.decode(r, to); m != nil {
				return m.under(name)
			}
			v.SetMapIndex(k, to)
		}
		return nil
	}
	s.prepare = func(v reflect.Value) (reflect.Value, bool) {
		if v.IsNil() {
			return reflect.MakeMap(s.typ), true
		}
		if elem.prepare == nil {
			return v, false
		}
		out, changed := v, false
		for it := v.MapRange(); it.Next(); {
			to, differs := elem.prepare(it.Value())
			if !differs {
				continue
			}
			if !changed {
				changed = true
				out = reflect.MakeMapWithSize(s.typ, v.Len())
				for all := v.MapRange(); all.Next(); {
					out.SetMapIndex(all.Key(), all.Value())
				}
			}
			out.SetMapIndex(it.Key(), to)
		}
		return out, changed
	}
}

func (b *builder) structure(s *shape) {
	s.fields, s.checked = b.fieldsOf(s.typ)
	s.what = "an object"
	byName := make(map[string]int, len(s.fields))
	for i, f := range s.fields {
		byName[f.name] = i
	}
	strict := embeds(s.typ, strictType)
	s.decode = func(r *reader, v reflect.Value) *misfit {
		if !r.take('{') {
			return expected(s.what)
		}
		var small [32]bool
		seen := small[:]
		if len(s.fields) > len(small) {
			seen = make([]bool, len(s.fields))
		}
		for first := true; !r.take('}'); first = false {
			if !first {
				r.take(',')
			}
			name, escaped := r.str()
			r.take(':')
			if escaped {
				name = []byte(unquote(name, true))
			}
			i, known := byName[string(name)]
			switch {
			case r.isBinary(name):
				return expected(s.what)
			case !known && strict:
				return expected("no such field").under(string(name))
			case !known:
				r.raw()
				continue
			case seen[i]:
				return expected("each key once").in(string(name))
			}
			seen[i] = true
			f := s.fields[i]
			if m := f.shape.decode(r, f.of(v)); m != nil {
				return m.in(f.name)
			}
		}
		for i, f := range s.fields {
			if !seen[i] && !f.optional {
				return expected(f.shape.what).in(f.name)
			}
		}
		return nil
	}
	s.prepare = func(v reflect.Value) (reflect.Value, bool) {
		out, changed := v, false
		for _, f := range s.fields {
			if f.shape.prepare == nil && f.kind == "" {
				continue
			}
			at, err := v.FieldByIndexErr(f.index)
			if err != nil {
				continue // below an embedded pointer that is nil
			}
			var to reflect.Value
			switch differs := false; {
			case f.kind != "":
				if at.String() == f.kind {
					continue
				}
				to = reflect.ValueOf(f.kind).Convert(f.shape.typ)
			case f.omit&omitZero != 0 && at.IsZero(): // it would not be left out, if it were not nil
				continue
			default:
				if to, differs = f.shape.prepare(at); !differs {
					continue
				}
			}
			if !changed {
				changed = true
				out = reflect.New(s.typ).Elem()
				out.Set(v)
			}
			f.own(out).Set(to)
		}
		return out, changed
	}
}

// isEmpty reports whether a slice or map has no elements, or another value is zero.
func isEmpty(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() == 0
	}
	return v.IsZero()
}

// of returns the field in v. It makes embedded structs that are pointers.
func (f *field) of(v reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return v.Field(f.index[0])
	}
	for i, at := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	return v
}

// own is of for a struct that is about to be changed: embedded structs that are pointers are
// copied first.
func (f *field) own(v reflect.Value) reflect.Value {
	for i, at := range f.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			clone := reflect.New(v.Type().Elem())
			clone.Elem().Set(v.Elem())
			v.Set(clone)
			v = clone.Elem()
		}
		v = v.Field(at)
	}
	return v
}

// union builds the shape of an interface whose method oneOf lists its members.
func (b *builder) union(s *shape) {
	t := s.typ
	if t.NumMethod() != 1 || t.Method(0).Name != "oneOf" || t.Method(0).Type.NumIn() == 0 || t.Method(0).Type.NumOut() != 0 {
		unusable("%v is no union: it needs one method oneOf, whose parameters are its members", t)
	}
	oneOf := t.Method(0).Type
	members := map[string]*shape{}
	byType := map[reflect.Type]*shape{}
	name, names := "", ""
	for i := range oneOf.NumIn() {
		m := oneOf.In(i)
		if m.Kind() != reflect.Struct || !m.Implements(t) {
			unusable("%v is no member of %v: it is no struct with its method oneOf", m, t)
		}
		byType[m] = b.shapeOf(m)
	}
	b.unions = append(b.unions, func() {
		for i := range oneOf.NumIn() {
			m := oneOf.In(i)
			by, kind := "", ""
			if at := slices.IndexFunc(byType[m].fields, func(f *field) bool { return f.kind != "" }); at >= 0 {
				by, kind = byType[m].fields[at].name, byType[m].fields[at].kind
			}
			switch {
			case by == "":
				unusable("%v, a member of %v, needs one string field with the rule eq=…", m, t)
			case name != "" && by != name:
				unusable("members of %v have their kind in different fields: %q and %q", t, name, by)
			case members[kind] != nil:
				unusable("two members of %v have the kind %q", t, kind)
			}
			if i > 0 {
				names += ", "
			}
			name, members[kind] = by, byType[m]
			names += strconv.Quote(kind)
		}
		s.what = "an object whose " + strconv.Quote(name) + " is one of " + names
	})
	s.decode = func(r *reader, v reflect.Value) *misfit {
		if r.peek() != '{' {
			return expected(s.what)
		}
		kind, ok := r.kind(name)
		member := members[kind]
		if !ok || member == nil {
			return expected("one of " + names).in(name)
		}
		to := reflect.New(member.typ).Elem()
		if m := member.decode(r, to); m != nil {
			return m
		}
		v.Set(to)
		return nil
	}
	s.prepare = func(v reflect.Value) (reflect.Value, bool) {
		if v.IsNil() {
			return v, false
		}
		in := v.Elem()
		if in.Kind() == reflect.Pointer && !in.IsNil() {
			in = in.Elem()
		}
		member := byType[in.Type()]
		if member == nil || member.prepare == nil {
			return v, false
		}
		to, changed := member.prepare(in)
		if !changed {
			return v, false
		}
		return to, true
	}
}

// kind returns the string under name in the object that follows, without reading it. The text of
// nested unions is passed once for each level, of which there are at most half of a packet's
// 128 levels of nesting.
func (r *reader) kind(name string) (string, bool) {
	in := *r
	in.take('{')
	for first := true; !in.take('}'); first = false {
		if !first {
			in.take(',')
		}
		key := unquote(in.str())
		in.take(':')
		if key != name {
			in.raw()
			continue
		}
		if in.peek() != '"' {
			return "", false
		}
		return unquote(in.str()), true
	}
	return "", false
}
